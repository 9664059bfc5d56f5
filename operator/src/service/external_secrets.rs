//! The Secrets of external databases as the last passes read them.
//!
//! They are not the operator's, so no watch reports their changes. While a service is settled, a look at the version of
//! its Secret stands for a whole pass.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::object::{key::Key, object_name::ObjectName};

/// A Secret as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: ObjectName,
    /// Its version.
    pub version: String,
    /// When a whole pass is due again.
    pub until: Timestamp,
}

/// The Secrets of settled services.
#[derive(Clone, Debug, Default)]
pub struct ExternalSecrets(Arc<Mutex<HashMap<Key, Seen>>>);

impl ExternalSecrets {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Seen>> {
        // A thread that panicked can only have left a complete map behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service is settled with this Secret.
    pub fn remember(&self, key: &Key, seen: Seen) {
        self.all().insert(key.clone(), seen);
    }

    /// Nothing is known: a pass begins, or the service is gone.
    pub fn forget(&self, key: &Key) {
        self.all().remove(key);
    }

    /// The Secret of a settled service, as long as no whole pass is due.
    #[must_use]
    pub fn get(&self, key: &Key, now: Timestamp) -> Option<Seen> {
        self.all().get(key).filter(|seen| now < seen.until).cloned()
    }
}
