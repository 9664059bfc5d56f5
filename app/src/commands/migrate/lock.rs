//! One migration at a time: the lock that all of them take.

use std::time::Duration;

use sqlx::migrate::Migrate as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use crate::store::schema;

/// How often another one is tried for while the lock is held.
const PATIENCE: Duration = Duration::from_secs(600);

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
        // The administrator's settings may end sessions that hold a transaction open; those that this server does not
        // know are left out.
        sqlx::query(
            "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN $1 ELSE '0' END, false) \
             FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout', \
             'transaction_timeout', 'idle_in_transaction_session_timeout')",
        )
        .bind(format!("{}s", PATIENCE.as_secs()))
        .execute(&mut connection)
        .await?;
        sqlx::raw_sql("BEGIN; LOCK TABLE _sqlx_migrations IN SHARE UPDATE EXCLUSIVE MODE")
            .execute(&mut connection)
            .await?;
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

/// Creates the table, which two sessions may do at the same time: one of them then gets an error, and finds it.
async fn ensure_table(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const CREATED_MEANWHILE: [&str; 2] = ["23505", "42P07"];
    loop {
        let table = &schema::POSTGRES.table_name;
        let Err(error) = connection.ensure_migrations_table(table).await else {
            return Ok(());
        };
        let sqlx::migrate::MigrateError::Execute(error) = error else {
            return Err(sqlx::Error::Migrate(Box::new(error)));
        };
        let code = error.as_database_error().and_then(|error| error.code());
        if !code.is_some_and(|code| CREATED_MEANWHILE.contains(&&*code)) {
            return Err(error);
        }
    }
}
