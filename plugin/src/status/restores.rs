//! Restores of a service, a line each.

use hello_crds::{HelloRestore, RestorePhase};

use super::node::{Mark, Node, Problem};
use crate::cluster::Place;

/// A line of the tree.
pub fn node(restore: &HelloRestore) -> Node {
    let name = restore.metadata.name.as_deref().unwrap_or_default();
    let status = restore.status.as_ref();
    let Some((status, phase)) = status.and_then(|status| Some((status, status.phase?))) else {
        return Node::new(name, Mark::Unknown, "not reported yet");
    };
    let stalled = status
        .condition("Stalled")
        .is_some_and(|c| c.status == "True");
    let mark = match phase {
        RestorePhase::Completed | RestorePhase::Undone => Mark::Good,
        _ if stalled => Mark::Bad,
        _ => Mark::Busy,
    };
    let message = status
        .condition("Ready")
        .map_or("", |condition| &condition.message);
    Node::new(name, mark, format!("{}: {message}", phase.as_str()))
}

/// What does not go on without a person.
pub fn problem(restore: &HelloRestore, place: &Place) -> Option<Problem> {
    let stalled = restore.status.as_ref()?.condition("Stalled")?;
    if stalled.status != "True" {
        return None;
    }
    let name = restore.metadata.name.as_deref().unwrap_or_default();
    let next = place.next_of_restore(&stalled.reason, name, &restore.spec.service.name);
    Some(Problem {
        reason: format!("HelloRestore {name}: {}", stalled.reason),
        message: stalled.message.clone(),
        next,
    })
}
