//! What is reported about the backup that a service starts from.

use hello_crds::{HelloRestore, RestorePhase};

use crate::{
    object::{child::ChildId, kind::Kind, live::TypedChild},
    service::{
        apply::Applied,
        plan::bootstrap::Bootstrap,
        report::{
            finding::{Finding, no},
            reason::Reason,
        },
        validate::Validated,
    },
};

/// What the application waits for; `None` when it does not.
pub fn finding(service: &Validated, applied: &Applied) -> Option<Finding> {
    match applied.facts().bootstrap {
        Bootstrap::Over => return None,
        Bootstrap::Leaving => {
            let words = "the HelloRestore that is not wanted any more is being removed";
            return Some(no(Reason::Bootstrapping).with(words));
        }
        Bootstrap::Done => {
            return Some(
                no(Reason::Bootstrapping).with("the data is there, and the application follows"),
            );
        }
        Bootstrap::Due => {}
    }
    let bootstrap = service.bootstrap.as_ref()?;
    let id = ChildId::new(Kind::HelloRestore, &bootstrap.restore);
    let restore = applied.live().get(&id).and_then(HelloRestore::from_live);
    let status = restore.and_then(|restore| restore.status.as_ref());
    let Some((status, ready)) = status.and_then(|status| Some((status, status.ready()?))) else {
        return Some(no(Reason::Bootstrapping).with(format!("{id} has not started yet")));
    };
    let phase = status.phase.unwrap_or(RestorePhase::Pending).as_str();
    let words = format!("{id} is {phase}, {}: {}", ready.reason, ready.message);
    Some(match status.is_stalled() {
        true => {
            let field = bootstrap.field;
            let words = format!(
                "{words} (correct {field}; without it, the service starts with the data that is there)"
            );
            no(Reason::BootstrapStalled).with(words)
        }
        false => no(Reason::Bootstrapping).with(words),
    })
}
