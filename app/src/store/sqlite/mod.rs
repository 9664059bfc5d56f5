//! The embedded store: one file, and nothing else to install.

mod people;

use std::time::Duration;

use chrono::NaiveDate;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::{Birthdays, Health, Precondition, Store, StoreError, StoreFuture, schema};
use crate::domain::{DateOfBirth, Username};

/// How long a statement waits while another has the lock on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

const GET: &str = "SELECT date_of_birth FROM users WHERE username = ?";
const PUT: &str = "INSERT INTO users (username, date_of_birth) VALUES (?, ?) \
     ON CONFLICT (username) DO UPDATE SET date_of_birth = excluded.date_of_birth \
     WHERE date_of_birth <> excluded.date_of_birth";
const DELETE: &str = "DELETE FROM users WHERE username = ?";

/// The store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    reads: SqlitePool,
    writes: SqlitePool,
    migrated: schema::Migrated,
}

/// Options that create a missing file, and lose no acknowledged write in a crash.
pub fn options(url: &SqliteConnectOptions) -> SqliteConnectOptions {
    url.clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
}

impl SqliteStore {
    /// Opens the file, and creates and migrates it where needed.
    ///
    /// # Errors
    /// When the file cannot be opened or its schema does not fit this program.
    pub async fn open(url: &SqliteConnectOptions) -> Result<Self, schema::MigrationError> {
        let options = options(url);
        // SQLite allows one writer at a time: a second connection would only wait for the lock.
        let writes = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options.clone())
            .await?;
        let migrated = schema::migrate_sqlite(&writes).await?;
        let reads = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self {
            reads,
            writes,
            migrated,
        })
    }

    /// What became of the schema when the file was opened.
    pub fn migrated(&self) -> schema::Migrated {
        self.migrated
    }
}

fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::Timeout,
        sqlx::Error::PoolClosed => StoreError::Unavailable,
        other => {
            // As often as it happens: callers learn only that they may try again.
            tracing::warn!(error = %other, "SQLite refused a statement");
            StoreError::Refused(other.to_string())
        }
    }
}

impl Birthdays for SqliteStore {
    fn get(&self, username: Username) -> StoreFuture<'_, Option<DateOfBirth>> {
        async move {
            let born: Option<NaiveDate> = sqlx::query_scalar(GET)
                .bind(username.as_str())
                .fetch_optional(&self.reads)
                .await
                .map_err(store_error)?;
            Ok(born.map(DateOfBirth::from_stored))
        }
        .boxed()
    }

    fn put(&self, username: Username, born: DateOfBirth) -> StoreFuture<'_, ()> {
        async move {
            sqlx::query(PUT)
                .bind(username.as_str())
                .bind(born.as_date())
                .execute(&self.writes)
                .await
                .map_err(store_error)?;
            Ok(())
        }
        .boxed()
    }

    fn delete(&self, username: Username) -> StoreFuture<'_, ()> {
        async move {
            sqlx::query(DELETE)
                .bind(username.as_str())
                .execute(&self.writes)
                .await
                .map_err(store_error)?;
            Ok(())
        }
        .boxed()
    }

    fn change_if(
        &self,
        username: Username,
        born: Option<DateOfBirth>,
        precondition: Precondition,
    ) -> StoreFuture<'_, bool> {
        async move {
            let done = async {
                let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
                let done = change_if(&mut transaction, &username, born, &precondition).await?;
                transaction.commit().await?;
                Ok(done)
            };
            done.await.map_err(store_error)
        }
        .boxed()
    }
}

/// Reads, compares and writes in one transaction that excludes other writers.
async fn change_if(
    connection: &mut SqliteConnection,
    username: &Username,
    born: Option<DateOfBirth>,
    precondition: &Precondition,
) -> Result<bool, sqlx::Error> {
    let stored: Option<NaiveDate> = sqlx::query_scalar(GET)
        .bind(username.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let met = precondition.allows(stored.map(DateOfBirth::from_stored));
    if met {
        let change = match born {
            Some(born) => sqlx::query(PUT)
                .bind(username.as_str())
                .bind(born.as_date()),
            None => sqlx::query(DELETE).bind(username.as_str()),
        };
        change.execute(connection).await?;
    }
    Ok(met)
}

impl Store for SqliteStore {
    fn health(&self) -> Health {
        if self.writes.is_closed() {
            Health::Away
        } else {
            Health::Ready
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.reads.close().await;
            self.writes.close().await;
        }
        .boxed()
    }
}
