//! The database roles beside the owner: the app's, which reads and writes rows only, and the
//! backup's, which reads only.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::config::RolePasswords;
use crate::secret::Secret;

/// The role that the app serves with.
const APP_ROLE: &str = "hello_app";
/// The role that backups are taken with.
const BACKUP_ROLE: &str = "hello_backup";

/// Creates or updates the roles that have a password, in one transaction. Running it again changes
/// nothing.
///
/// # Errors
/// When the role of this connection may not do that.
pub async fn ensure(
    connection: &mut PgConnection,
    passwords: &RolePasswords,
) -> Result<(), sqlx::Error> {
    use sqlx::Connection;
    let mut transaction = connection.begin().await?;
    // PostgreSQL fails one of two sessions that change a role at the same time. The number is arbitrary.
    sqlx::query("SELECT pg_advisory_xact_lock(5207014)")
        .execute(&mut *transaction)
        .await?;
    if let Some(password) = &passwords.app {
        login_role(&mut transaction, APP_ROLE, password).await?;
        grant_app(&mut transaction).await?;
    }
    if let Some(password) = &passwords.backup {
        login_role(&mut transaction, BACKUP_ROLE, password).await?;
        sqlx::query("GRANT pg_read_all_data TO hello_backup")
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn login_role(
    connection: &mut PgConnection,
    role: &str,
    password: &Secret,
) -> Result<(), sqlx::Error> {
    // Role statements take no parameters, so the server builds and quotes them.
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(role)
            .fetch_one(&mut *connection)
            .await?;
    let verb = if exists { "ALTER" } else { "CREATE" };
    let statement: String = sqlx::query_scalar(
        "SELECT format('%s ROLE %I LOGIN PASSWORD %L', $1::text, $2::text, $3::text)",
    )
    .bind(verb)
    .bind(role)
    .bind(password.expose())
    .fetch_one(&mut *connection)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

/// Rights on rows, and settings by which the server ends statements whose client is gone.
async fn grant_app(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "GRANT USAGE ON SCHEMA public TO hello_app; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hello_app; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hello_app; \
         REVOKE ALL ON _sqlx_migrations FROM hello_app; \
         GRANT SELECT ON _sqlx_migrations TO hello_app; \
         ALTER ROLE hello_app SET statement_timeout = '10s'; \
         ALTER ROLE hello_app SET client_connection_check_interval = '1s'; \
         ALTER ROLE hello_app SET tcp_keepalives_idle = '30s'; \
         ALTER ROLE hello_app SET tcp_user_timeout = '10s'",
    )
    .execute(connection)
    .await?;
    Ok(())
}
