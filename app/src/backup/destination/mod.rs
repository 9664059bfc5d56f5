//! Where backups are kept: a folder, or a bucket.
//!
//! A backup is a set of files, the last of which is its manifest: no manifest, no backup. What is being written, and what
//! is being deleted, is recognized by its name, so that whoever was killed leaves nothing that the next one cannot tell.

mod bucket;
mod catalog;
mod folder;
mod work;
mod writer;

use std::path::{Path, PathBuf};

use self::bucket::Bucket;
pub use self::catalog::{Catalog, Entry, State};
pub use self::folder::{Folder, create_private, digest_of, hexadecimal, sync, write_whole};
pub use self::work::{Work, private_folder};
pub use self::writer::Writer;
use super::error::{BackupError, at};
use super::manifest::Manifest;
use crate::config::DestinationConfig;

/// Where backups are read from.
#[derive(Debug)]
pub enum Destination {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Box<Bucket>),
}

/// The files of a set on this machine: those of the folder, or copies that go when this does.
#[derive(Debug)]
pub enum Local {
    /// They are in the destination.
    Folder(PathBuf),
    /// They are copies.
    Copies(Work),
}

impl Local {
    /// The path of the file `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Copies(work) => work.folder().partial(name),
        }
    }
}

impl Destination {
    /// The destination that is configured. It is not looked at yet.
    ///
    /// # Errors
    /// When the certificates for it cannot be used.
    pub fn new(config: &DestinationConfig) -> Result<Self, BackupError> {
        Ok(match config {
            DestinationConfig::Folder(path) => Self::Folder(path.clone()),
            DestinationConfig::Bucket(config) => Self::Bucket(Box::new(Bucket::new(config)?)),
        })
    }

    /// The sets that are there. Sizes are checked, contents are not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn catalog(&self) -> Result<Catalog, BackupError> {
        match self {
            Self::Folder(path) => Catalog::read(path),
            Self::Bucket(bucket) => bucket.catalog().await,
        }
    }

    /// Copies the file `name` to `path`. It has to have `size` bytes, where that is known.
    ///
    /// # Errors
    /// When it cannot be read, or the copy cannot be written.
    pub async fn copy(
        &self,
        name: &str,
        size: Option<u64>,
        path: &Path,
    ) -> Result<(), BackupError> {
        match self {
            Self::Folder(folder) => std::fs::copy(folder.join(name), path)
                .map(drop)
                .map_err(at(path)),
            Self::Bucket(bucket) => bucket.download(name, size, path).await,
        }
    }

    /// The files of a set, on this machine.
    ///
    /// # Errors
    /// When they cannot be read, or copies cannot be written.
    pub async fn local(&self, manifest: &Manifest) -> Result<Local, BackupError> {
        let bucket = match self {
            Self::Folder(folder) => return Ok(Local::Folder(folder.clone())),
            Self::Bucket(bucket) => bucket,
        };
        let work = Work::open(bucket.work.as_deref())?;
        for file in &manifest.files {
            let path = work.folder().partial(&file.name);
            let size = Some(file.size_bytes);
            bucket.download(&file.name, size, &path).await?;
        }
        Ok(Local::Copies(work))
    }
}
