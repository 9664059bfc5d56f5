//! The backups that are in a folder or a bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::folder::names;
use crate::backup::error::BackupError;
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
    /// It has lost a file or a part of one, or its manifest cannot be read.
    Damaged,
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
}

/// All sets, by their sequence numbers; those without one first, by name.
#[derive(Debug)]
pub struct Catalog {
    /// The sets.
    pub entries: Vec<Entry>,
}

impl Catalog {
    /// Looks at the folder at `path`. Sizes are checked, contents are not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let mut files = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for name in names(path)? {
            let Some(set) = set_of(&name) else { continue };
            let file = path.join(&name);
            // A file that cannot be looked at is none of the size that its manifest says.
            let size = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
            if name == manifest_name(set)
                && size <= LONGEST_MANIFEST
                && let Ok(bytes) = std::fs::read(&file)
                && let Some(manifest) = parse_manifest(set, &bytes)
            {
                manifests.insert(set.to_owned(), manifest);
            }
            files.insert(name, size);
        }
        Ok(Self::new(&files, manifests))
    }

    /// The sets that these files are, by their names and sizes, with the manifests that can be read.
    pub fn new(files: &BTreeMap<String, u64>, mut manifests: BTreeMap<String, Manifest>) -> Self {
        let sets: BTreeSet<&str> = files.keys().filter_map(|name| set_of(name)).collect();
        let entry = |name: &str| {
            let manifest = manifests.remove(name);
            Entry {
                name: name.into(),
                state: state(name, files, manifest.as_ref()),
                manifest,
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
    /// When there is none.
    pub fn find(&self, name: &str) -> Result<&Entry, BackupError> {
        let found = match name {
            "latest" => self
                .entries
                .iter()
                .rfind(|entry| entry.state == State::Verified),
            name => self.entries.iter().find(|entry| entry.name == name),
        };
        found.ok_or_else(|| BackupError::Unknown(name.into()))
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
