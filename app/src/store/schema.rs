//! The schema: the migrations in this program, and the version of a database.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::migrate::{MigrateError, Migrator};
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

/// State of a PostgreSQL server.
#[derive(Debug, Clone, Copy)]
pub struct PostgresState {
    /// Whether it rejects writes.
    pub read_only: bool,
    /// The schema's version, 0 when it was never migrated.
    pub version: i64,
    /// The time by its clock; meaningless while the version is 0.
    pub time: DateTime<Utc>,
}

/// Reads the state of a server, in one simple query that every pooler accepts.
///
/// # Errors
/// When the server does not answer, or this role may not read the versions.
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

/// Why a schema cannot be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// An applied migration is not the one that this program has.
    #[error(
        "migration {0} was changed after it was applied: the schema does not belong to this program"
    )]
    Tampered(i64),
    /// The schema is newer than this program.
    #[error("the schema is at version {found}, newer than this program's {known}")]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// A migration failed.
    #[error("{0}")]
    Failed(#[from] sqlx::Error),
    /// Another failure of the migrator.
    #[error("{0}")]
    Other(MigrateError),
}

impl From<MigrateError> for MigrationError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMismatch(version) => Self::Tampered(version),
            other => Self::Other(other),
        }
    }
}

/// Migrates a PostgreSQL database to this program's schema.
///
/// # Errors
/// See [`MigrationError`]. Migrations that succeeded before the one that failed stay applied.
pub async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), MigrationError> {
    let found = postgres_state(connection).await?.version;
    let known = postgres_version();
    if found > known {
        return Err(MigrationError::Newer { found, known });
    }
    // The migrator takes an advisory lock, so that two jobs may run at the same time.
    let migrator: &Migrator = &POSTGRES;
    migrator.run_direct(None, connection, false).await?;
    Ok(())
}
