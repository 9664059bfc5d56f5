//! What this process wrote last. A watch that reports exactly that is no news to the pass that wrote it.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use kube::api::ObjectMeta;

/// The number of writes that are remembered: those of a few seconds under load, which is how far watches trail behind.
/// An event about a forgotten one leads to one more pass.
const REMEMBERED: usize = 1024;

/// Objects as this process left them.
#[derive(Clone, Debug, Default)]
pub struct OwnWrites(Arc<Mutex<VecDeque<u64>>>);

impl OwnWrites {
    /// The API server answered a write with this object.
    pub fn remember(&self, metadata: &ObjectMeta) {
        let Some(version) = version(metadata) else {
            return;
        };
        // A thread that panicked can only have left a complete list behind.
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        versions.truncate(REMEMBERED - 1);
        versions.push_front(version);
    }

    /// Whether nobody else has changed the object since this process wrote it.
    #[must_use]
    pub fn contains(&self, metadata: &ObjectMeta) -> bool {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        version(metadata).is_some_and(|version| versions.contains(&version))
    }
}

fn version(metadata: &ObjectMeta) -> Option<u64> {
    let (uid, version) = (metadata.uid.as_ref()?, metadata.resource_version.as_ref()?);
    let mut hasher = DefaultHasher::new();
    (uid, version).hash(&mut hasher);
    Some(hasher.finish())
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

    #[test]
    fn only_the_very_version_that_was_written_is_known() {
        let own = OwnWrites::default();
        own.remember(&object("a", "7"));
        assert!(own.contains(&object("a", "7")));
        for other in [object("a", "8"), object("b", "7"), ObjectMeta::default()] {
            assert!(!own.contains(&other), "{other:?}");
        }
        own.remember(&ObjectMeta::default());
        assert!(!own.contains(&ObjectMeta::default()));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let own = OwnWrites::default();
        for version in 0..=REMEMBERED {
            own.remember(&object("a", &version.to_string()));
        }
        assert!(!own.contains(&object("a", "0")));
        assert!(own.contains(&object("a", "1")));
        assert!(own.contains(&object("a", &REMEMBERED.to_string())));
        assert_eq!(own.0.lock().unwrap().len(), REMEMBERED);
    }
}
