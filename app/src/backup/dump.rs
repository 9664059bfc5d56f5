//! The files of a set: one dump, its other formats made from it, all of them read back.

use std::path::PathBuf;
use std::time::Duration;

use super::destination::{Folder, Writer, create_private};
use super::error::{BackupError, Reason};
use super::manifest::{SetFile, dump_name};
use super::programs::{Programs, Source};
use super::progress;
use crate::config::DumpFormat;

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
        let folder = writer.folder();
        let path = folder.partial(&dump_name(set, DumpFormat::Custom));
        create_private(&path)?;
        let dump = programs.dump(source, snapshot, lock_timeout, &path);
        progress::show("dumping the database", Some(&path), dump)
            .await
            .map_err(|error| destination_full(error, folder))?;
        Ok(Self { writer, set, path })
    }

    /// Writes each format, and reads each file back from where it is kept.
    ///
    /// # Errors
    /// When a file cannot be written, or is not read as it was written.
    pub async fn write(
        self,
        programs: &Programs,
        formats: &[DumpFormat],
    ) -> Result<Vec<SetFile>, BackupError> {
        let folder = self.writer.folder();
        let mut files = Vec::new();
        for format in formats {
            let name = dump_name(self.set, *format);
            let path = folder.partial(&name);
            if *format == DumpFormat::Plain {
                create_private(&path)?;
                let plain = programs.write_plain(&self.path, &path);
                progress::show("writing it as text", Some(&path), plain)
                    .await
                    .map_err(|error| destination_full(error, folder))?;
            }
            let kept = progress::show(
                "keeping it and reading it back",
                None,
                self.writer.keep(&name),
            );
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
