//! Where files are on this machine while they are made or read back.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::folder::Folder;
use crate::backup::error::{BackupError, at};

/// A locked folder: the destination, or one beside a bucket, whose unfinished files go when this does.
#[derive(Debug)]
pub struct Work {
    folder: Folder,
    /// A folder of this process alone, which goes as a whole.
    temporary: Option<PathBuf>,
}

impl Work {
    /// Locks the folder `given`, or a new one in that for temporary files.
    ///
    /// # Errors
    /// When the folder cannot be written, or another backup holds its lock.
    pub fn open(given: Option<&Path>) -> Result<Self, BackupError> {
        match given {
            Some(path) => Ok(Self {
                folder: Folder::lock(path)?,
                temporary: None,
            }),
            None => Self::temporary("hello-backup"),
        }
    }

    /// Makes a folder for temporary files; a process has at most one of this name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary(name: &str) -> Result<Self, BackupError> {
        let path = private_folder(name)?;
        Ok(Self {
            folder: Folder::lock(&path)?,
            temporary: Some(path),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        match &self.temporary {
            // What cannot be deleted now cannot be deleted later.
            Some(path) => drop(std::fs::remove_dir_all(path)),
            None => self.folder.clean(),
        }
    }
}

/// A new folder for temporary files that only this user can enter.
///
/// # Errors
/// When it cannot be made.
pub fn private_folder(name: &str) -> Result<PathBuf, BackupError> {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    // Left by another process of this number, which was killed.
    let _ = std::fs::remove_dir_all(&folder);
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(at(&folder))?;
    Ok(folder)
}
