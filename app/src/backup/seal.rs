//! Encryption of dumps: files of age, which its own program opens, too.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use ring::digest::{Context, SHA256};

use super::destination::{create_private, digest_of, hexadecimal};
use super::error::{BackupError, Reason, at};
use crate::age::{self, CHUNK, Identity, OpenError, Recipient, SEALED_CHUNK};

/// Encrypts the file `plain` to all `recipients`, each of which can open `sealed` alone.
///
/// # Errors
/// When one of the files cannot be read or written, or `plain` is not read twice as the same.
pub async fn seal(
    recipients: &[Recipient],
    plain: &Path,
    sealed: &Path,
) -> Result<(), BackupError> {
    let failed = |_| {
        let message = "the dump cannot be encrypted: nobody can have the secret key of a recipient, or there is no randomness";
        BackupError::found(Reason::DumpFailed, message)
    };
    let (beginning, mut payload) = age::begin(recipients).map_err(failed)?;
    let mut source = BufReader::new(File::open(plain).map_err(at(plain))?);
    let mut target = create_private(sealed)?;
    target.write_all(&beginning).map_err(at(sealed))?;
    let (mut digest, mut chunk) = (Context::new(&SHA256), Vec::with_capacity(SEALED_CHUNK));
    loop {
        let is_last = next_chunk(&mut source, CHUNK, &mut chunk).map_err(at(plain))?;
        digest.update(&chunk);
        payload.seal(&mut chunk, is_last).map_err(failed)?;
        target.write_all(&chunk).map_err(at(sealed))?;
        if is_last {
            break;
        }
        // A signal, and what a person at a terminal sees, come in between.
        tokio::task::yield_now().await;
    }
    // What is proved is read once more.
    if digest_of(plain, true)?.0 == hexadecimal(digest.finish().as_ref()) {
        return Ok(());
    }
    let message = "the dump is not read twice as the same: the disk of the folder for temporary files is defective";
    Err(BackupError::found(Reason::Mismatch, message))
}

/// Opens the file `sealed` with one of the identities. There is no `plain` unless all of it is as it was encrypted.
///
/// # Errors
/// [`Reason::NotOpened`] when it is encrypted to others, [`Reason::Mismatch`] when it is not what it was.
pub async fn open(identities: &[Identity], sealed: &Path, plain: &Path) -> Result<(), BackupError> {
    let opened = try_open(identities, sealed, plain).await;
    if opened.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(plain);
    }
    opened
}

async fn try_open(identities: &[Identity], sealed: &Path, plain: &Path) -> Result<(), BackupError> {
    let mut source = BufReader::new(File::open(sealed).map_err(at(sealed))?);
    let opened = age::open(&mut source, identities);
    let mut payload = opened.map_err(|error| refused(sealed, error))?;
    let mut target = create_private(plain)?;
    let mut chunk = Vec::with_capacity(SEALED_CHUNK);
    loop {
        let is_last = next_chunk(&mut source, SEALED_CHUNK, &mut chunk).map_err(at(sealed))?;
        let opened = payload.open(&mut chunk, is_last);
        let opened = opened.map_err(|_| changed(sealed))?;
        target.write_all(opened).map_err(at(plain))?;
        if is_last {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// Reads so many bytes, or what is left; whether nothing comes after them.
fn next_chunk(source: &mut impl BufRead, length: usize, chunk: &mut Vec<u8>) -> io::Result<bool> {
    chunk.clear();
    source.by_ref().take(length as u64).read_to_end(chunk)?;
    Ok(source.fill_buf()?.is_empty())
}

fn refused(sealed: &Path, error: OpenError) -> BackupError {
    match error {
        OpenError::NoMatch => BackupError::found(
            Reason::NotOpened,
            format!(
                "{} is encrypted to others than the identities that were given",
                sealed.display()
            ),
        ),
        OpenError::Invalid => changed(sealed),
        OpenError::Io(error) => at(sealed)(error),
    }
}

fn changed(sealed: &Path) -> BackupError {
    let message = format!(
        "{} cannot be opened: it is not what was encrypted",
        sealed.display()
    );
    BackupError::found(Reason::Mismatch, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::tests::identity;

    /// Seals so many bytes in a new folder to so many new identities.
    async fn sealed(length: usize, recipients: usize) -> (tempfile::TempDir, Vec<Identity>) {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        std::fs::write(folder.path().join("plain"), bytes).unwrap();
        let identities: Vec<_> = (0..recipients).map(|_| identity()).collect();
        let keys: Vec<Recipient> = identities.iter().map(Identity::recipient).collect();
        let (plain, file) = (folder.path().join("plain"), folder.path().join("sealed"));
        seal(&keys, &plain, &file).await.unwrap();
        (folder, identities)
    }

    async fn reason(folder: &Path, identities: &[Identity]) -> Option<Reason> {
        let (file, plain) = (folder.join("sealed"), folder.join("opened"));
        let opened = open(identities, &file, &plain).await;
        assert_eq!(plain.exists(), opened.is_ok(), "half a dump is none");
        opened.err().map(|error| error.reason())
    }

    #[tokio::test]
    async fn every_recipient_opens_it_alone() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let (folder, identities) = sealed(length, 3).await;
            for identity in identities {
                assert_eq!(reason(folder.path(), &[identity]).await, None);
                let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
                assert!(read("plain") == read("opened"), "{length}");
            }
            let other = identity();
            let found = reason(folder.path(), &[other]).await;
            assert_eq!(found, Some(Reason::NotOpened));
        }
    }

    #[tokio::test]
    async fn whatever_is_cut_added_or_flipped_is_found() {
        let (folder, identities) = sealed(CHUNK + 9, 1).await;
        let file = folder.path().join("sealed");
        let bytes = std::fs::read(&file).unwrap();
        let header = bytes.len() - (CHUNK + 9);
        for at in (0..header).step_by(7).chain([header + 99, bytes.len() - 1]) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&file, flipped).unwrap();
            let found = reason(folder.path(), &identities).await;
            // One in what is said of the recipients may make it one of others.
            assert!(
                matches!(found, Some(Reason::Mismatch | Reason::NotOpened)),
                "byte {at}: {found:?}"
            );
            std::fs::write(&file, &bytes[..at]).unwrap();
            let found = reason(folder.path(), &identities).await;
            assert_eq!(found, Some(Reason::Mismatch), "cut at {at}");
        }
        std::fs::write(&file, [&bytes[..], b"x"].concat()).unwrap();
        let found = reason(folder.path(), &identities).await;
        assert_eq!(found, Some(Reason::Mismatch), "one byte more");
    }
}
