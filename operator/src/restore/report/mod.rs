//! Step 6: the status of a restore, computed only from what was decided and done.

use hello_crds::{HelloRestoreStatus, RestoreLoss, RestorePhase};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    object::restore_result::{Done, Loss},
    restore::{
        dereference::Seen,
        plan::{
            planner::{Plan, Progress},
            step::{Run, Step},
        },
        reason::Reason,
        validate::Order,
    },
};

/// The wanted data serves.
pub const READY: &str = "Ready";
/// The restore does not go on without a person.
pub const STALLED: &str = "Stalled";

/// How far a restore is by its status.
#[must_use]
pub fn progress(status: &HelloRestoreStatus) -> Progress {
    match status.phase.unwrap_or(RestorePhase::Pending) {
        RestorePhase::Pending | RestorePhase::Staging => Progress::New,
        RestorePhase::WaitingForConsent | RestorePhase::Swapping => {
            let loss = status.loss.as_ref();
            Progress::Staged(loss.map(counted).unwrap_or_default())
        }
        RestorePhase::Completed | RestorePhase::Undoing => Progress::Swapped,
        RestorePhase::Undone => Progress::Undone,
        phase @ (RestorePhase::Refused | RestorePhase::Failed) => {
            let reason = status
                .condition(READY)
                .and_then(|ready| Reason::from_name(&ready.reason));
            Progress::Ended(phase, reason.unwrap_or(Reason::Failed))
        }
    }
}

fn counted(loss: &RestoreLoss) -> Loss {
    Loss {
        added: loss.added,
        changed: loss.changed,
        removed: loss.removed,
        since: loss.since.as_ref().and_then(|since| since.parse().ok()),
    }
}

fn reported(loss: &Loss) -> RestoreLoss {
    RestoreLoss {
        added: loss.added,
        changed: loss.changed,
        removed: loss.removed,
        since: loss.since.map(|since| since.to_string()),
    }
}

/// The status after a pass. `service`: UID of the service that it is for, once it has started; `words`: more exact ones
/// than those of the reason.
#[must_use]
pub fn status(
    order: &Order,
    plan: &Plan,
    seen: &Seen,
    service: Option<String>,
    words: Option<String>,
    now: Timestamp,
) -> HelloRestoreStatus {
    let old = &order.status;
    let done = |step| match seen.runs.get(&step) {
        Some(Run::Done(done)) => Some(done),
        _ => None,
    };
    let staged = done(Step::Stage);
    let swapped = done(Step::Swap(true)).or_else(|| done(Step::Swap(false)));
    let known = swapped.and_then(|done| done.previous.clone());
    let known = known.or_else(|| old.previous.clone());
    let previous = match plan.phase {
        // What was restored is where it was staged.
        RestorePhase::Undone => known.map(|name| name.replacen("_previous_", "_restore_", 1)),
        _ => known,
    };
    let lost = swapped.and_then(|done| done.loss.as_ref());
    let loss = plan.loss.as_ref().or(lost).map(reported);
    let message = message(plan, seen, words, old);
    HelloRestoreStatus {
        observed_generation: Some(order.identity.generation),
        phase: Some(plan.phase),
        service_uid: old.service_uid.clone().or(service),
        backup: staged
            .and_then(|done| done.set.clone())
            .or_else(|| old.backup.clone()),
        rows: staged.and_then(|done| done.rows).or(old.rows),
        loss: loss.or_else(|| old.loss.clone()),
        previous: previous.filter(|_| plan.has_previous),
        swapped_time: time(swapped).or_else(|| old.swapped_time.clone()),
        conditions: conditions(order, plan.phase, plan.reason, &message, now),
    }
}

fn time(done: Option<&Done>) -> Option<String> {
    done.map(|done| done.time.to_string())
}

/// The status that has this reason, and nothing else that is new.
#[must_use]
pub fn with_reason(
    order: &Order,
    reason: Reason,
    words: &str,
    now: Timestamp,
) -> HelloRestoreStatus {
    let phase = order.status.phase.unwrap_or(RestorePhase::Pending);
    let message = format!("{}: {words}", reason.text());
    HelloRestoreStatus {
        observed_generation: Some(order.identity.generation),
        phase: Some(phase),
        conditions: conditions(order, phase, reason, &message, now),
        ..order.status.clone()
    }
}

fn message(plan: &Plan, seen: &Seen, words: Option<String>, old: &HelloRestoreStatus) -> String {
    let text = plan.reason.text();
    let mut failures = seen.runs.values().filter_map(|run| match run {
        Run::Refused(failure) | Run::GaveUp(failure) => failure.as_ref(),
        _ => None,
    });
    let failure = failures.find(|failure| {
        let reason = Reason::from(failure.reason);
        reason == plan.reason || plan.reason == Reason::Retrying
    });
    let failure = failure.map(|failure| failure.message.clone());
    let loss = plan
        .loss
        .as_ref()
        .filter(|_| plan.reason == Reason::WaitingForConsent);
    let loss = loss.map(|loss| {
        let since = loss.since.map(|since| format!(" since {since}"));
        let since = since.unwrap_or_default();
        format!("{} added and {} changed{since}", loss.added, loss.changed)
    });
    let exact = words
        .or(loss)
        .or(failure)
        .or_else(|| seen.pod_failure.clone());
    match exact.filter(|exact| !exact.is_empty()) {
        Some(exact) => format!("{text}: {exact}"),
        None => {
            // The Job that said more may be gone.
            let ready = old
                .condition(READY)
                .filter(|ready| ready.reason == plan.reason.to_string());
            let known =
                ready.filter(|_| plan.reason.needs_action() && old.phase == Some(plan.phase));
            known.map_or_else(|| text.to_owned(), |ready| ready.message.clone())
        }
    }
}

fn conditions(
    order: &Order,
    phase: RestorePhase,
    reason: Reason,
    message: &str,
    now: Timestamp,
) -> Vec<Condition> {
    let serves = matches!(phase, RestorePhase::Completed | RestorePhase::Undone);
    let found = [(READY, serves), (STALLED, reason.needs_action())];
    let conditions = found.into_iter().map(|(type_, holds)| {
        let status = if holds { "True" } else { "False" };
        let before = order
            .status
            .condition(type_)
            .filter(|before| before.status == status);
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.to_string(),
            message: message.to_owned(),
            observed_generation: Some(order.identity.generation),
            last_transition_time: before
                .map_or(Time(now), |before| before.last_transition_time.clone()),
        }
    });
    conditions.collect()
}
