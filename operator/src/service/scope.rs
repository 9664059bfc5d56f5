//! What a pass looks at: as little as is safe.

use hello_crds::{ConditionType, HelloServiceStatus};

use crate::service::{dereference::Scope, report::conditions::holds};

/// The scope of a pass over a resource with this status. `taken`: a creation for it has found an object that is there.
#[must_use]
pub fn scope(status: Option<&HelloServiceStatus>, paused: bool, taken: bool) -> Scope {
    let reported = status.and_then(|status| status.observed_generation);
    let degraded = status.is_some_and(|status| holds(status, ConditionType::Degraded));
    // A paused resource creates nothing, and one with a foreign object is degraded.
    if paused || taken || degraded {
        Scope::All
    } else if reported.is_some_and(|generation| generation >= 0) {
        Scope::Labelled
    } else {
        // The definition's default is -1.
        Scope::New
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::kind::Kind;

    fn status(value: Value) -> Option<HelloServiceStatus> {
        Some(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn names_are_looked_up_when_no_creation_finds_out_that_they_are_taken() {
        let degraded = |status: &str| {
            let condition = json!({"type": "Degraded", "status": status, "reason": "Conflict", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            json!({"observedGeneration": 1, "conditions": [condition]})
        };
        for (status, paused, taken, expected) in [
            (None, false, false, Scope::New),
            (status(json!({})), false, false, Scope::New),
            (
                status(json!({"observedGeneration": -1})),
                false,
                false,
                Scope::New,
            ),
            (
                status(json!({"observedGeneration": 0})),
                false,
                false,
                Scope::Labelled,
            ),
            (status(degraded("False")), false, false, Scope::Labelled),
            (status(degraded("True")), false, false, Scope::All),
            (None, true, false, Scope::All),
            (None, false, true, Scope::All),
            (status(degraded("False")), false, true, Scope::All),
        ] {
            assert_eq!(
                scope(status.as_ref(), paused, taken),
                expected,
                "{status:?}"
            );
        }
    }

    #[test]
    fn a_new_resource_looks_for_what_others_depend_on() {
        for kind in Kind::ALL {
            assert!(Scope::All.lists(kind) && Scope::All.looks_up(kind));
            assert!(Scope::Labelled.lists(kind) && !Scope::Labelled.looks_up(kind));
            let first = kind.row().read_when_new;
            assert_eq!(Scope::New.lists(kind), first, "{kind}");
            assert_eq!(Scope::New.looks_up(kind), first, "{kind}");
        }
    }
}
