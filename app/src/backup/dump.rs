//! The files of a set: one dump, its other formats made from it, all of them read back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::destination::{Folder, Writer, create_private};
use super::error::{BackupError, Reason};
use super::manifest::{SetFile, dump_name, encrypted_name};
use super::programs::{Programs, Source};
use super::progress;
use super::seal::seal;
use crate::age::Recipient;
use crate::config::{BackupOptions, DumpFormat};

/// The dump that everything else is made from, not published yet.
pub struct Archive<'a> {
    writer: &'a Writer,
    set: &'a str,
    path: PathBuf,
}

impl<'a> Archive<'a> {
    /// Dumps what the snapshot sees, for the set of this name.
    ///
    /// # Errors
    /// When the dump cannot be made or written.
    pub async fn dump(
        programs: &Programs,
        source: &Source<'_>,
        snapshot: &str,
        lock_timeout: Duration,
        writer: &'a Writer,
        set: &'a str,
    ) -> Result<Self, BackupError> {
        let path = writer.plain().partial(&dump_name(set, DumpFormat::Custom));
        let dump = programs.dump(source, snapshot, lock_timeout, &path);
        make("dumping the database", writer, &path, dump).await?;
        Ok(Self { writer, set, path })
    }

    /// Writes each format, encrypts it if that is wanted, and reads each file back from where it is kept.
    ///
    /// # Errors
    /// When a file cannot be written, or is not read as it was written.
    pub async fn write(
        self,
        programs: &Programs,
        options: &BackupOptions,
    ) -> Result<Vec<SetFile>, BackupError> {
        let writer = self.writer;
        let mut files = Vec::new();
        for format in &options.format {
            let mut name = dump_name(self.set, *format);
            let path = writer.plain().partial(&name);
            if *format == DumpFormat::Plain {
                let plain = programs.write_plain(&self.path, &path);
                make("writing it as text", writer, &path, plain).await?;
            }
            if !options.encrypt_to.is_empty() {
                name = encrypt(writer, &options.encrypt_to, &name, &path).await?;
            }
            let kept = writer.keep(&name);
            let kept = progress::show("keeping it and reading it back", None, kept);
            let (sha256, size_bytes) = kept.await?;
            tracing::info!(name, size_bytes, "dump written and read back");
            files.push(SetFile {
                name,
                size_bytes,
                sha256,
            });
        }
        Ok(files)
    }
}

/// Lets a program write the file at `path`, which is not encrypted.
async fn make(
    step: &str,
    writer: &Writer,
    path: &Path,
    program: impl Future<Output = Result<(), BackupError>>,
) -> Result<(), BackupError> {
    let explained = |error| writer.explained_plain(destination_full(error, writer.plain()));
    create_private(path).map_err(explained)?;
    let made = progress::show(step, Some(path), program).await;
    made.map_err(explained)
}

/// Encrypts the file `name`, which is at `path`: the name of what it becomes.
async fn encrypt(
    writer: &Writer,
    recipients: &[Recipient],
    name: &str,
    path: &Path,
) -> Result<String, BackupError> {
    let encrypted = encrypted_name(name);
    let target = writer.folder().partial(&encrypted);
    let sealed = seal(recipients, path, &target);
    progress::show("encrypting it", Some(&target), sealed).await?;
    Ok(encrypted)
}

/// A program that failed on a full folder need not say so: one that may write no further is ended by a signal.
fn destination_full(error: BackupError, folder: &Folder) -> BackupError {
    const FULL: u64 = 64 << 10;
    match error {
        BackupError::Program { program, message }
            if folder.available().is_ok_and(|bytes| bytes < FULL) =>
        {
            let message = format!("{program} failed, and the folder is full: {message}");
            BackupError::found(Reason::DestinationFull, message)
        }
        error => error,
    }
}
