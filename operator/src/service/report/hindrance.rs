//! What keeps the children from being as wanted, whatever the state of the components. Waiting does not change it.
//!
//! That of the backups alone is reported about the backups: the service serves without them.

use crate::{
    kubernetes::optional_apis,
    object::child::ChildId,
    service::{
        apply::Applied,
        report::{
            finding::{Finding, no},
            reason::Reason,
        },
    },
};

/// Whose children are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// Those that the service needs.
    Service,
    /// Those that are there for the backups alone.
    Backups,
}

/// What keeps these children from being as wanted.
pub fn finding(applied: &Applied, whose: Whose) -> Option<Finding> {
    let is_meant = |id: &ChildId| applied.is_of_backups(id) == (whose == Whose::Backups);
    let mut refused = applied.refused().iter();
    if let Some((id, error)) = refused.find(|(id, _)| is_meant(id)) {
        return Some(no(Reason::Refused).with(format!("{id}: {error}")));
    }
    let mut failed = applied.failed().iter();
    if let Some((id, error)) = failed.find(|(id, _)| is_meant(id)) {
        return Some(no(Reason::ApiServerFailing).with(format!("{id}: {error}")));
    }
    let mut conflicts = applied.plan().conflicts.iter();
    if let Some(conflict) = conflicts.find(|id| is_meant(id)) {
        return Some(no(Reason::Conflict).with(format!(
            "{conflict} exists and does not belong to this resource; rename or delete it"
        )));
    }
    let of_backups = whose == Whose::Backups;
    let mut unresolved = applied.unresolved().iter();
    if let Some(problem) = unresolved.find(|problem| problem.of_backups == of_backups) {
        return Some(no(Reason::ReferenceMissing).with(&problem.words));
    }
    let mut unavailable = applied.plan().unavailable.iter();
    let missing = unavailable.find(|id| is_meant(id))?;
    Some(no(Reason::ApiMissing).with(optional_apis::explain(missing)))
}
