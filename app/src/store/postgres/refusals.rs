//! What errors of a server, or of a pooler in front of it, mean for a connection.

use super::job::RunError;
use super::session::ConnectError;
use crate::store::server_error;

/// Whether a pooler refuses the settings with which connections to a server itself are opened.
pub fn is_refused_setting(error: &ConnectError) -> bool {
    // PgBouncer's, and that of Amazon's RDS Proxy.
    const REFUSALS: [(&str, &str); 2] = [("08P01", "startup parameter"), ("0A000", "options")];
    let ConnectError::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    let code = error.code();
    REFUSALS.iter().any(|(refusal, words)| {
        code.as_deref() == Some(*refusal) && error.message().contains(words)
    })
}

/// Whether a server, or a pooler, has as many connections as it may have: of this role, to this database, or at all.
pub fn is_crowded(error: &sqlx::Error) -> bool {
    const TOO_MANY_CONNECTIONS: &str = "53300";
    // PgBouncer's, and that of Supabase's pooler.
    const REFUSALS: [&str; 2] = ["no more connections allowed", "max clients reached"];
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    error.code().as_deref() == Some(TOO_MANY_CONNECTIONS)
        || REFUSALS.iter().any(|words| error.message().contains(words))
}

/// Whether a statement that was prepared on this connection is on another server now, or a foreign one is here.
pub fn is_lost_statement(error: &RunError) -> bool {
    const UNKNOWN_OR_TAKEN: [&str; 3] = ["08P01", "26000", "42P05"];
    let RunError::Database(error) = error else {
        return false;
    };
    let code = server_error::code(error);
    code.is_some_and(|code| UNKNOWN_OR_TAKEN.contains(&&*code))
}

/// Whether the server rejects the password, or does not know the role.
pub fn is_rejected_login(error: &sqlx::Error) -> bool {
    let code = server_error::code(error);
    matches!(code.as_deref(), Some("28P01" | "28000"))
}
