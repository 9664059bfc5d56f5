//! The writes that the planner decides on.

use std::fmt;

use crate::object::{child::ChildId, pod::SeenPod};

/// One write, as the planner decides on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create the child.
    Create(ChildId),
    /// Change the child to what is wanted.
    Update(ChildId),
    /// Delete the child.
    Delete(ChildId),
    /// Give the Deployment this number of replicas.
    Scale(ChildId, i32),
    /// Give up the Deployment's number of replicas, which keeps its value.
    Release(ChildId),
    /// Delete this pod of the StatefulSet: its controller waits for it in vain.
    Replace(ChildId, SeenPod),
    /// Take the name of the last migration off the Deployment: another one begins.
    Forget(ChildId),
}

impl Action {
    /// The child that is written.
    #[must_use]
    pub const fn child(&self) -> &ChildId {
        match self {
            Self::Create(id)
            | Self::Update(id)
            | Self::Delete(id)
            | Self::Scale(id, _)
            | Self::Release(id)
            | Self::Replace(id, _)
            | Self::Forget(id) => id,
        }
    }

    /// What is done to it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::Scale(..) => "scale",
            Self::Release(_) => "release",
            Self::Replace(..) => "replace",
            Self::Forget(_) => "forget",
        }
    }

    /// The number of replicas that it sets.
    #[must_use]
    pub const fn replicas(&self) -> Option<i32> {
        match self {
            Self::Scale(_, replicas) => Some(*replicas),
            Self::Create(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::Release(_)
            | Self::Replace(..)
            | Self::Forget(_) => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        match self {
            Self::Create(id) | Self::Update(id) | Self::Delete(id) => write!(f, "{verb} {id}"),
            Self::Scale(id, replicas) => write!(f, "{verb} {id} to {replicas}"),
            Self::Release(id) => write!(f, "{verb} the replicas of {id}"),
            Self::Replace(id, pod) => write!(f, "{verb} pod {} of {id}", pod.name),
            Self::Forget(id) => write!(f, "{verb} the migration of {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::Kind;

    #[test]
    fn an_action_says_what_it_does_and_only_a_scaling_has_a_number() {
        let id = || ChildId::new(Kind::Deployment, "demo");
        for (action, verb, replicas, text) in [
            (
                Action::Create(id()),
                "create",
                None,
                "create Deployment demo",
            ),
            (
                Action::Update(id()),
                "update",
                None,
                "update Deployment demo",
            ),
            (
                Action::Delete(id()),
                "delete",
                None,
                "delete Deployment demo",
            ),
            (
                Action::Scale(id(), 3),
                "scale",
                Some(3),
                "scale Deployment demo to 3",
            ),
            (
                Action::Release(id()),
                "release",
                None,
                "release the replicas of Deployment demo",
            ),
        ] {
            assert_eq!(action.verb(), verb);
            assert_eq!(action.replicas(), replicas, "{text}");
            assert_eq!(action.to_string(), text);
            assert_eq!(*action.child(), id());
        }
    }
}
