//! What one backup writes with: the destination, and the folder in which files are made.

use std::sync::OnceLock;
use std::time::Duration;

use super::folder::{Folder, digest_of, sync, write_private};
use super::work::Work;
use super::{Catalog, Destination};
use crate::backup::error::{BackupError, Reason};
use crate::backup::manifest::Manifest;

/// How long the end of a backup may take for what it leaves in a bucket.
const CLEANING: Duration = Duration::from_secs(20);

/// Writes one backup.
#[derive(Debug)]
pub struct Writer {
    destination: Destination,
    work: Work,
    /// The folder for what is to be encrypted, where that must not be in the destination.
    plain: Option<Work>,
    /// The set that was begun.
    set: OnceLock<String>,
}

impl Writer {
    /// Locks the folder in which files are made, and removes what other backups have left.
    ///
    /// # Errors
    /// When another backup holds the lock, the folder cannot be written, or the bucket cannot be read.
    pub async fn open(destination: Destination, encrypts: bool) -> Result<Self, BackupError> {
        let work = match &destination {
            Destination::Folder(path) => Work::open(Some(path))?,
            Destination::Bucket(bucket) => {
                Work::open(bucket.work.as_deref()).map_err(of_working_folder)?
            }
        };
        let plain = match &destination {
            Destination::Folder(_) if encrypts => {
                Some(Work::temporary("hello-plain").map_err(of_working_folder)?)
            }
            _ => None,
        };
        let writer = Self {
            destination,
            work,
            plain,
            set: OnceLock::new(),
        };
        if let Destination::Bucket(bucket) = &writer.destination {
            bucket.clean(None).await?;
        }
        Ok(writer)
    }

    /// The folder in which files are made.
    pub fn folder(&self) -> &Folder {
        self.work.folder()
    }

    /// The folder in which the dumps are, before they are encrypted if that is wanted.
    pub fn plain(&self) -> &Folder {
        self.plain.as_ref().unwrap_or(&self.work).folder()
    }

    /// What an error at a dump means that is not encrypted yet.
    pub fn explained_plain(&self, error: BackupError) -> BackupError {
        match &self.plain {
            Some(_) => of_working_folder(error),
            None => error,
        }
    }

    /// The sets that are there.
    ///
    /// # Errors
    /// When the destination cannot be read.
    pub async fn catalog(&self) -> Result<Catalog, BackupError> {
        self.destination.catalog().await
    }

    /// Whether there is room for so many bytes. Without a number, and in a bucket, which does not say it beforehand, it
    /// is for the destination to refuse.
    pub fn has_room(&self, needed: Option<u64>) -> bool {
        match &self.destination {
            Destination::Folder(_) => needed.is_some_and(|needed| {
                let available = self.folder().available();
                available.is_ok_and(|bytes| bytes >= needed)
            }),
            Destination::Bucket(_) => needed.is_some(),
        }
    }

    /// Begins the set of this name.
    ///
    /// # Errors
    /// When the destination takes nothing.
    pub async fn begin(&self, set: &str) -> Result<(), BackupError> {
        if let Destination::Bucket(bucket) = &self.destination {
            bucket.begin(set).await?;
        }
        let _ = self.set.set(set.to_owned()); // there is one set
        Ok(())
    }

    /// Brings the unfinished file that becomes `name` to where it is kept, and reads it back: its digest and its length.
    /// From here on the unfinished file is what was read.
    ///
    /// # Errors
    /// When it cannot be kept, or is not read as it was written.
    pub async fn keep(&self, name: &str) -> Result<(String, u64), BackupError> {
        let path = self.folder().partial(name);
        // Most of it is still in memory.
        let written = digest_of(&path, false)?;
        match &self.destination {
            Destination::Folder(_) => sync(&path)?,
            Destination::Bucket(bucket) => {
                bucket.upload(name, &path).await?;
                bucket.download(name, Some(written.1), &path).await?;
            }
        }
        let read = digest_of(&path, matches!(self.destination, Destination::Folder(_)))?;
        if read == written {
            return Ok(read);
        }
        let culprit = match self.destination {
            Destination::Folder(_) => "the volume",
            Destination::Bucket(_) => "the bucket, or the way there,",
        };
        let message = format!("{name} is not read as it was written: {culprit} is defective");
        Err(BackupError::found(Reason::Mismatch, message))
    }

    /// Makes a set of the files: from here on it exists.
    ///
    /// # Errors
    /// When the manifest cannot be written, or one of the names is taken.
    pub async fn publish(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let json = serde_json::to_vec_pretty(manifest).unwrap_or_default(); // its keys are texts
        match &self.destination {
            Destination::Folder(_) => {
                let (folder, name) = (self.folder(), manifest.file_name());
                write_private(&folder.partial(&name), &json)?;
                folder.publish(&manifest.file_names(), &name)
            }
            Destination::Bucket(bucket) => bucket.publish(&manifest.name, json).await,
        }
    }

    /// Deletes a set.
    ///
    /// # Errors
    /// When the destination refuses.
    pub async fn remove(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let files = manifest.file_names();
        match &self.destination {
            Destination::Folder(_) => self.folder().remove(&files, &manifest.file_name()),
            Destination::Bucket(bucket) => bucket.remove(&manifest.name, &files).await,
        }
    }

    /// Deletes what is not finished. What cannot be deleted is left to later backups.
    pub async fn clean(&self) {
        self.folder().clean();
        let (Destination::Bucket(bucket), Some(set)) = (&self.destination, self.set.get()) else {
            return;
        };
        match tokio::time::timeout(CLEANING, bucket.clean(Some(set))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "what is left of this backup stays in the bucket for a day");
            }
            Err(_) => tracing::warn!("what is left of this backup stays in the bucket for a day"),
        }
    }

    /// What an error means here. That this machine has no room beside a bucket says nothing about the bucket.
    pub fn explained(&self, error: BackupError) -> BackupError {
        match (&self.destination, &error) {
            (Destination::Bucket(_), BackupError::Bucket { .. }) | (Destination::Folder(_), _) => {
                error
            }
            (Destination::Bucket(_), _) => of_working_folder(error),
        }
    }
}

/// The destination is a bucket, and the cause is on this machine.
fn of_working_folder(error: BackupError) -> BackupError {
    match error.reason() {
        Reason::DestinationFull | Reason::DestinationDenied | Reason::DestinationUnreachable => {
            let message = format!("the folder in which backups are made: {error}");
            BackupError::found(Reason::DumpFailed, message)
        }
        _ => error,
    }
}
