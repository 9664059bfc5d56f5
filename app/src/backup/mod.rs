//! Backups: pg_dump into a folder, such that a file under its final name is complete.

mod authorities;
mod destination;
mod dump;
mod error;
mod programs;
mod retention;

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use self::destination::Folder;
use self::dump::DumpFile;
pub use self::error::BackupError;
use self::programs::Programs;
use crate::config::{BackupConfig, BackupOptions};
use crate::lifecycle;
use crate::postgres_url::PostgresUrl;
use crate::store::DatabaseUrl;

/// What was written and deleted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the backup began.
    pub time: DateTime<Utc>,
    /// The new dumps.
    pub files: Vec<DumpFile>,
    /// Names of old dumps that were deleted.
    pub pruned: Vec<String>,
}

/// Takes one dump in each format, checks it, and only then deletes old ones.
///
/// # Errors
/// See [`BackupError`]. A backup that fails touches no file under a final name.
pub async fn run(config: &BackupConfig) -> Result<Report, BackupError> {
    let folder = Folder::lock(&config.options.directory)?;
    folder.remove_partial_files()?;
    let outcome = tokio::select! {
        report = steps(config, &folder) => report,
        _ = lifecycle::termination() => Err(BackupError::Interrupted),
    };
    let removed = folder.remove_partial_files();
    let report = outcome?;
    removed?;
    Ok(report)
}

/// Prints a report as one line of JSON.
///
/// # Errors
/// When it cannot be written.
pub fn print(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    io::stdout().write_all(&line)
}

/// The steps of a backup, in order.
async fn steps(config: &BackupConfig, folder: &Folder) -> Result<Report, BackupError> {
    let BackupOptions {
        format: formats,
        keep_last,
        pg_bin,
        ..
    } = &config.options;
    let time = Utc::now();
    let url = postgres_url(config)?;
    let programs = Programs::new(pg_bin.as_deref(), url.program(), folder)?;
    let mut files = Vec::new();
    for format in formats {
        files.push(dump::take(&programs, folder, *format, time).await?);
    }
    folder.sync()?;
    let mut pruned = Vec::new();
    for format in formats {
        let expired = retention::expired(folder.names()?, *format, keep_last.get());
        folder.remove(&expired)?;
        pruned.extend(expired);
    }
    Ok(Report {
        time,
        files,
        pruned,
    })
}

fn postgres_url(config: &BackupConfig) -> Result<PostgresUrl, BackupError> {
    match config.database.read()? {
        DatabaseUrl::Postgres(url) => Ok(*url),
        DatabaseUrl::Sqlite(_) => Err(BackupError::NotPostgres),
    }
}
