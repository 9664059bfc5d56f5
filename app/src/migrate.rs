//! `migrate`: brings a database to this program's schema, and its roles into being.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use crate::roles::{self, RolePasswords};
use crate::store::{DatabaseUrl, SqliteStore, schema};

/// The pause between two attempts to reach the database.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a database was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database stayed away.
    #[error("the database could not be reached within {waited:?}: {last}")]
    Unreachable {
        /// How long it was waited for.
        waited: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// The schema was changed by somebody else.
    #[error("migration {0} was changed after it was applied: the schema is not this program's")]
    Tampered(i64),
    /// The schema was migrated by a newer program.
    #[error("the schema is at version {found}, newer than this program's {known}")]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// A migration, or making the roles, failed.
    #[error("{0}")]
    Failed(#[from] sqlx::Error),
    /// Another trouble of the migration machinery.
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

/// Migrates the database at `url`, waiting up to `wait` for it to come up. Returns the schema's
/// version.
///
/// # Errors
/// See [`MigrationError`]. Migrations that succeeded before the one that failed stay applied.
pub async fn run(
    url: &DatabaseUrl,
    wait: Duration,
    passwords: &RolePasswords,
) -> Result<i64, MigrationError> {
    match url {
        DatabaseUrl::Postgres(options) => {
            let mut connection = connect(options, wait).await?;
            migrate_postgres(&mut connection).await?;
            roles::ensure(&mut connection, passwords).await?;
            connection.close().await?;
            Ok(schema::postgres_version())
        }
        DatabaseUrl::Sqlite(options) => {
            SqliteStore::open(options).await?;
            Ok(schema::latest(&schema::SQLITE))
        }
    }
}

/// Connects as soon as the server takes connections.
async fn connect(
    options: &PgConnectOptions,
    wait: Duration,
) -> Result<PgConnection, MigrationError> {
    let end = tokio::time::Instant::now() + wait;
    let mut last = String::from("no attempt finished");
    loop {
        match tokio::time::timeout_at(end, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => {
                let reason = error.to_string();
                if reason != last {
                    tracing::info!(reason, "waiting for the database");
                    last = reason;
                }
            }
            Err(_) => return Err(MigrationError::Unreachable { waited: wait, last }),
        }
        if tokio::time::Instant::now() + PAUSE > end {
            return Err(MigrationError::Unreachable { waited: wait, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), MigrationError> {
    let found = schema::postgres_state(connection).await?.version;
    let known = schema::postgres_version();
    if found > known {
        return Err(MigrationError::Newer { found, known });
    }
    // The migrator takes an advisory lock, so that two jobs at a time do no harm.
    let migrator: &Migrator = &schema::POSTGRES;
    migrator.run_direct(None, connection, false).await?;
    Ok(())
}
