//! What decides about the phase that follows.

use jiff::Timestamp;

use crate::{
    object::live::LiveObjects,
    service::plan::{facts::Facts, planner::Migration},
};

/// What a pass has found, beside what it knew.
pub struct Found<'a> {
    /// What the plan was based on.
    pub facts: &'a Facts,
    /// The live objects.
    pub live: &'a LiveObjects,
    /// Whether the database answers and runs what is wanted.
    pub ready: bool,
    /// How far the migration is.
    pub migration: Migration,
    /// The time.
    pub now: Timestamp,
}
