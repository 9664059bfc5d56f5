//! The codes of the errors that a server reports: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::borrow::Cow;

/// Another client has the lock, and did not release it in time.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The role has not the right.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Something else depends on it.
pub const DEPENDENT_OBJECTS: &str = "2BP01";
/// Two sessions wait for one another.
pub const DEADLOCK: &str = "40P01";
/// The server has no room on its disk.
pub const DISK_FULL: &str = "53100";

/// A row with the same key is there.
pub const UNIQUE_VIOLATION: &str = "23505";
/// An object of this name is there: a type, a role or the like.
pub const DUPLICATE_OBJECT: &str = "42710";
/// A table of this name is there.
pub const DUPLICATE_TABLE: &str = "42P07";

/// The code of an error; `None` when the server has not reported it.
pub fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// Whether the same statement may succeed later: the connection broke, or the server refused it for its own state.
pub fn may_pass(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return true;
    };
    let code = error.code();
    let code = code.as_deref().unwrap_or_default();
    // Classes: connection, rollback (deadlock, serialization), insufficient resources, intervention (shutdown, start,
    // cancelled), system error. The codes: read-only transaction (a standby), object in use, lock not available.
    ["08", "40", "53", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
        || ["25006", "55006", LOCK_NOT_AVAILABLE].contains(&code)
}
