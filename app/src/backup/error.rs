//! Why there is no new backup.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::InvalidDatabaseUrl;

/// Why there is no new backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// Backups are taken of PostgreSQL only.
    #[error("only a postgres:// database can be dumped")]
    NotPostgres,
    /// Another backup works in the folder.
    #[error("another backup is writing to {}", .0.display())]
    Busy(PathBuf),
    /// The folder cannot be written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
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
        /// The last line of its errors.
        message: String,
    },
    /// The dump lacks its end.
    #[error("the plain dump is incomplete")]
    Truncated,
    /// A signal ended the backup.
    #[error("interrupted by a signal")]
    Interrupted,
}

/// Adds the path to an error of the system.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File { path, error }
}
