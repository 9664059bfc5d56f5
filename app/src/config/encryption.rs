//! Keys in the form of age: backups are encrypted to recipients, and opened with identities.

use std::path::{Path, PathBuf};

use super::group::option_group;
use super::option::checked_path;
use crate::age::Identity;
use crate::secret::Secret;

option_group! {
    /// What encrypted backups are opened with.
    "Identity" => pub struct IdentityOptions {
        /// File with identities of age (`AGE-SECRET-KEY-1…`), one in a line, as `age-keygen` writes it. Encrypted backups are
        /// opened with them.
        identity_file: Option<PathBuf> = checked_path(
            "HELLO_BACKUP_IDENTITY_FILE", "the path of a file with identities of age", |path| {
                read_identities(path).map(drop)
            }),
    }
}

/// Reads a file of identities: one in a line, among comments. What is wrong is said without what is in it.
///
/// # Errors
/// When it cannot be read, or a line is none.
pub fn read_identities(path: &Path) -> Result<Vec<Identity>, String> {
    let of_file = |problem: String| format!("{}: {problem}", path.display());
    let secret = Secret::read(path).map_err(|error| of_file(error.to_string()))?;
    let mut identities = Vec::new();
    for (number, line) in (1..).zip(secret.expose().lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity = line.parse::<Identity>();
        let problem = |error| of_file(format!("line {number} {error}"));
        identities.push(identity.map_err(problem)?);
    }
    if identities.is_empty() {
        return Err(of_file("holds no identity".to_owned()));
    }
    Ok(identities)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
    const SECRET: &str =
        "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

    #[test]
    fn identities_are_read_as_age_keygen_writes_them() {
        let read = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            read_identities(file.path())
        };
        let given = format!("# created: 2026-01-01\r\n# public key: {RECIPIENT}\r\n{SECRET}\r\n");
        let identities = read(&given).unwrap();
        assert_eq!(identities[0].recipient().to_string(), RECIPIENT);
        assert_eq!(read(&format!("{SECRET}\n\n{SECRET}")).unwrap().len(), 2);
        for wrong in [
            "",
            "# only a comment\n",
            RECIPIENT,
            &SECRET[..50],
            &format!("{SECRET}\n{}", &SECRET[1..]),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(!error.contains("GQ9778"), "{error}");
        }
        assert!(read_identities(Path::new("/nonexistent")).is_err());
    }
}
