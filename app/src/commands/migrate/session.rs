//! What the sessions of a migration have in common.

use std::time::Duration;

use sqlx::postgres::PgConnection;

/// Lifts the limits that an administrator has set for the sessions of this role: a migration takes as long as it takes. A
/// statement waits for locks as long as `lock_timeout`, and ends soon after the program has ended.
///
/// # Errors
/// When the connection is lost.
pub async fn prepare(
    connection: &mut PgConnection,
    lock_timeout: Duration,
) -> Result<(), sqlx::Error> {
    // Those that this server does not know are left out.
    sqlx::query(
        "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN $1 \
             WHEN 'client_connection_check_interval' THEN '1s' ELSE '0' END, false) \
         FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout', 'transaction_timeout', \
             'idle_in_transaction_session_timeout', 'client_connection_check_interval')",
    )
    .bind(format!("{}ms", lock_timeout.as_millis()))
    .execute(connection)
    .await
    .map(drop)
}
