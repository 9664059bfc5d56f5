//! `migrate`: migrates a database to the schema of this program, and creates or updates its roles.

mod lock;
mod roles;
mod scram;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use self::lock::MigrationLock;
use self::roles::RolesError;
use crate::config::MigrateConfig;
use crate::store::schema::MigrationError;
use crate::store::{DatabaseUrl, InvalidDatabaseUrl, SqliteStore, schema};

/// Pause between two attempts to reach the database.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a database was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// The database did not accept connections in time.
    #[error("the database could not be reached within {waited:?}: {last}")]
    Unreachable {
        /// How long it was waited for.
        waited: Duration,
        /// The error of the last attempt.
        last: String,
    },
    /// The schema cannot be migrated.
    #[error("{0}")]
    Schema(#[from] MigrationError),
    /// Another migration does not end, or the connection was lost.
    #[error("the lock of migrations: {0}")]
    Lock(#[from] sqlx::Error),
    /// Creating or updating the roles failed.
    #[error("{0}")]
    Roles(#[from] RolesError),
}

/// Migrates the database, and creates or updates its roles.
///
/// # Errors
/// See [`MigrateError`]. Migrations that succeeded before the one that failed stay applied.
pub async fn run(config: MigrateConfig) -> Result<(), MigrateError> {
    let version = match config.database.read()? {
        DatabaseUrl::Postgres(url) => {
            let mut connection = connect(url.options(), config.wait).await?;
            schema::check_encoding(&mut connection).await?;
            let lock = MigrationLock::take(url.options()).await?;
            schema::migrate_postgres(&mut connection).await?;
            roles::ensure(&mut connection, url.options(), &config.passwords).await?;
            lock.release().await?;
            connection.close().await?;
            schema::postgres_version()
        }
        DatabaseUrl::Sqlite(options) => {
            SqliteStore::open(&options).await?;
            schema::latest(&schema::SQLITE)
        }
    };
    tracing::info!(version, "the database is migrated");
    Ok(())
}

/// Connects as soon as the server accepts connections, at most for `wait`.
async fn connect(options: &PgConnectOptions, wait: Duration) -> Result<PgConnection, MigrateError> {
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
            Err(_) => return Err(MigrateError::Unreachable { waited: wait, last }),
        }
        if tokio::time::Instant::now() + PAUSE > end {
            return Err(MigrateError::Unreachable { waited: wait, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
