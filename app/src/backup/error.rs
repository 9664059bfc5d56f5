//! Why there is no new backup, or why one is not what it should be.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::store::server_error::{self, INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE};
use crate::store::{InvalidDatabaseUrl, NoServer};

/// The cause in one word, for those who decide by it: the operator makes a condition of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// The backup was restored and compared.
    Verified,
    /// There is no dump.
    DumpFailed,
    /// The dump cannot be restored.
    RestoreFailed,
    /// What was restored, or read back, differs from what was dumped.
    Mismatch,
    /// There is no room for the dump.
    DestinationFull,
    /// The folder or the bucket may not be written.
    DestinationDenied,
    /// The folder cannot be used at all, or the bucket cannot be reached.
    DestinationUnreachable,
    /// A table, a migration or another backup holds a lock for too long.
    Locked,
    /// The role may not read everything, or not even log in.
    Privileges,
    /// PostgreSQL's programs are older than the server.
    ToolTooOld,
    /// This machine's clock and the database's differ.
    ClockSkew,
    /// There is a dump, and no throw-away server to restore it in.
    NotProved,
    /// It is encrypted, and no identity was given that opens it. No backup that is made says it.
    NotOpened,
    /// A signal ended the backup.
    Interrupted,
}

/// Why there is no new backup, or why one is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// Backups are taken of PostgreSQL only.
    #[error("only a postgres:// database can be dumped")]
    NotPostgres,
    /// There is no session of the database.
    #[error("the database cannot be reached: {0}")]
    NoServer(#[from] NoServer),
    /// The database failed, or refused.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// Another backup works in the folder.
    #[error("another backup is writing to {}", .0.display())]
    Busy(PathBuf),
    /// A file or the folder cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A bucket refuses, cannot be reached, or does not keep what it was given.
    #[error("{message}")]
    Bucket {
        /// The cause in one word.
        reason: Reason,
        /// What was tried where, the answer, and what to do.
        message: String,
    },
    /// A program could not be started.
    #[error("cannot run {program}: {error}")]
    Start {
        /// Its name.
        program: &'static str,
        /// The error of the system.
        error: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it wrote about it.
        message: String,
    },
    /// Something that is wrong was found out.
    #[error("{message}")]
    Found {
        /// The cause in one word.
        reason: Reason,
        /// What is wrong, and with what.
        message: String,
    },
    /// No such backup is there.
    #[error("there is no backup {0}; `hello-app backup list` shows those that there are")]
    Unknown(String),
    /// A signal ended the backup.
    #[error("interrupted by a signal")]
    Interrupted,
}

impl BackupError {
    /// Something that is wrong was found out.
    pub(super) fn found(reason: Reason, message: impl Into<String>) -> Self {
        Self::Found {
            reason,
            message: message.into(),
        }
    }

    /// The cause in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Found { reason, .. } | Self::Bucket { reason, .. } => *reason,
            Self::Interrupted => Reason::Interrupted,
            Self::Busy(_) => Reason::Locked,
            Self::NoServer(error) if error.login_refused() => Reason::Privileges,
            Self::Database(error) => database_reason(error),
            Self::Program { message, .. } => program_reason(message),
            Self::File { error, .. } => file_reason(error),
            Self::Url(_)
            | Self::NotPostgres
            | Self::NoServer(_)
            | Self::Start { .. }
            | Self::Unknown(_) => Reason::DumpFailed,
        }
    }

    /// Whether another attempt fails as well, until somebody changes a right or a program.
    pub fn lasts(&self) -> bool {
        matches!(self.reason(), Reason::Privileges | Reason::ToolTooOld)
    }
}

/// The cause of an error of the database, by its code.
fn database_reason(error: &sqlx::Error) -> Reason {
    match server_error::code(error).as_deref() {
        Some(LOCK_NOT_AVAILABLE) => Reason::Locked,
        Some(INSUFFICIENT_PRIVILEGE) => Reason::Privileges,
        _ => Reason::DumpFailed,
    }
}

