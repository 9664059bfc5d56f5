//! The folder that keeps the dumps.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::error::{BackupError, at};

/// Names a file that is not finished; a backup that is killed leaves it behind.
const PARTIAL: (&str, &str) = (".hello-", ".partial");

/// The folder, locked: other backups keep out of it for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks the folder at `path`.
    ///
    /// # Errors
    /// When another backup holds the lock, or the folder cannot be written.
    pub fn lock(path: &Path) -> Result<Self, BackupError> {
        let lock = path.join(".hello-backup.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(at(&lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                path: path.into(),
                _lock: file,
            }),
            Err(std::fs::TryLockError::WouldBlock) => Err(BackupError::Busy(path.into())),
            Err(std::fs::TryLockError::Error(error)) => Err(at(&lock)(error)),
        }
    }

    /// The path of the file `name`.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of the file that becomes `name` once it is finished.
    pub fn partial(&self, name: &str) -> PathBuf {
        let name = name.strip_prefix("hello-").unwrap_or(name);
        self.join(&format!("{}{name}{}", PARTIAL.0, PARTIAL.1))
    }

    /// Names of the files in the folder.
    pub fn names(&self) -> Result<Vec<String>, BackupError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(at(&self.path))? {
            // Backups have names in UTF-8.
            if let Ok(name) = entry.map_err(at(&self.path))?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Deletes files.
    pub fn remove(&self, names: &[String]) -> Result<(), BackupError> {
        for name in names {
            let path = self.join(name);
            std::fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Deletes what a backup that was killed has left behind.
    pub fn remove_partial_files(&self) -> Result<(), BackupError> {
        let mut names = self.names()?;
        names.retain(|name| name.starts_with(PARTIAL.0) && name.ends_with(PARTIAL.1));
        self.remove(&names)
    }

    /// Makes the names in the folder durable.
    pub fn sync(&self) -> Result<(), BackupError> {
        sync(&self.path)
    }
}

/// Creates an empty file that only its owner may read: a dump holds the data of all users. `pg_dump` keeps
/// the mode of a file that exists.
pub fn create_private(path: &Path) -> Result<(), BackupError> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(at(path))
}

/// Makes a file durable.
pub fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backup_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::lock(folder.path()).unwrap();
        assert!(matches!(
            Folder::lock(folder.path()),
            Err(BackupError::Busy(_))
        ));
        drop(first);
        Folder::lock(folder.path()).unwrap();
    }

    #[test]
    fn only_partial_files_are_cleaned_up() {
        let folder = tempfile::tempdir().unwrap();
        let locked = Folder::lock(folder.path()).unwrap();
        let partial = locked.partial("hello-20260101T000000Z.dump");
        assert_eq!(
            partial,
            folder.path().join(".hello-20260101T000000Z.dump.partial")
        );
        let kept = ["hello-20260101T000000Z.dump", "x.partial", ".hello-x"];
        for path in kept.map(|name| locked.join(name)).iter().chain([&partial]) {
            std::fs::write(path, "x").unwrap();
        }
        locked.remove_partial_files().unwrap();
        let mut names = locked.names().unwrap();
        names.retain(|name| name != ".hello-backup.lock");
        names.sort();
        assert_eq!(
            names,
            [".hello-x", "hello-20260101T000000Z.dump", "x.partial"]
        );
    }
}
