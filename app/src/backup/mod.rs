//! `backup`: pg_dump into a folder, in such a way that a file under its final name is whole.

mod programs;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::process::Command;

use self::programs::Connection;
use crate::config::{BackupConfig, DumpFormat};
use crate::lifecycle;
use crate::store::InvalidDatabaseUrl;

/// The last words of a plain dump that is whole.
const PLAIN_END: &[u8] = b"PostgreSQL database dump complete";

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
        /// Where it happened.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {program}: {error}")]
    Start {
        /// Its name.
        program: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {message}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The last line it said.
        message: String,
    },
    /// The dump lacks its end.
    #[error("the plain dump is not whole")]
    Truncated,
    /// A signal asked to stop.
    #[error("interrupted by a signal")]
    Interrupted,
}

/// What was written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the backup began.
    pub time: DateTime<Utc>,
    /// The new dumps.
    pub files: Vec<DumpFile>,
    /// Names of old dumps that were removed.
    pub pruned: Vec<String>,
}

/// One dump.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DumpFile {
    /// The name in the folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

impl DumpFormat {
    fn extension(self) -> &'static str {
        match self {
            Self::Custom => "dump",
            Self::Plain => "sql",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Custom => "--format=custom",
            Self::Plain => "--format=plain",
        }
    }
}

/// Takes one dump in each format, checks it, and only then removes old ones.
///
/// # Errors
/// See [`BackupError`]. No file under a final name is touched by a backup that fails.
pub async fn run(config: &BackupConfig) -> Result<Report, BackupError> {
    let _lock = lock(&config.directory)?;
    remove_leftovers(&config.directory)?;
    let time = Utc::now();
    let stop = lifecycle::termination();
    let work = take(config, time);
    let outcome = tokio::select! {
        report = work => report,
        _ = stop => Err(BackupError::Interrupted),
    };
    let removed = remove_leftovers(&config.directory);
    let report = outcome?;
    removed?;
    Ok(report)
}

async fn take(config: &BackupConfig, time: DateTime<Utc>) -> Result<Report, BackupError> {
    let mut connection = Connection::new(&config.database.text()?)?;
    connection.provide_authorities(&config.directory)?;
    let mut files = Vec::new();
    for format in &config.formats {
        files.push(dump(config, &connection, *format, time).await?);
    }
    sync(&config.directory)?;
    let mut pruned = Vec::new();
    for format in &config.formats {
        pruned.extend(prune(
            &config.directory,
            format.extension(),
            config.keep_last,
        )?);
    }
    Ok(Report {
        time,
        files,
        pruned,
    })
}

/// Writes and checks one dump under a temporary name, then gives it its final one.
async fn dump(
    config: &BackupConfig,
    connection: &Connection,
    format: DumpFormat,
    time: DateTime<Utc>,
) -> Result<DumpFile, BackupError> {
    let name = format!(
        "hello-{}.{}",
        time.format("%Y%m%dT%H%M%SZ"),
        format.extension()
    );
    let partial = config.directory.join(format!(".{name}.partial"));
    create_private(&partial)?;
    let mut pg_dump = program(config, "pg_dump");
    pg_dump
        .args(["--no-password", format.flag(), "--file"])
        .arg(&partial)
        .args(["--dbname", &connection.url])
        .envs(connection.environment());
    run_program("pg_dump", pg_dump).await?;
    sync(&partial)?;
    match format {
        DumpFormat::Custom => {
            let mut list = program(config, "pg_restore");
            list.arg("--list").arg(&partial);
            run_program("pg_restore", list).await?;
        }
        DumpFormat::Plain => check_plain(&partial)?,
    }
    let size_bytes = std::fs::metadata(&partial).map_err(at(&partial))?.len();
    std::fs::rename(&partial, config.directory.join(&name)).map_err(at(&partial))?;
    tracing::info!(name, size_bytes, "dump written and checked");
    Ok(DumpFile { name, size_bytes })
}

