//! The writes that the planner decides on.

use std::fmt;

use crate::object::child::ChildId;

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
            | Self::Release(id) => id,
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
        }
    }

    /// The number of replicas that it sets.
    #[must_use]
    pub const fn replicas(&self) -> Option<i32> {
        match self {
            Self::Scale(_, replicas) => Some(*replicas),
            Self::Create(_) | Self::Update(_) | Self::Delete(_) | Self::Release(_) => None,
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
        }
    }
}
