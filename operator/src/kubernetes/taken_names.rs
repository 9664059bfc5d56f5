//! Resources for which a creation found that the name was taken.
//!
//! A pass looks for few names before it creates objects. Once one turns out to be there, the next passes look for all.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::object::key::Key;

/// The resources, until they are gone.
#[derive(Clone, Debug, Default)]
pub struct TakenNames(Arc<Mutex<BTreeSet<Key>>>);

impl TakenNames {
    /// A creation for this resource found an object that is there.
    pub fn insert(&self, key: Key) {
        self.lock().insert(key);
    }

    /// Whether that has happened.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.lock().contains(key)
    }

    /// The resource is gone: another one of its name is new.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        // A thread that panicked can only have left a complete set behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_known_until_it_is_gone() {
        let (names, demo) = (TakenNames::default(), Key::new("ns", "demo"));
        assert!(!names.contains(&demo));
        names.insert(demo.clone());
        assert!(names.contains(&demo));
        assert!(!names.contains(&Key::new("other", "demo")));
        names.forget(&demo);
        assert!(!names.contains(&demo));
    }
}
