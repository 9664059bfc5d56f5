//! The folder and its files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use rustix::fs::{Advice, fadvise, statvfs};

use crate::backup::error::{BackupError, at};
use crate::backup::manifest::{PREFIX, dump_names, set_of_manifest};

/// What is around the name of a file that is not finished; a backup that is killed leaves it behind.
pub const PARTIAL: (&str, &str) = (".", ".partial");
/// The file whose lock keeps other backups out.
const LOCK: &str = ".hello-backup.lock";

/// The folder, locked: other backups keep out of it for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks the folder at `path`, and removes what a backup that was killed has left behind.
    ///
    /// # Errors
    /// When another backup holds the lock, or the folder cannot be written.
    pub fn lock(path: &Path) -> Result<Self, BackupError> {
        let lock = path.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(at(&lock))?;
        let folder = match file.try_lock() {
            Ok(()) => Self {
                path: path.into(),
                _lock: file,
            },
            Err(std::fs::TryLockError::WouldBlock) => return Err(BackupError::Busy(path.into())),
            Err(std::fs::TryLockError::Error(error)) => return Err(at(&lock)(error)),
        };
        folder.clean();
        Ok(folder)
    }

    /// The path of the file `name`.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of the file that becomes `name` once it is finished.
    pub fn partial(&self, name: &str) -> PathBuf {
        self.join(&partial_name(name))
    }

    /// Gives finished files their names, and the manifest's last of all. They are on disk already.
    ///
    /// # Errors
    /// When one of the names is taken, or the folder cannot be written.
    pub fn publish(&self, files: &[String], manifest: &str) -> Result<(), BackupError> {
        for name in files.iter().map(String::as_str).chain([manifest]) {
            let path = self.join(name);
            if path.exists() {
                return Err(at(&path)(io::ErrorKind::AlreadyExists.into()));
            }
            if name == manifest {
                sync(&self.path)?;
            }
            std::fs::rename(self.partial(name), &path).map_err(at(&path))?;
        }
        sync(&self.path)
    }

    /// Deletes a set: its manifest first, whose other name says that the files go too.
    ///
    /// # Errors
    /// When the folder cannot be written. The set is then there, or is none any more.
    pub fn remove(&self, files: &[String], manifest: &str) -> Result<(), BackupError> {
        let (published, partial) = (self.join(manifest), self.partial(manifest));
        std::fs::rename(&published, &partial).map_err(at(&published))?;
        for path in files.iter().map(|name| self.join(name)).chain([partial]) {
            remove_if_there(&path)?;
        }
        Ok(())
    }

    /// Deletes what is not finished, and the files of sets whose manifest was not yet published, or not any more. What
    /// cannot be deleted is left to the next time.
    pub fn clean(&self) {
        if let Err(error) = self.try_clean() {
            tracing::warn!(%error, "files that an interrupted backup has left cannot be deleted");
        }
    }

    fn try_clean(&self) -> Result<(), BackupError> {
        let names = names(&self.path)?;
        // The manifests last: they are what the files are found by.
        let (manifests, others): (Vec<_>, Vec<_>) = names
            .iter()
            .filter_map(|name| finished_name(name))
            .partition(|name| set_of_manifest(name).is_some());
        for name in others {
            remove_if_there(&self.partial(name))?;
        }
        for manifest in manifests {
            let is_published = names.iter().any(|name| name == manifest);
            let set = set_of_manifest(manifest).filter(|_| !is_published);
            for dump in set.map(dump_names).into_iter().flatten() {
                remove_if_there(&self.join(&dump))?;
            }
            remove_if_there(&self.partial(manifest))?;
        }
        Ok(())
    }

    /// How many bytes can still be written.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn available(&self) -> Result<u64, BackupError> {
        let status = statvfs(&self.path).map_err(|error| at(&self.path)(error.into()))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

