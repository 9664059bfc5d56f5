//! The backups that are in a folder or a bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::folder::names;
use crate::backup::error::{BackupError, Reason, at};
use crate::backup::manifest::{
    FORMAT_VERSION, Manifest, SetFile, dump_names, manifest_name, set_of,
};
use crate::backup::retention::Kept;

/// Manifests list tables; one that is longer is not ours.
pub const LONGEST_MANIFEST: u64 = 64 << 20;

/// What a set is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It was restored and compared when it was made, and has all its files in their sizes.
    Verified,
    /// It was not restored: it has no manifest, as those of former versions, or its manifest says so.
    NotProved,
    /// It has lost a file or a part of one, or its manifest is none.
    Damaged,
    /// Its files may not be read, so nobody can tell.
    Unreadable,
}

/// One set.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The common part of the names of its files.
    pub name: String,
    /// What it is worth.
    pub state: State,
    /// What it says of itself.
    pub manifest: Option<Manifest>,
    /// Who refuses to have it read.
    pub refusal: Option<String>,
}

/// What is found in a destination.
#[derive(Debug, Default)]
pub struct Findings {
    /// The names and sizes of files.
    pub files: BTreeMap<String, u64>,
    /// The manifests that can be read, by the names of their sets.
    pub manifests: BTreeMap<String, Manifest>,
    /// Why sets may not be read.
    pub refusals: BTreeMap<String, String>,
}

/// All sets, by their sequence numbers; those without one first, by name.
#[derive(Debug)]
pub struct Catalog {
    /// The sets.
    pub entries: Vec<Entry>,
}

impl Findings {
    /// Notes the manifest of a set, if it is one.
    pub fn note_manifest(&mut self, set: &str, bytes: &[u8]) {
        if let Some(manifest) = parse_manifest(set, bytes) {
            self.manifests.insert(set.to_owned(), manifest);
        }
    }

    /// Notes that a set may not be read.
    ///
    /// # Errors
    /// The error, if it is another one.
    pub fn note_refusal(&mut self, set: &str, error: BackupError) -> Result<(), BackupError> {
        if error.reason() != Reason::DestinationDenied {
            return Err(error);
        }
        self.refusals.insert(set.to_owned(), error.to_string());
        Ok(())
    }
}

impl Catalog {
    /// Looks at the folder at `path`. Sizes are checked, contents are not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let mut found = Findings::default();
        for name in names(path)? {
            let Some(set) = set_of(&name) else { continue };
            let file = path.join(&name);
            let size = match std::fs::metadata(&file) {
                Ok(metadata) => metadata.len(),
                // A backup that runs now has deleted it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    // For another cause, it has not the size that its manifest says.
                    let _ = found.note_refusal(set, at(&file)(error));
                    0
                }
            };
            if name == manifest_name(set) && size <= LONGEST_MANIFEST {
                match std::fs::read(&file) {
                    Ok(bytes) => found.note_manifest(set, &bytes),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        // For another cause, it has no manifest.
                        let _ = found.note_refusal(set, at(&file)(error));
                    }
                }
            }
            found.files.insert(name, size);
        }
        Ok(Self::new(found))
    }

    /// The sets that these files are, by their names and sizes, with the manifests that can be read.
    pub fn new(found: Findings) -> Self {
        let Findings {
            files,
            mut manifests,
            mut refusals,
        } = found;
        let sets: BTreeSet<&str> = files.keys().filter_map(|name| set_of(name)).collect();
        let entry = |name: &str| {
            let (manifest, refusal) = (manifests.remove(name), refusals.remove(name));
            let state = match refusal {
                Some(_) => State::Unreadable,
                None => state(name, &files, manifest.as_ref()),
            };
            Entry {
                name: name.into(),
                state,
                manifest,
                refusal,
            }
        };
        let mut entries: Vec<_> = sets.into_iter().map(entry).collect();
        let sequence = |entry: &Entry| entry.manifest.as_ref().map(|manifest| manifest.sequence);
        entries.sort_by_key(sequence);
        Self { entries }
    }

    /// The sets that count, oldest first.
    pub fn verified(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.in_state(State::Verified)
    }

    /// Sets with a manifest that says that they were not restored, oldest first.
    pub fn unproved(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.in_state(State::NotProved)
    }

    fn in_state(&self, state: State) -> impl DoubleEndedIterator<Item = &Manifest> {
        let entries = self
            .entries
            .iter()
            .filter(move |entry| entry.state == state);
        entries.filter_map(|entry| entry.manifest.as_ref())
    }

    /// What the policy of retention needs to know of the sets that count.
    pub fn kept(&self) -> Vec<Kept> {
        let kept = |manifest: &Manifest| Kept {
            sequence: manifest.sequence,
            time: manifest.time,
        };
        self.verified().map(kept).collect()
    }

    /// How large the newest set is that counts.
    pub fn newest_size(&self) -> Option<u64> {
        self.verified().next_back().map(Manifest::size_bytes)
    }

    /// The number of the next set.
    pub fn next_sequence(&self) -> u64 {
        let manifests = self
            .entries
            .iter()
            .filter_map(|entry| entry.manifest.as_ref());
        let last = manifests.map(|manifest| manifest.sequence).max();
        last.unwrap_or_default() + 1
    }

    /// The set `name`; `latest` is the newest that counts.
    ///
    /// # Errors
    /// When there is none, or a later one may not be read, which may be the newest.
    pub fn find(&self, name: &str) -> Result<&Entry, BackupError> {
        let unknown = || BackupError::Unknown(name.into());
        if name != "latest" {
            let found = self.entries.iter().find(|entry| entry.name == name);
            return found.ok_or_else(unknown);
        }
        let mut newest_first = self.entries.iter().rev();
        let found = newest_first.find(|entry| entry.state == State::Verified);
        let later = |entry: &&Entry| {
            entry.state == State::Unreadable && found.is_none_or(|found| found.name < entry.name)
        };
        match self.entries.iter().find(later) {
            Some(later) => Err(later.refused()),
            None => found.ok_or_else(unknown),
        }
    }
}

