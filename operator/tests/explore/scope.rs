//! Parts of what can happen.

use crate::{
    cluster::{Budget, State},
    model::{Edit, World},
    objects::{Name, Spec},
};

/// A part of what can happen, small enough to explore completely.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The objects beside the Job.
    pub objects: &'static [Name],
    pub start: Spec,
    pub budget: Budget,
    pub edits: &'static [Edit],
    /// What other clients delete and change.
    pub disturbed: &'static [Name],
    /// Names under which foreign objects are made.
    pub foreign: &'static [Name],
    /// What must happen somewhere; otherwise the world is smaller than intended.
    pub reached: &'static [(&'static str, Condition)],
}

/// Something that holds of a state or not.
pub type Condition = fn(&World, &State) -> bool;
