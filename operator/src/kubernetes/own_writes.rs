//! What this process wrote last. A watch that reports exactly that is no news: the pass that wrote it knows it.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use kube::api::ObjectMeta;

/// The number of writes that are remembered: those of a few seconds under load, which is how far watches trail behind.
/// An event about a forgotten one leads to one more pass.
const REMEMBERED: usize = 1024;

/// One version of one object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Version(u64);

impl Version {
    /// The version of the object with this metadata; `None` when they do not say.
    #[must_use]
    pub fn from_metadata(metadata: &ObjectMeta) -> Option<Self> {
        let (uid, version) = (metadata.uid.as_ref()?, metadata.resource_version.as_ref()?);
        let mut hasher = DefaultHasher::new();
        (uid, version).hash(&mut hasher);
        Some(Self(hasher.finish()))
    }
}

/// Objects as this process left them.
#[derive(Clone, Debug, Default)]
pub struct OwnWrites(Arc<Mutex<VecDeque<Version>>>);

impl OwnWrites {
    /// The API server answered a write with this object.
    pub fn remember(&self, metadata: &ObjectMeta) {
        let Some(version) = Version::from_metadata(metadata) else {
            return;
        };
        // A thread that panicked can only have left a complete list behind.
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        versions.truncate(REMEMBERED - 1);
        versions.push_front(version);
    }

    /// Whether this process wrote this version.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        versions.contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.into()),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        }
    }

    fn version(uid: &str, version: &str) -> Version {
        Version::from_metadata(&object(uid, version)).unwrap()
    }

    #[test]
    fn only_the_very_version_that_was_written_is_known() {
        let own = OwnWrites::default();
        own.remember(&object("a", "7"));
        own.remember(&ObjectMeta::default());
        assert!(own.contains(version("a", "7")));
        assert!(!own.contains(version("a", "8")));
        assert!(!own.contains(version("b", "7")));
        assert_eq!(Version::from_metadata(&ObjectMeta::default()), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let own = OwnWrites::default();
        for version in 0..=REMEMBERED {
            own.remember(&object("a", &version.to_string()));
        }
        assert!(!own.contains(version("a", "0")));
        assert!(own.contains(version("a", "1")));
        assert!(own.contains(version("a", &REMEMBERED.to_string())));
        assert_eq!(own.0.lock().unwrap().len(), REMEMBERED);
    }
}
