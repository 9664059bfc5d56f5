//! Why a restore did not go on.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use super::loss::Loss;
use crate::backup::{self, BackupError};
use crate::store::schema::MigrationError;
use crate::store::server_error::{
    self, DEADLOCK, DEPENDENT_OBJECTS, DISK_FULL, DUPLICATE_TABLE, INSUFFICIENT_PRIVILEGE,
    LOCK_NOT_AVAILABLE,
};
use crate::store::{InvalidDatabaseUrl, NoServer};

/// The cause in one word, for those who decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// Rows of the live data would be lost, and nobody has accepted that.
    LossNotAccepted,
    /// It cannot be done without losing something of others, or makes no sense.
    Refused,
    /// There is no throw-away server to prove the backup in.
    NotProved,
    /// The backup cannot be restored.
    RestoreFailed,
    /// The backup is not what it was when it was made, or was not put into the database as it is.
    Mismatch,
    /// The database has no room for a second copy.
    DestinationFull,
    /// A table, a migration, a backup or another restore holds a lock for too long.
    Locked,
    /// The role lacks a right, or may not log in.
    Privileges,
    /// A signal ended the command.
    Interrupted,
    /// Anything else, such as a database that is not reached.
    Failed,
}

/// Why a restore did not go on. The live data is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The database URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// Only PostgreSQL has backups.
    #[error("only a postgres:// database can be restored")]
    NotPostgres,
    /// There is no session of the database.
    #[error("the database cannot be reached: {0}")]
    NoServer(#[from] NoServer),
    /// The database failed, or refused.
    #[error("the database: {}", with_detail(.0))]
    Database(#[from] sqlx::Error),
    /// The backup cannot be used.
    #[error("{0}")]
    Backup(#[from] BackupError),
    /// Something that is wrong was found out.
    #[error("{message}")]
    Found {
        /// The cause in one word.
        reason: Reason,
        /// What is wrong, and with what.
        message: String,
    },
    /// Rows would be lost.
    #[error("{0}: nothing was changed; --accept-data-loss (`acceptDataLoss`) goes on all the same")]
    LossNotAccepted(Loss),
    /// A signal ended the command.
    #[error("interrupted by a signal")]
    Interrupted,
    /// The result cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

/// Whether another attempt makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It may succeed.
    MayPass,
    /// It fails as well, until somebody looks at it.
    Final,
    /// The options are wrong.
    Misuse,
}

impl RestoreError {
    /// Something that is wrong was found out.
    pub(super) fn found(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Found { reason, message }
    }

    /// Something that cannot be done.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::found(Reason::Refused, message)
    }

    /// The cause in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Found { reason, .. } => *reason,
            Self::LossNotAccepted(_) => Reason::LossNotAccepted,
            Self::Interrupted => Reason::Interrupted,
            Self::NoServer(error) if error.login_refused() => Reason::Privileges,
            Self::Database(error) => database_reason(error),
            Self::Backup(error) => backup_reason(error),
            Self::Url(_) | Self::NotPostgres | Self::NoServer(_) | Self::Report { .. } => {
                Reason::Failed
            }
        }
    }

    /// Whether another attempt makes sense.
    pub fn outlook(&self) -> Outlook {
        match (self, self.reason()) {
            (Self::Url(_) | Self::NotPostgres | Self::Report { .. }, _) => Outlook::Misuse,
            (Self::Database(error), Reason::Failed) if !server_error::may_pass(error) => {
                Outlook::Final
            }
            (
                _,
                Reason::NotProved
                | Reason::DestinationFull
                | Reason::Locked
                | Reason::Interrupted
                | Reason::Failed,
            ) => Outlook::MayPass,
            _ => Outlook::Final,
        }
    }
}

/// What the migrator says of a schema.
impl From<MigrateError> for RestoreError {
    fn from(error: MigrateError) -> Self {
        match MigrationError::from(error) {
            MigrationError::Failed(error)
            | MigrationError::Other(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => error.into(),
            error => Self::refused(error.to_string()),
        }
    }
}

fn database_reason(error: &sqlx::Error) -> Reason {
    match server_error::code(error).as_deref() {
        Some(LOCK_NOT_AVAILABLE | DEADLOCK) => Reason::Locked,
        Some(INSUFFICIENT_PRIVILEGE) => Reason::Privileges,
        Some(DISK_FULL) => Reason::DestinationFull,
        Some(DEPENDENT_OBJECTS | DUPLICATE_TABLE) => Reason::Refused,
        _ => Reason::Failed,
    }
}

fn backup_reason(error: &BackupError) -> Reason {
    match (error, error.reason()) {
        (BackupError::Unknown(_), _)
        | (_, backup::Reason::NotOpened | backup::Reason::ToolTooOld) => Reason::Refused,
        (_, backup::Reason::RestoreFailed) => Reason::RestoreFailed,
        (_, backup::Reason::Mismatch) => Reason::Mismatch,
        (_, backup::Reason::NotProved) => Reason::NotProved,
        (_, backup::Reason::Interrupted) => Reason::Interrupted,
        _ => Reason::Failed,
    }
}

/// What the server says, also which objects are in the way. What its details quote of rows is left out.
fn with_detail(error: &sqlx::Error) -> String {
    let detail = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .filter(|error| error.code() == DEPENDENT_OBJECTS)
        .and_then(PgDatabaseError::detail);
    detail.map_or_else(|| error.to_string(), |detail| format!("{error}: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_asks_for_another_attempt() {
        let broken = || sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        for error in [
            RestoreError::Database(broken()),
            RestoreError::Interrupted,
            MigrateError::Execute(broken()).into(),
            RestoreError::found(Reason::Locked, ""),
            RestoreError::found(Reason::NotProved, ""),
            RestoreError::found(Reason::DestinationFull, ""),
        ] {
            assert_eq!(error.outlook(), Outlook::MayPass, "{error}");
        }
        for error in [
            RestoreError::refused(""),
            RestoreError::from(BackupError::Unknown("x".into())),
            RestoreError::LossNotAccepted(Loss::default()),
            MigrateError::VersionMismatch(1).into(),
            RestoreError::found(Reason::Mismatch, ""),
            RestoreError::found(Reason::RestoreFailed, ""),
            RestoreError::found(Reason::Privileges, ""),
        ] {
            assert_eq!(error.outlook(), Outlook::Final, "{error}");
        }
        assert_eq!(RestoreError::NotPostgres.outlook(), Outlook::Misuse);
    }
}