/// Names of the files in the folder at `path`. Backups have names in UTF-8.
///
/// # Errors
/// When the folder cannot be read.
pub fn names(path: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(at(path))? {
        if let Ok(name) = entry.map_err(at(path))?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name that the file `name` has while it is not finished.
pub fn partial_name(name: &str) -> String {
    format!("{}{name}{}", PARTIAL.0, PARTIAL.1)
}

/// The name that the unfinished file `name` gets once it is finished.
pub fn finished_name(name: &str) -> Option<&str> {
    let name = name.strip_prefix(PARTIAL.0)?.strip_suffix(PARTIAL.1)?;
    name.starts_with(PREFIX).then_some(name)
}

fn remove_if_there(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Creates an empty file that only its owner may read: a dump holds the data of all users. PostgreSQL's programs keep
/// the mode of a file that exists.
///
/// # Errors
/// When it cannot be written.
pub fn create_private(path: &Path) -> Result<File, BackupError> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(at(path))
}

/// Writes a file that only its owner may read, and makes it durable.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    create_private(path)?.write_all(bytes).map_err(at(path))?;
    sync(path)
}

/// Writes a file such that it is there as a whole or not at all, also after a crash.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let aside = path.with_extension("new");
    write_private(&aside, bytes)?;
    std::fs::rename(&aside, path).map_err(at(path))
}

/// Makes a file or the names in a folder durable.
///
/// # Errors
/// When the system cannot.
pub fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(at(path))
}

/// The SHA-256 of a file in hexadecimal, and its length. `from_disk` drops what the system still has of it in memory,
/// where it does that for a file that is on disk.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of(path: &Path, from_disk: bool) -> Result<(String, u64), BackupError> {
    const BUFFER: usize = 256 << 10;
    let mut file = File::open(path).map_err(at(path))?;
    if from_disk {
        // It is advice.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
    let (mut digest, mut length) = (Context::new(&SHA256), 0);
    let mut bytes = vec![0; BUFFER];
    loop {
        let count = match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(at(path)(error)),
        };
        digest.update(&bytes[..count]);
        length += count as u64;
    }
    Ok((hexadecimal(digest.finish().as_ref()), length))
}

/// Bytes as text.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(folder: &Path) -> Vec<String> {
        let mut names = names(folder).unwrap();
        names.retain(|name| name != LOCK);
        names.sort();
        names
    }

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
    fn what_a_killed_backup_leaves_is_cleaned_up_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let kept = [
            ".hello-x",
            "hello-20260101T000000Z.dump", // of a former version: without a manifest
            "hello-20260102T000000Z.dump",
            "hello-20260102T000000Z.json",
            "x.partial",
        ];
        let left = [
            ".hello-20260103T000000Z.dump.partial",
            // The name of the next run's manifest, killed before anything else had its own.
            ".hello-20260103T000000Z.json.partial",
            // Killed between the names of its files and of its manifest, or while it was deleted.
            ".hello-20260104T000000Z.json.partial",
            "hello-20260104T000000Z.dump",
            "hello-20260104T000000Z.sql",
            // Not ours to be there, but the set is.
            ".hello-20260102T000000Z.json.partial",
        ];
        for name in kept.iter().chain(&left) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        drop(Folder::lock(folder.path()).unwrap());
        assert_eq!(sorted(folder.path()), kept);
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let locked = Folder::lock(folder.path()).unwrap();
        std::fs::write(locked.join("hello-1.json"), "old").unwrap();
        std::fs::write(locked.partial("hello-1.json"), "new").unwrap();
        let error = locked.publish(&[], "hello-1.json").unwrap_err();
        assert!(error.to_string().contains("hello-1.json"), "{error}");
        assert_eq!(std::fs::read(locked.join("hello-1.json")).unwrap(), b"old");
    }

    #[test]
    fn the_digest_is_that_of_sha256() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of(file.path(), true).unwrap(), (expected.into(), 3));
    }
}
