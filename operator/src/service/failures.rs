//! Since when the API server fails at a resource.
//!
//! A request that fails once says nothing about the resource, and is tried again. One that fails for long needs a person,
//! who has to learn which object it is. A restart of the operator forgets the time: it is reported that much later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::object::key::Key;

/// What lasts for so long is reported.
const LASTING: Duration = Duration::from_secs(30);

/// Resources whose last pass failed in the API server, and since when. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<HashMap<Key, Timestamp>>>);

impl Failures {
    /// A pass failed now: whether that has been so for long.
    #[must_use]
    pub fn last(&self, key: &Key, now: Timestamp) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = since.entry(key.clone()).or_insert(now);
        // A clock that was set back starts it anew.
        *since = (*since).min(now);
        Duration::try_from(now.duration_since(*since)).is_ok_and(|time| time >= LASTING)
    }

    /// A pass did not fail in this way.
    pub fn end(&self, key: &Key) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fails_without_a_break_lasts() {
        let (failures, start) = (Failures::default(), Timestamp::UNIX_EPOCH);
        let (one, other) = (Key::new("ns", "one"), Key::new("ns", "other"));
        assert!(!failures.last(&one, start));
        assert!(!failures.last(&one, start + LASTING - Duration::from_secs(1)));
        assert!(!failures.last(&other, start + LASTING));
        assert!(failures.last(&one, start + LASTING));
        failures.end(&one);
        assert!(!failures.last(&one, start + LASTING));
        assert!(!failures.last(&one, start));
        assert!(failures.last(&one, start + LASTING));
    }
}
