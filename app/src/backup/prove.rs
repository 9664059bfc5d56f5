//! The proof: a dump is restored into a throw-away server, and what is in there is compared with what was dumped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use sqlx::Connection;

use super::contents::{Contents, Sequence};
use super::error::{BackupError, Reason, not_proved};
use super::manifest::Proof;
use super::programs::Programs;
use super::progress;
use super::scratch::{DATABASE, Scratch};
use crate::config::DumpFormat;

/// How many differences a message names.
const NAMED: usize = 5;

/// What a restored dump is compared with.
pub struct Expected<'a> {
    /// What the database had.
    pub contents: &'a Contents,
    /// What its sequences were after the dump.
    pub later: &'a BTreeMap<String, Sequence>,
}

/// What became of a dump.
pub struct Restored {
    proof: Proof,
    contents: Contents,
}

/// Restores `file`, which needs these extensions, into the server, which is prepared.
///
/// # Errors
/// [`Reason::NotProved`] when the server is the cause; otherwise what is wrong with the dump.
pub async fn restore(
    programs: &Programs,
    scratch: &Scratch,
    file: &Path,
    format: DumpFormat,
    extensions: &BTreeSet<String>,
) -> Result<Restored, BackupError> {
    check_extensions(scratch, extensions).await?;
    let start = Instant::now();
    let restore = programs.restore(format, file, scratch.folder(), DATABASE);
    let restored = progress::show("restoring the dump", None, restore).await;
    let restore_seconds = start.elapsed().as_secs_f64();
    if let Err(error) = restored {
        return Err(cause(scratch, error).await);
    }
    Ok(Restored {
        proof: Proof { restore_seconds },
        contents: read(scratch).await.map_err(not_proved)?,
    })
}

impl Restored {
    /// Compares it; with the proof, what was restored.
    ///
    /// # Errors
    /// [`Reason::Mismatch`] with what differs.
    pub fn compare(self, expected: &Expected<'_>) -> Result<(Proof, Contents), BackupError> {
        let Self { proof, contents } = self;
        let differences = expected.contents.differences(expected.later, &contents);
        if !differences.is_empty() {
            let listed = differences.len().min(NAMED);
            let message = format!(
                "the restored dump differs from the database in {} places: {}",
                differences.len(),
                differences[..listed].join("; ")
            );
            return Err(BackupError::found(Reason::Mismatch, message));
        }
        tracing::info!(
            restore_seconds = proof.restore_seconds,
            rows = contents.rows(),
            "dump restored and compared"
        );
        Ok((proof, contents))
    }
}

async fn read(scratch: &Scratch) -> Result<Contents, sqlx::Error> {
    let mut connection = scratch.connect(DATABASE).await?;
    let contents = Contents::read(&mut connection).await?;
    connection.close().await?;
    Ok(contents)
}

/// Refuses extensions that the throw-away server's image does not have: the dump cannot be restored with it.
async fn check_extensions(scratch: &Scratch, wanted: &BTreeSet<String>) -> Result<(), BackupError> {
    let mut connection = scratch.connect("postgres").await.map_err(not_proved)?;
    let available: Vec<String> =
        sqlx::query_scalar("SELECT name::text FROM pg_available_extensions")
            .fetch_all(&mut connection)
            .await
            .map_err(not_proved)?;
    let missing: Vec<_> = wanted
        .iter()
        .filter(|name| !available.contains(name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the dump cannot be restored with these programs of PostgreSQL, which lack the extensions {}: use an image \
         that has them",
        missing.join(", ")
    );
    Err(BackupError::found(Reason::RestoreFailed, message))
}

/// What a failure of the restore says: of the dump, or of the server that it was tried in.
async fn cause(scratch: &Scratch, error: BackupError) -> BackupError {
    const OUT_OF_ROOM: &str = "No space left on device";
    match error {
        BackupError::Program { program, message } => {
            if message.contains(OUT_OF_ROOM) || !scratch.is_alive().await {
                return not_proved(message);
            }
            let message = format!("{program} failed: {message}");
            BackupError::found(Reason::RestoreFailed, message)
        }
        error => not_proved(error),
    }
}
