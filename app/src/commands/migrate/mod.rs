//! `migrate`: brings a database to this program's schema, and its roles into being.

mod roles;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

pub use self::roles::RolePasswords;
use crate::store::schema::MigrationError;
use crate::store::{DatabaseUrl, SqliteStore, schema};

/// The pause between two attempts to reach the database.
const PAUSE: Duration = Duration::from_millis(250);

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
            schema::migrate_postgres(&mut connection).await?;
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