/// The cause of a failure of pg_dump, by what it writes. It says the same in one language only.
fn program_reason(message: &str) -> Reason {
    let causes = [
        ("No space left on device", Reason::DestinationFull),
        ("Disk quota exceeded", Reason::DestinationFull),
        ("File too large", Reason::DestinationFull),
        ("lock timeout", Reason::Locked),
        ("statement timeout", Reason::Locked), // how pg_dump bounds its wait for locks
        ("permission denied for", Reason::Privileges),
        ("row-level security", Reason::Privileges),
        ("server version mismatch", Reason::ToolTooOld),
    ];
    let found = causes.iter().find(|(text, _)| message.contains(text));
    found.map_or(Reason::DumpFailed, |(_, reason)| *reason)
}

/// The cause of an error at a file of the destination.
fn file_reason(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Reason::DestinationFull
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Reason::DestinationDenied
        }
        _ => Reason::DestinationUnreachable,
    }
}

/// Adds the path to an error of the system.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File { path, error }
}

/// What went wrong with the throw-away server or its files: the dump was not tried.
pub(super) fn not_proved(error: impl std::fmt::Display) -> BackupError {
    BackupError::found(
        Reason::NotProved,
        format!(
            "the dump was made, but there is no throw-away server to restore it in: {}",
            without_rows(&error.to_string())
        ),
    )
}

/// The lines without those that quote what is in a table: messages are read by more people than the data is.
pub(super) fn without_rows(errors: &str) -> String {
    const QUOTES: [&str; 4] = [
        "CONTEXT:  COPY ",
        "DETAIL:  Key (",
        "DETAIL:  Failing row",
        "DETAIL:  Array value",
    ];
    let is_kept = |line: &&str| {
        let is_empty = line.trim().is_empty();
        !is_empty && !QUOTES.iter().any(|quote| line.contains(quote))
    };
    let lines: Vec<_> = errors.lines().filter(is_kept).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_quote_no_rows() {
        let errors = "pg_restore: error: could not execute query: ERROR:  duplicate key\n\
                      DETAIL:  Key (username)=(alice) already exists.\n\n\
                      CONTEXT:  COPY users, line 1: \"alice\"\nCommand was: COPY";
        assert_eq!(
            without_rows(errors),
            "pg_restore: error: could not execute query: ERROR:  duplicate key\nCommand was: COPY"
        );
    }

    #[test]
    fn the_cause_of_a_failed_program_is_read() {
        for (message, reason) in [
            (
                "could not write to output file: No space left on device",
                Reason::DestinationFull,
            ),
            (
                "ERROR:  canceling statement due to lock timeout",
                Reason::Locked,
            ),
            (
                "ERROR:  canceling statement due to statement timeout",
                Reason::Locked,
            ),
            (
                "ERROR:  permission denied for table users",
                Reason::Privileges,
            ),
            (
                "ERROR:  query would be affected by row-level security policy for table \"users\"",
                Reason::Privileges,
            ),
            (
                "aborting because of server version mismatch",
                Reason::ToolTooOld,
            ),
            (
                "server closed the connection unexpectedly",
                Reason::DumpFailed,
            ),
        ] {
            let error = BackupError::Program {
                program: "pg_dump",
                message: message.into(),
            };
            assert_eq!(error.reason(), reason, "{message}");
        }
    }

    #[test]
    fn the_cause_of_a_refused_file_is_read() {
        for (kind, reason) in [
            (io::ErrorKind::StorageFull, Reason::DestinationFull),
            (io::ErrorKind::QuotaExceeded, Reason::DestinationFull),
            (io::ErrorKind::PermissionDenied, Reason::DestinationDenied),
            (io::ErrorKind::ReadOnlyFilesystem, Reason::DestinationDenied),
            (io::ErrorKind::NotFound, Reason::DestinationUnreachable),
        ] {
            assert_eq!(at(Path::new("x"))(kind.into()).reason(), reason);
        }
    }
}
