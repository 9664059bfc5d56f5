//! `migrate`: migrates a database to the schema of this program, and creates or updates its roles.
//!
//! The exit code says whether another attempt may help, so that whoever runs it need not read the output.

mod blockers;
mod roles;
mod scram;
mod steps;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use self::roles::RolesError;
use super::exit;
use crate::config::MigrateConfig;
use crate::postgres_url::PostgresUrl;
use crate::store::migration::lock::MigrationLock;
use crate::store::schema::{Migrated, MigrationError};
use crate::store::server_error::may_pass;
use crate::store::{DatabaseUrl, InvalidDatabaseUrl, SqliteStore, connect_first, schema};

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
    /// The result could not be written where it is expected.
    #[error("cannot write {}: {error}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
}

impl MigrateError {
    /// The exit code for it.
    pub fn exit_code(&self) -> u8 {
        let database_error = match self {
            Self::Unreachable { .. } => return exit::UNAVAILABLE,
            Self::Url(_) | Self::Report { .. } => return exit::FAILURE,
            // Whoever holds the lock may end.
            Self::Schema(MigrationError::Locked { .. }) => return exit::UNAVAILABLE,
            Self::Schema(error) => error.database_error(),
            Self::Lock(error) => Some(error),
            // The system gives no random numbers.
            Self::Roles(RolesError::NoRandomNumbers) => return exit::FAILURE,
            Self::Roles(RolesError::Database(error)) => Some(error),
        };
        match database_error {
            Some(error) if may_pass(error) => exit::UNAVAILABLE,
            _ => exit::REFUSED,
        }
    }
}

/// Migrates the database, and creates or updates its roles.
///
/// # Errors
/// See [`MigrateError`]. Migrations that succeeded before the one that failed stay applied.
pub async fn run(config: MigrateConfig) -> Result<(), MigrateError> {
    let migrated = match config.database.read()? {
        DatabaseUrl::Postgres(url) => {
            let (mut connection, server) = connect(&url, config.wait).await?;
            schema::check_encoding(&mut connection).await?;
            let lock = MigrationLock::take(&server).await?;
            let migrated = steps::migrate(&mut connection, &server).await?;
            let own = matches!(migrated, Migrated::ToOwn { .. });
            roles::ensure(&mut connection, &server, &config.passwords, own).await?;
            lock.release().await?;
            connection.close().await?;
            migrated
        }
        DatabaseUrl::Sqlite(options) => SqliteStore::open(&options).await?.migrated(),
    };
    tracing::info!(result = %migrated, "the database is migrated");
    if let Some(path) = config.report_file {
        std::fs::write(&path, migrated.to_string())
            .map_err(|error| MigrateError::Report { path, error })?;
    }
    Ok(())
}

/// Connects as soon as a server accepts connections, at most for `wait`.
async fn connect(
    url: &PostgresUrl,
    wait: Duration,
) -> Result<(PgConnection, PgConnectOptions), MigrateError> {
    let end = tokio::time::Instant::now() + wait;
    let mut last = String::from("no attempt finished");
    loop {
        match tokio::time::timeout_at(end, connect_first(url)).await {
            Ok(Ok(connected)) => return Ok(connected),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_may_pass_asks_for_another_attempt() {
        let unreachable = MigrateError::Unreachable {
            waited: Duration::ZERO,
            last: String::new(),
        };
        assert_eq!(unreachable.exit_code(), exit::UNAVAILABLE);
        let broken = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for error in [
            MigrateError::Lock(broken()),
            MigrateError::Roles(broken().into()),
            MigrateError::Schema(broken().into()),
            MigrateError::Schema(MigrationError::Locked {
                held_by: String::new(),
            }),
            MigrateError::Schema(sqlx::migrate::MigrateError::Execute(broken()).into()),
            MigrateError::Schema(sqlx::migrate::MigrateError::ExecuteMigration(broken(), 1).into()),
        ] {
            assert_eq!(error.exit_code(), exit::UNAVAILABLE, "{error}");
        }
        for error in [
            MigrationError::Tampered(1),
            sqlx::migrate::MigrateError::VersionMissing(1).into(),
        ] {
            assert_eq!(MigrateError::Schema(error).exit_code(), exit::REFUSED);
        }
    }
}
