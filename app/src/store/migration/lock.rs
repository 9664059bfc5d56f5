//! One migration at a time: the lock that all of them take.

use std::time::Duration;

use sqlx::migrate::Migrate as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::time::Instant;

use super::session;
use crate::store::schema;
use crate::store::server_error::{
    self, DUPLICATE_OBJECT, DUPLICATE_TABLE, LOCK_NOT_AVAILABLE, UNIQUE_VIOLATION,
};

/// How long the lock is tried for while another one holds it.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Pause between two tries. A session that waits in the server has a snapshot, for which the other one's index waits.
const PAUSE: Duration = Duration::from_millis(200);

/// How long another session may take to create the table. What has its name and is no table stays there.
const CREATED_WITHIN: Duration = Duration::from_secs(10);

/// The lock, for as long as it lives. It is on the table of migrations and conflicts only with itself: those who write
/// that table, read it or dump it go on. The app's role and the backup's, which only read it, cannot take it, as they
/// could an advisory lock.
pub struct MigrationLock {
    /// In a transaction that only holds the lock. The migrations have transactions of their own.
    connection: PgConnection,
}

impl MigrationLock {
    /// Waits until no other migration runs.
    ///
    /// # Errors
    /// When another one holds the lock for too long, or this role may not create tables.
    pub async fn take(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        ensure_table(&mut connection).await?;
        session::prepare(&mut connection, Duration::ZERO).await?;
        begin_locked(&mut connection, &schema::POSTGRES.table_name, TIMEOUT).await?;
        Ok(Self { connection })
    }

    /// Lets the next one go on.
    ///
    /// # Errors
    /// When the connection was lost.
    pub async fn release(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

/// Begins a transaction with the lock, which is on `table`: waits for others as long as `lock_timeout`.
///
/// # Errors
/// When another one holds the lock for longer.
pub async fn begin_locked(
    connection: &mut PgConnection,
    table: &str,
    lock_timeout: Duration,
) -> Result<(), sqlx::Error> {
    let lock = format!("BEGIN; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT");
    let end = Instant::now() + lock_timeout;
    while let Err(error) = sqlx::raw_sql(AssertSqlSafe(lock.as_str()))
        .execute(&mut *connection)
        .await
    {
        if !is_held(&error) || Instant::now() >= end {
            return Err(error);
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn is_held(error: &sqlx::Error) -> bool {
    server_error::code(error).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// Creates the table, which two sessions may do at the same time: one of them then gets an error, and finds it.
async fn ensure_table(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let end = Instant::now() + CREATED_WITHIN;
    loop {
        let table = &schema::POSTGRES.table_name;
        let Err(error) = connection.ensure_migrations_table(table).await else {
            return Ok(());
        };
        let sqlx::migrate::MigrateError::Execute(error) = error else {
            return Err(sqlx::Error::Migrate(Box::new(error)));
        };
        let meanwhile = server_error::code(&error).is_some_and(|code| created_meanwhile(&code));
        if !meanwhile || Instant::now() >= end {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a table could not be created because another session has just created it. How far both had come decides what
/// the server says: the row of the type is there twice, the type is there, or the table is.
fn created_meanwhile(code: &str) -> bool {
    [UNIQUE_VIOLATION, DUPLICATE_OBJECT, DUPLICATE_TABLE].contains(&code)
}
