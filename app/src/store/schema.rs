//! The schema's versions: migrations compiled into the program, and what a database is at.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;

/// Migrations for PostgreSQL.
pub static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
/// Migrations for SQLite.
pub static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// The version that this program's PostgreSQL statements need.
pub fn postgres_version() -> i64 {
    latest(&POSTGRES)
}

/// The newest version among `migrator`'s migrations.
pub fn latest(migrator: &Migrator) -> i64 {
    migrator
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Whether the server refuses writes, and the schema's version (0 when never migrated).
///
/// # Errors
/// When the server does not answer, or does not let this role look.
pub async fn postgres_state(connection: &mut PgConnection) -> Result<(bool, i64), sqlx::Error> {
    const UNDEFINED_TABLE: &str = "42P01";
    let state: Result<(bool, Option<i64>), sqlx::Error> = sqlx::query_as(
        "SELECT current_setting('transaction_read_only') = 'on', max(version) \
         FROM _sqlx_migrations WHERE success",
    )
    .fetch_one(connection)
    .await;
    match state {
        Ok((read_only, version)) => Ok((read_only, version.unwrap_or(0))),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => {
            Ok((false, 0))
        }
        Err(error) => Err(error),
    }
}
