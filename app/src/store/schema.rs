//! The schema's versions: migrations compiled into the program, and what a database is at.

use chrono::{DateTime, Utc};
use sqlx::Row;
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

/// What a PostgreSQL server is like.
#[derive(Debug, Clone, Copy)]
pub struct PostgresState {
    /// It refuses writes.
    pub read_only: bool,
    /// The schema's version, 0 when it was never migrated.
    pub version: i64,
    /// The time by its clock; meaningless while the version is 0.
    pub time: DateTime<Utc>,
}

/// Asks a server what it is like, in one simple query that every pooler lets through.
///
/// # Errors
/// When the server does not answer, or does not let this role look.
pub async fn postgres_state(connection: &mut PgConnection) -> Result<PostgresState, sqlx::Error> {
    const QUERY: &str = "SELECT current_setting('transaction_read_only') = 'on', \
         coalesce(max(version), 0), clock_timestamp() FROM _sqlx_migrations WHERE success";
    const UNDEFINED_TABLE: &str = "42P01";
    match sqlx::raw_sql(QUERY).fetch_one(connection).await {
        Ok(row) => Ok(PostgresState {
            read_only: row.try_get(0)?,
            version: row.try_get(1)?,
            time: row.try_get(2)?,
        }),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => {
            Ok(PostgresState {
                read_only: false,
                version: 0,
                time: DateTime::UNIX_EPOCH,
            })
        }
        Err(error) => Err(error),
    }
}
