//! Restores of a service, a line each.

use hello_crds::{HelloRestore, RestorePhase, next_command_of_restore};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::node::{Mark, Node, Problem};
use crate::cluster::Place;

/// Condition of a restore.
fn told_by<'a>(restore: &'a HelloRestore, type_: &str) -> Option<&'a Condition> {
    let mut conditions = restore.status.as_ref()?.conditions.iter();
    conditions.find(|condition| condition.type_ == type_)
}

/// A line of the tree.
pub fn node(restore: &HelloRestore) -> Node {
    let name = restore.metadata.name.as_deref().unwrap_or_default();
    let Some(phase) = restore.status.as_ref().and_then(|status| status.phase) else {
        return Node::new(name, Mark::Unknown, "not reported yet");
    };
    let stalled = told_by(restore, "Stalled").is_some_and(|c| c.status == "True");
    let mark = match phase {
        RestorePhase::Completed | RestorePhase::Undone => Mark::Good,
        _ if stalled => Mark::Bad,
        _ => Mark::Busy,
    };
    let message = told_by(restore, "Ready").map_or("", |condition| &condition.message);
    Node::new(name, mark, format!("{}: {message}", phase.as_str()))
}

/// What does not go on without a person.
pub fn problem(restore: &HelloRestore, place: &Place) -> Option<Problem> {
    let stalled = told_by(restore, "Stalled").filter(|condition| condition.status == "True")?;
    let name = restore.metadata.name.as_deref().unwrap_or_default();
    let next = next_command_of_restore(&stalled.reason).map(|next| {
        let next = next.replace("RESTORE", name);
        place.command(&next.replace("NAME", &restore.spec.service.name))
    });
    Some(Problem {
        reason: format!("HelloRestore {name}: {}", stalled.reason),
        message: stalled.message.clone(),
        next,
    })
}