impl Entry {
    /// Why it may not be read.
    pub fn refused(&self) -> BackupError {
        let refusal = self.refusal.as_deref().unwrap_or_default();
        BackupError::found(
            Reason::DestinationDenied,
            format!("{} may not be read: {refusal}", self.name),
        )
    }
}

/// What the set `name` is worth.
fn state(name: &str, files: &BTreeMap<String, u64>, manifest: Option<&Manifest>) -> State {
    let Some(manifest) = manifest else {
        return match files.contains_key(&manifest_name(name)) {
            true => State::Damaged,
            false => State::NotProved,
        };
    };
    let is_whole = |file: &SetFile| files.get(&file.name) == Some(&file.size_bytes);
    if manifest.files.is_empty() || !manifest.files.iter().all(is_whole) {
        return State::Damaged;
    }
    match manifest.proof {
        Some(_) => State::Verified,
        None => State::NotProved,
    }
}

/// The manifest in `bytes`, if it is one of the set `name`.
pub fn parse_manifest(name: &str, bytes: &[u8]) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    // The names are used: they have to be those of its own files.
    let own: Vec<_> = dump_names(name).collect();
    let is_valid = manifest.format_version == FORMAT_VERSION
        && manifest.name == name
        && manifest.files.iter().all(|file| own.contains(&file.name));
    is_valid.then_some(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_names_other_files_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let name = "hello-20260101T000000Z";
        let manifest = |file: &str| {
            format!(
                r#"{{"formatVersion":1,"name":"{name}","sequence":3,"time":"2026-01-01T00:00:00Z",
                "proof":{{"restoreSeconds":1.5}},"files":[{{"name":"{file}","sizeBytes":2,"sha256":""}}],
                "contents":{{"tables":{{}},"sequences":{{}},"largeObjects":{{"rows":0,"checksum":"0"}},"extensions":[]}},
                "roles":[],"locale":{{"encoding":"UTF8","lcCollate":"C","lcCtype":"C"}},"schemaVersion":3,
                "serverVersion":"18","toolVersion":"18"}}"#
            )
        };
        std::fs::write(folder.path().join(format!("{name}.dump")), "xx").unwrap();
        std::fs::write(folder.path().join("other"), "xx").unwrap();
        for (file, state) in [
            (&*format!("{name}.dump"), State::Verified),
            ("other", State::Damaged),
            ("../other", State::Damaged),
            (&*format!("{name}.sql"), State::Damaged), // is not there
        ] {
            std::fs::write(folder.path().join(format!("{name}.json")), manifest(file)).unwrap();
            let catalog = Catalog::read(folder.path()).unwrap();
            assert_eq!(catalog.entries.len(), 1);
            assert_eq!(catalog.entries[0].state, state, "{file}");
        }
        std::fs::write(folder.path().join(format!("{name}.dump")), "x").unwrap();
        let manifest = manifest(&format!("{name}.dump"));
        std::fs::write(folder.path().join(format!("{name}.json")), manifest).unwrap();
        let catalog = Catalog::read(folder.path()).unwrap();
        assert_eq!(catalog.entries[0].state, State::Damaged, "another length");
        assert_eq!(catalog.next_sequence(), 4);
    }
}
