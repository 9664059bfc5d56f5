//! A session of the database as the owner of the live data.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::error::{Reason, RestoreError};
use super::names::{LIVE, MIGRATIONS};
use super::tables::{self, execute};
use crate::backup::pin_session;
use crate::store::migration::lock::begin_locked;
use crate::store::migration::session;
use crate::store::server_error::{self, LOCK_NOT_AVAILABLE};
use crate::store::{DatabaseUrl, DatabaseUrlSource, connect_with_retry, schema};

/// How long the database is tried to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest wait for the lock of a table. Whoever uses the table meanwhile waits behind it, so this is well below the
/// deadline of callers.
const MAX_BLOCKED: Duration = Duration::from_millis(300);

/// A session whose settings are pinned, and the server that it is of.
pub struct Session {
    /// The session.
    pub connection: PgConnection,
    server: PgConnectOptions,
}

/// The lock of migrations and restores, until it is dropped. Backups wait for it, too.
pub struct Lock {
    _connection: PgConnection,
}

impl Session {
    /// Opens one. The live data has to have this program's schema.
    ///
    /// # Errors
    /// When the database is not reached, was never migrated, or is not its role's.
    pub async fn open(source: &DatabaseUrlSource) -> Result<Self, RestoreError> {
        let DatabaseUrl::Postgres(url) = source.read()? else {
            return Err(RestoreError::NotPostgres);
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect_with_retry(&url)).await;
        let (mut connection, server) = connected.map_err(|_| {
            let message = format!("the database cannot be reached within {CONNECT_TIMEOUT:?}");
            RestoreError::found(Reason::Failed, message)
        })??;
        prepare(&mut connection).await?;
        Ok(Self { connection, server })
    }

    /// Refuses a database whose schema is not this program's: what is compared and exchanged has to be the same.
    ///
    /// # Errors
    /// Which version it has.
    pub async fn check_version(&mut self) -> Result<(), RestoreError> {
        let (found, own) = (
            tables::version(&mut self.connection, LIVE)
                .await?
                .unwrap_or(0),
            schema::postgres_version(),
        );
        if found == own {
            return Ok(());
        }
        Err(RestoreError::refused(format!(
            "the schema of the live data is at version {found}, and this program's is {own}: migrate the database \
             first, or use the program of its version"
        )))
    }

    /// Refuses a role that may not make schemas, or not bring tables into the live one.
    ///
    /// # Errors
    /// Which right it lacks.
    pub async fn check_rights(&mut self) -> Result<(), RestoreError> {
        let lacking: Option<String> = sqlx::query_scalar(
            "SELECT string_agg(statement, '; ') FROM (VALUES \
                 (has_database_privilege(current_database(), 'CREATE'), \
                     format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)), \
                 (has_schema_privilege($1, 'CREATE'), \
                     format('GRANT CREATE ON SCHEMA %I TO %I', $1, current_user))) AS rights (has, statement) \
             WHERE NOT has",
        )
        .bind(LIVE)
        .fetch_one(&mut self.connection)
        .await?;
        lacking.map_or(Ok(()), |statements| {
            let message = format!("the owner of the tables lacks rights: {statements}");
            Err(RestoreError::found(Reason::Privileges, message))
        })
    }

    /// Waits until no migration and no other restore runs, and keeps them from starting.
    ///
    /// # Errors
    /// When one does not end within `lock_timeout`.
    pub async fn lock(&self, lock_timeout: Duration) -> Result<Lock, RestoreError> {
        let mut connection = self.server.connect().await?;
        prepare(&mut connection).await?;
        begin(&mut connection, lock_timeout).await?;
        Ok(Lock {
            _connection: connection,
        })
    }
}

/// Begins a transaction with the lock.
///
/// # Errors
/// When another one does not end within `lock_timeout`.
pub async fn begin(
    connection: &mut PgConnection,
    lock_timeout: Duration,
) -> Result<(), RestoreError> {
    let table = format!("{LIVE}.{MIGRATIONS}");
    let begun = begin_locked(connection, &table, lock_timeout).await;
    begun.map_err(|error| {
        if server_error::code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) {
            let message =
                format!("a migration or another restore has not ended within {lock_timeout:?}");
            RestoreError::found(Reason::Locked, message)
        } else {
            error.into()
        }
    })
}

/// Sets all that a restore needs of a session, and makes what it creates the owner's.
async fn prepare(connection: &mut PgConnection) -> Result<(), RestoreError> {
    session::prepare(connection, MAX_BLOCKED).await?;
    pin_session(connection).await?;
    let owner: Option<String> = sqlx::query_scalar(
        "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = to_regclass($1)",
    )
    .bind(format!("{LIVE}.{MIGRATIONS}"))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(owner) = owner else {
        return Err(RestoreError::refused(format!(
            "the database has no tables of the service in the schema {LIVE}: migrate it first"
        )));
    };
    execute(connection, &format!("SET ROLE {owner}")).await?;
    Ok(())
}
