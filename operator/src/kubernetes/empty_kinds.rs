//! Kinds of which there is nothing: their watches know it, so no pass needs to ask.
//!
//! A watch trails behind, so this is used only where a stale answer does no harm: an object that is
//! wanted is looked up by its name all the same, and one that is to be removed is seen in the pass
//! that its own event starts. Jobs are no such kind: whether one runs decides about the next.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::object::kind::Kind;

/// Kinds of which the watches see nothing of ours.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<RwLock<BTreeSet<Kind>>>);

impl Census {
    /// A whole list of the kind was empty.
    pub fn nothing(&self, kind: Kind) {
        if !kind.row().always_listed {
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
    fn only_a_kind_that_was_listed_and_need_not_be_is_empty() {
        let census = Census::default();
        for kind in Kind::ALL {
            assert!(!census.is_empty(kind), "{kind}");
            census.nothing(kind);
            assert_eq!(census.is_empty(kind), !kind.row().always_listed, "{kind}");
            census.maybe(kind);
            assert!(!census.is_empty(kind), "{kind}");
        }
    }
}
