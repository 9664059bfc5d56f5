//! What the sessions of a migration have in common.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::store::settings;

/// Lifts the limits that an administrator has set for the sessions of this role: a migration takes as long as it takes. A
/// statement waits for locks as long as `lock_timeout`, and ends soon after the program has ended.
///
/// # Errors
/// When the connection is lost.
pub async fn prepare(
    connection: &mut PgConnection,
    lock_timeout: Duration,
) -> Result<(), sqlx::Error> {
    let lock_timeout = format!("{}ms", lock_timeout.as_millis());
    let settings = [
        ("lock_timeout", lock_timeout.as_str()),
        ("statement_timeout", "0"),
        ("transaction_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("client_connection_check_interval", "1s"),
    ];
    settings::set(connection, &settings).await
}
