//! `backup list`, `verify` and `fetch`: what is in the destination, whether it is what it should be, and how it is got.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::destination::{Destination, Entry, State, digest_of, sync};
use super::error::{BackupError, Reason, at};
use super::manifest::{Manifest, SetFile};
use super::programs::Programs;
use super::prove::{self, Expected};
use super::scratch::Scratch;
use crate::config::{DestinationConfig, ProofOptions, VerifyConfig};
use crate::lifecycle;

/// One line of the list, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    name: &'a str,
    state: State,
    #[serde(flatten)]
    manifest: Option<Summary<'a>>,
}

/// What a manifest says that lists show.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    sequence: u64,
    time: chrono::DateTime<chrono::Utc>,
    size_bytes: u64,
    rows: u64,
    schema_version: i64,
    server_version: &'a str,
    restore_seconds: Option<f64>,
    files: Vec<String>,
}

impl<'a> From<&'a Manifest> for Summary<'a> {
    fn from(manifest: &'a Manifest) -> Self {
        Self {
            sequence: manifest.sequence,
            time: manifest.time,
            size_bytes: manifest.size_bytes(),
            rows: manifest.contents.rows(),
            schema_version: manifest.schema_version,
            server_version: &manifest.server_version,
            restore_seconds: manifest.proof.map(|proof| proof.restore_seconds),
            files: manifest.file_names(),
        }
    }
}

/// The backups that are there: a table, or JSON.
///
/// # Errors
/// When the destination cannot be read.
pub async fn list(destination: &DestinationConfig, json: bool) -> Result<String, BackupError> {
    let catalog = Destination::new(destination)?.catalog().await?;
    let lines = catalog.entries.iter().map(|entry| Line {
        name: &entry.name,
        state: entry.state,
        manifest: entry.manifest.as_ref().map(Into::into),
    });
    if json {
        let lines: Vec<_> = lines.collect();
        return Ok(serde_json::to_string_pretty(&lines).unwrap_or_default()); // its keys are texts
    }
    let mut rows = vec![["NAME", "STATE", "BYTES", "ROWS", "RESTORED IN"].map(String::from)];
    rows.extend(lines.map(|line| table_row(&line)));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  "); // a text takes everything
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table.pop();
    Ok(table)
}

