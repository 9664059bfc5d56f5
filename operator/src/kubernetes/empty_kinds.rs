//! Kinds without objects: their watches know it, so no pass lists them.
//!
//! A watch trails behind, so this is used only where a stale answer does no harm: the creation of a wanted object finds
//! out that it is there, and an object to remove is seen in the pass that its own event starts. Jobs are not such a kind:
//! whether one runs decides about the next.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::object::kind::Kind;

/// Kinds of which the watches see no object of the operator.
#[derive(Clone, Debug, Default)]
pub struct EmptyKinds(Arc<RwLock<BTreeSet<Kind>>>);

impl EmptyKinds {
    /// A whole list of the kind was empty.
    pub fn mark_empty(&self, kind: Kind) {
        if !kind.row().always_listed {
            // A thread that panicked can only have left a complete set behind.
            let mut empty = self.0.write().unwrap_or_else(PoisonError::into_inner);
            empty.insert(kind);
        }
    }

    /// There is an object of the kind, or it is not known.
    pub fn mark_unknown(&self, kind: Kind) {
        let mut empty = self.0.write().unwrap_or_else(PoisonError::into_inner);
        empty.remove(&kind);
    }

    /// Whether a list of the kind is known to be empty.
    #[must_use]
    pub fn contains(&self, kind: Kind) -> bool {
        let empty = self.0.read().unwrap_or_else(PoisonError::into_inner);
        empty.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kind_that_was_listed_and_need_not_be_is_empty() {
        let kinds = EmptyKinds::default();
        for kind in Kind::ALL {
            assert!(!kinds.contains(kind), "{kind}");
            kinds.mark_empty(kind);
            assert_eq!(kinds.contains(kind), !kind.row().always_listed, "{kind}");
            kinds.mark_unknown(kind);
            assert!(!kinds.contains(kind), "{kind}");
        }
    }
}
