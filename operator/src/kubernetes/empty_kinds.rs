//! Kinds of which there is nothing: their watches know it, so no pass needs to ask.
//!
//! A watch trails behind, so this is used only where a stale answer does no harm: an object that is
//! wanted is looked up by its name all the same, and one that is to be removed is seen in the pass
//! that its own event starts. Jobs are no such kind: whether one runs decides about the next.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::object::child::Kind;

/// Kinds whose objects nothing else depends on, and which many clusters have none of.
const SPARE: [Kind; 6] = [
    Kind::Cluster,
    Kind::HorizontalPodAutoscaler,
    Kind::Ingress,
    Kind::HTTPRoute,
    Kind::ServiceMonitor,
    Kind::CronJob,
];

/// Kinds of which the watches see nothing of ours.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<RwLock<BTreeSet<Kind>>>);

impl Census {
    /// A whole list of the kind was empty.
    pub fn nothing(&self, kind: Kind) {
        if SPARE.contains(&kind) {
            // A thread that panicked can only have left a complete set behind.
            let mut empty = self.0.write().unwrap_or_else(PoisonError::into_inner);
            empty.insert(kind);
        }
    }

    /// There is something of the kind, or nobody knows.
    pub fn maybe(&self, kind: Kind) {
        let mut empty = self.0.write().unwrap_or_else(PoisonError::into_inner);
        empty.remove(&kind);
    }

    /// Whether a list of the kind can be taken for empty without asking.
    #[must_use]
    pub fn is_empty(&self, kind: Kind) -> bool {
        let empty = self.0.read().unwrap_or_else(PoisonError::into_inner);
        empty.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_listed_and_is_spare_is_empty() {
        let census = Census::default();
        for kind in Kind::ALL {
            assert!(!census.is_empty(kind), "{kind}");
            census.nothing(kind);
            assert_eq!(census.is_empty(kind), SPARE.contains(&kind), "{kind}");
            census.maybe(kind);
            assert!(!census.is_empty(kind), "{kind}");
        }
    }

    /// Two migrations at once, or new passwords for old data, would be the harm.
    #[test]
    fn what_decides_about_other_objects_is_always_asked_for() {
        for kind in [
            Kind::Job,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::Secret,
            Kind::PersistentVolumeClaim,
        ] {
            assert!(!SPARE.contains(&kind), "{kind}");
        }
    }
}