fn program(config: &BackupConfig, name: &str) -> Command {
    let path = config
        .pg_bin
        .as_ref()
        .map_or_else(|| name.into(), |folder| folder.join(name));
    Command::new(path)
}

async fn run_program(name: &'static str, mut command: Command) -> Result<(), BackupError> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| BackupError::Start {
            program: name,
            error,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = said
        .trim()
        .lines()
        .last()
        .unwrap_or("no message")
        .to_owned();
    Err(BackupError::Program {
        program: name,
        message,
    })
}

/// Checks that a plain dump ends as whole dumps do.
fn check_plain(path: &Path) -> Result<(), BackupError> {
    let mut file = File::open(path).map_err(at(path))?;
    let length = file.metadata().map_err(at(path))?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(256)))
        .map_err(at(path))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).map_err(at(path))?;
    if end
        .windows(PLAIN_END.len())
        .any(|window| window == PLAIN_END)
    {
        Ok(())
    } else {
        Err(BackupError::Truncated)
    }
}

/// Removes all but the newest `keep` dumps with this extension; returns the names removed.
fn prune(directory: &Path, extension: &str, keep: usize) -> Result<Vec<String>, BackupError> {
    let mut names: Vec<String> = names(directory)?
        .into_iter()
        .filter(|name| is_dump_name(name, extension))
        .collect();
    // The time is in the name, written so that it sorts.
    names.sort_unstable_by(|one, other| other.cmp(one));
    let old = names.split_off(keep.min(names.len()));
    for name in &old {
        let path = directory.join(name);
        std::fs::remove_file(&path).map_err(at(&path))?;
    }
    Ok(old)
}

/// Whether `name` is one that this program gives: other files in the folder are left alone.
fn is_dump_name(name: &str, extension: &str) -> bool {
    name.strip_prefix("hello-")
        .and_then(|rest| rest.strip_suffix(extension))
        .and_then(|rest| rest.strip_suffix("Z."))
        .is_some_and(|time| chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").is_ok())
}

/// Removes what a backup that was killed has left behind.
fn remove_leftovers(directory: &Path) -> Result<(), BackupError> {
    for name in names(directory)? {
        if name.starts_with(".hello-") && name.ends_with(".partial") {
            let path = directory.join(&name);
            std::fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(at(directory))? {
        // A name that is not UTF-8 is none of ours.
        if let Ok(name) = entry.map_err(at(directory))?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Keeps other backups out of the folder for as long as the returned file is open.
fn lock(directory: &Path) -> Result<File, BackupError> {
    let path = directory.join(".hello-backup.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(BackupError::Busy(directory.into())),
        Err(std::fs::TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

/// Only the owner may read a dump: it holds everybody's data. `pg_dump` keeps the mode of a file that is there.
fn create_private(path: &Path) -> Result<(), BackupError> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(at(path))
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prunes_the_oldest_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let ours = [
            "hello-20260101T000000Z.dump",
            "hello-20260102T000000Z.dump",
            "hello-20251231T235959Z.dump",
        ];
        let others = [
            "hello-20200101T000000Z.sql",
            "hello-x.dump",
            "hello-20200101T000000Z.dump.gz",
        ];
        for name in ours.iter().chain(&others) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let removed = prune(folder.path(), "dump", 2).unwrap();
        assert_eq!(removed, ["hello-20251231T235959Z.dump"]);
        let mut left = names(folder.path()).unwrap();
        left.sort();
        assert_eq!(left.len(), 5);
        assert!(prune(folder.path(), "dump", 2).unwrap().is_empty());
    }

    #[test]
    fn a_truncated_plain_dump_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "--\n-- PostgreSQL database dump complete\n--\n\n",
        )
        .unwrap();
        check_plain(file.path()).unwrap();
        std::fs::write(file.path(), "INSERT INTO users").unwrap();
        assert!(check_plain(file.path()).is_err());
    }

    #[test]
    fn one_backup_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(BackupError::Busy(_))));
        drop(first);
        lock(folder.path()).unwrap();
    }
}
