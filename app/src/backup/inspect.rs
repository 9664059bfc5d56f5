//! `backup list`, `verify` and `fetch`: what is in the destination, whether it is what it should be, and how it is got.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::destination::{Destination, Entry, Local, State, Work, digest_of, sync};
use super::error::{BackupError, Reason, at};
use super::manifest::{Manifest, SetFile, plain_name};
use super::programs::{Programs, check_maker};
use super::prove::{self, Expected};
use super::scratch::Scratch;
use super::seal;
use crate::age::Identity;
use crate::config::{
    DestinationConfig, FetchConfig, IdentityOptions, ProofOptions, VerifyConfig, read_identities,
};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<&'a [String]>,
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
            recipients: manifest
                .encryption
                .as_ref()
                .map(|encryption| &*encryption.recipients),
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
        State::Unreadable => "not readable",
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
    if entry.state == State::Unreadable {
        return Err(entry.refused());
    }
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
    identities: Vec<Identity>,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Candidate {
    /// The set `name` in `destination`; `latest` is the newest that counts.
    ///
    /// # Errors
    /// When there is none, it has no manifest, or the identities cannot be read any more.
    pub async fn find(
        destination: &DestinationConfig,
        name: &str,
        identity: &IdentityOptions,
    ) -> Result<Self, BackupError> {
        let identities = identities(identity)?;
        let destination = Destination::new(destination)?;
        let catalog = destination.catalog().await?;
        let manifest = manifest_of(catalog.find(name)?)?.clone();
        Ok(Self {
            destination,
            identities,
            manifest,
        })
    }

    /// Refuses an encrypted set when there is nothing to open it with.
    ///
    /// # Errors
    /// [`Reason::NotOpened`].
    pub fn check_identities(&self) -> Result<(), BackupError> {
        let (name, encryption) = (&self.manifest.name, &self.manifest.encryption);
        let Some(encryption) = encryption.as_ref().filter(|_| self.identities.is_empty()) else {
            return Ok(());
        };
        let message = format!(
            "{name} is encrypted, and was not opened: --identity-file (`identitySecretRef`) names the identity of {}",
            encryption.recipients.join(" or ")
        );
        Err(BackupError::found(Reason::NotOpened, message))
    }

    /// Refuses programs that cannot restore what was dumped by later ones.
    ///
    /// # Errors
    /// [`Reason::ToolTooOld`], or that pg_dump, whose version counts, cannot be run.
    pub async fn check_programs(&self, options: &ProofOptions) -> Result<(), BackupError> {
        let (tool, _) = Programs::new(options.pg_bin.as_deref()).version().await?;
        check_maker(tool, &self.manifest.tool_version, &self.manifest.name)
    }

    /// The files, once each has the digest of the manifest.
    async fn checked(&self) -> Result<Local, BackupError> {
        let local = self.destination.local(&self.manifest).await?;
        for file in &self.manifest.files {
            check_digest(&local.path(&file.name), &file.sha256)?;
        }
        Ok(local)
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
        let local = self.checked().await?;
        self.check_identities()?;
        let Some((file, format)) = manifest.restorable() else {
            let message = format!("{} has no dump", manifest.name);
            return Err(BackupError::found(Reason::Mismatch, message));
        };
        let expected = Expected {
            contents: &manifest.contents,
            later: &manifest.contents.sequences,
        };
        let mut path = local.path(&file.name);
        // Goes with what was opened when this ends.
        let opened;
        if manifest.encryption.is_some() {
            opened = Work::temporary("hello-opened")?;
            let plain = opened.folder().partial(plain_name(&file.name));
            seal::open(&self.identities, &path, &plain).await?;
            path = plain;
        }
        scratch.prepare(&manifest.roles).await?;
        let programs = Programs::new(options.pg_bin.as_deref());
        let extensions = &manifest.contents.extensions;
        let restored = prove::restore(&programs, scratch, &path, format, extensions).await?;
        let (proof, _) = restored.compare(&expected)?;
        Ok(proof.restore_seconds)
    }
}

/// Proves a set again; says how it went.
///
/// # Errors
/// What is wrong with the set, or why it cannot be proved.
pub async fn verify(config: &VerifyConfig, name: &str) -> Result<String, BackupError> {
    let candidate = Candidate::find(&config.destination, name, &config.identity).await?;
    if let Err(error) = candidate.check_identities() {
        candidate.checked().await?;
        let message = format!(
            "{error}; the SHA-256 of its files is that of its manifest, and whether they can be restored was not tried"
        );
        return Err(BackupError::found(error.reason(), message));
    }
    candidate.check_programs(&config.proof).await?;
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

/// The identities in the file that is named, if one is.
fn identities(options: &IdentityOptions) -> Result<Vec<Identity>, BackupError> {
    let Some(path) = &options.identity_file else {
        return Ok(Vec::new());
    };
    read_identities(path).map_err(|error| BackupError::found(Reason::NotOpened, error))
}

/// Copies a set to the folder `to`, and checks the digests of the copies; says what was copied. With identities, what is
/// encrypted is opened.
///
/// # Errors
/// When a copy cannot be written, is there already, cannot be opened, or is not what it should be.
pub async fn fetch(config: &FetchConfig, name: &str, to: &Path) -> Result<String, BackupError> {
    let identities = identities(&config.identity)?;
    let destination = Destination::new(&config.destination)?;
    let catalog = destination.catalog().await?;
    let manifest = manifest_of(catalog.find(name)?)?;
    for file in &manifest.files {
        copy(&destination, &file.name, to, Some(file), &identities).await?;
    }
    copy(&destination, &manifest.file_name(), to, None, &[]).await?;
    Ok(format!("{} is in {}", manifest.name, to.display()))
}

/// Copies a file under another name, opens it if there are identities, and gives it its own once the copy is checked and on
/// disk.
async fn copy(
    destination: &Destination,
    name: &str,
    to: &Path,
    expected: Option<&SetFile>,
    identities: &[Identity],
) -> Result<(), BackupError> {
    let partial = |name: &str| to.join(format!(".{name}.partial"));
    let opens = !identities.is_empty() && plain_name(name) != name;
    let kept = if opens { plain_name(name) } else { name };
    let (path, copied) = (to.join(kept), partial(name));
    if path.exists() {
        return Err(at(&path)(io::ErrorKind::AlreadyExists.into()));
    }
    let checked = async {
        let size = expected.map(|file| file.size_bytes);
        destination.copy(name, size, &copied).await?;
        expected.map_or(Ok(()), |file| check_digest(&copied, &file.sha256))?;
        if opens {
            seal::open(identities, &copied, &partial(kept)).await?;
        }
        sync(&partial(kept))
    };
    let checked = checked.await;
    // The first error is the one to report.
    if opens {
        let _ = std::fs::remove_file(&copied);
    }
    if checked.is_err() {
        let _ = std::fs::remove_file(partial(kept));
    }
    checked?;
    std::fs::rename(partial(kept), &path).map_err(at(&path))?;
    sync(to)
}