fn table_row(line: &Line<'_>) -> [String; 5] {
    let state = match line.state {
        State::Verified => "verified",
        State::NotProved => "not proved",
        State::Damaged => "damaged",
    };
    let of = |text: fn(&Summary<'_>) -> String| line.manifest.as_ref().map_or("-".into(), text);
    [
        line.name.to_owned(),
        state.to_owned(),
        of(|summary| summary.size_bytes.to_string()),
        of(|summary| summary.rows.to_string()),
        of(|summary| {
            let seconds = summary.restore_seconds;
            seconds.map_or("-".into(), |seconds| format!("{seconds:.1} s"))
        }),
    ]
}

/// The manifest of a set, without which nothing can be checked.
fn manifest_of(entry: &Entry) -> Result<&Manifest, BackupError> {
    entry.manifest.as_ref().ok_or_else(|| {
        let message = format!(
            "{} has no manifest that can be read, so nothing says what is in it",
            entry.name
        );
        BackupError::found(Reason::Mismatch, message)
    })
}

/// A set that may be restored, once it is proved again.
pub struct Candidate {
    destination: Destination,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Candidate {
    /// The set `name` in `destination`; `latest` is the newest that counts.
    ///
    /// # Errors
    /// When there is none, or it has no manifest.
    pub async fn find(destination: &DestinationConfig, name: &str) -> Result<Self, BackupError> {
        let destination = Destination::new(destination)?;
        let catalog = destination.catalog().await?;
        let manifest = manifest_of(catalog.find(name)?)?.clone();
        Ok(Self {
            destination,
            manifest,
        })
    }

    /// Asks for a server that it can be restored into.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub fn request_server(&self, options: &ProofOptions) -> Result<Scratch, BackupError> {
        let (shared, pg_bin) = (options.scratch.as_deref(), options.pg_bin.as_deref());
        Scratch::request(shared, pg_bin, &self.manifest.locale)
    }

    /// Checks the digests, restores it, and compares it with its manifest; the seconds that the restore took.
    ///
    /// # Errors
    /// What is wrong with the set, or why it cannot be proved.
    pub async fn prove(
        &self,
        options: &ProofOptions,
        scratch: &mut Scratch,
    ) -> Result<f64, BackupError> {
        let manifest = &self.manifest;
        let local = self.destination.local(manifest).await?;
        for file in &manifest.files {
            check_digest(&local.path(&file.name), &file.sha256)?;
        }
        let Some((file, format)) = manifest.restorable() else {
            let message = format!("{} has no dump", manifest.name);
            return Err(BackupError::found(Reason::Mismatch, message));
        };
        let expected = Expected {
            contents: &manifest.contents,
            later: &manifest.contents.sequences,
        };
        scratch.prepare(&manifest.roles).await?;
        let (programs, path) = (
            Programs::new(options.pg_bin.as_deref()),
            local.path(&file.name),
        );
        let proved = prove::restore_and_compare(&programs, scratch, &path, format, expected).await;
        Ok(proved?.0.restore_seconds)
    }
}

/// Proves a set again; says how it went.
///
/// # Errors
/// What is wrong with the set, or why it cannot be proved.
pub async fn verify(config: &VerifyConfig, name: &str) -> Result<String, BackupError> {
    let candidate = Candidate::find(&config.destination, name).await?;
    let mut scratch = candidate.request_server(&config.proof)?;
    let proof = tokio::select! {
        proof = candidate.prove(&config.proof, &mut scratch) => proof,
        _ = lifecycle::termination() => Err(BackupError::Interrupted),
    };
    scratch.stop().await;
    let seconds = proof?;
    Ok(format!(
        "{} is good: {} rows, restored in {seconds:.1} s",
        candidate.manifest.name,
        candidate.manifest.contents.rows()
    ))
}

fn check_digest(path: &Path, expected: &str) -> Result<(), BackupError> {
    let (digest, _) = digest_of(path, true)?;
    if digest == expected {
        return Ok(());
    }
    let message = format!(
        "{} was changed after it was made: its SHA-256 is not that of its manifest",
        path.display()
    );
    Err(BackupError::found(Reason::Mismatch, message))
}

/// Copies a set to the folder `to`, and checks the digests of the copies; says what was copied.
///
/// # Errors
/// When a copy cannot be written, is there already, or is not what it should be.
pub async fn fetch(
    destination: &DestinationConfig,
    name: &str,
    to: &Path,
) -> Result<String, BackupError> {
    let destination = Destination::new(destination)?;
    let catalog = destination.catalog().await?;
    let manifest = manifest_of(catalog.find(name)?)?;
    for file in &manifest.files {
        copy(&destination, &file.name, to, Some(file)).await?;
    }
    copy(&destination, &manifest.file_name(), to, None).await?;
    Ok(format!("{} is in {}", manifest.name, to.display()))
}

/// Copies a file under another name, and gives it its own once the copy is checked and on disk.
async fn copy(
    destination: &Destination,
    name: &str,
    to: &Path,
    expected: Option<&SetFile>,
) -> Result<(), BackupError> {
    let (path, partial) = (to.join(name), to.join(format!(".{name}.partial")));
    if path.exists() {
        return Err(at(&path)(io::ErrorKind::AlreadyExists.into()));
    }
    let size = expected.map(|file| file.size_bytes);
    let copied = destination.copy(name, size, &partial).await;
    let checked = copied
        .and_then(|()| sync(&partial))
        .and_then(|()| expected.map_or(Ok(()), |file| check_digest(&partial, &file.sha256)));
    if let Err(error) = checked {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, &path).map_err(at(&path))?;
    sync(to)
}
