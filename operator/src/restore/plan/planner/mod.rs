//! The planner: what a restore does next.
//!
//! A pure function of facts. What it has to remember is in the status, and in the Jobs until their ends are there. The
//! database itself knows which step was taken, so each may be taken again.

use std::collections::BTreeMap;

use hello_crds::RestorePhase;

use crate::{
    object::restore_result::{Cause, Failure, Loss},
    restore::{
        plan::step::{Run, Step},
        reason::Reason,
    },
};

/// How far a restore is known to be.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Progress {
    /// Nothing is staged yet.
    New,
    /// The restored data is beside the live data, and the swap would lose this.
    Staged(Loss),
    /// The restored data serves.
    Swapped,
    /// The former data serves again.
    Undone,
    /// It was refused, or failed.
    Ended(RestorePhase, Reason),
}

/// Everything that the planner depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Whether the HelloRestore is being deleted.
    pub deleting: bool,
    /// Whether its deletion waits for the operator.
    pub held: bool,
    /// Whether the status names the service by its UID.
    pub pinned: bool,
    /// Whether the loss of rows is accepted.
    pub consent: bool,
    /// Whether the former data is wanted back, and whether that may lose what was written since.
    pub undo: Option<bool>,
    /// Whether the data that does not serve is to be removed.
    pub drop: bool,
    /// How far it is, by its status.
    pub progress: Progress,
    /// Whether there is data that does not serve, by its status.
    pub has_previous: bool,
    /// Its Jobs.
    pub runs: BTreeMap<Step, Run>,
    /// Whether the service that it is for does not exist any more.
    pub service_gone: bool,
    /// Why no step may start.
    pub hindrance: Option<Reason>,
}

/// What to write next, beside the status.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Make its deletion wait for the operator.
    Hold,
    /// Start a step.
    Start(Step),
    /// Delete the Job of a step.
    Remove(Step),
    /// Let it be deleted.
    Release,
}

/// What the planner decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// What to write next.
    pub next: Next,
    /// The phase to report.
    pub phase: RestorePhase,
    /// Why it is in that phase.
    pub reason: Reason,
    /// What the swap loses, while that is not decided.
    pub loss: Option<Loss>,
    /// Whether there is data that does not serve.
    pub has_previous: bool,
}

/// Decides what to do next.
#[must_use]
pub fn plan(facts: &Facts) -> Plan {
    let progress = advance(facts);
    let dropped = |step| matches!(facts.runs.get(&step), Some(Run::Done(_)));
    // A swap or an undo that the status does not have yet has just left it.
    let has_previous = facts.has_previous || progress != facts.progress;
    let has_previous = match progress {
        Progress::Swapped => has_previous && !dropped(Step::Drop),
        Progress::Undone => has_previous && !dropped(Step::Discard),
        Progress::New | Progress::Staged(_) | Progress::Ended(..) => false,
    };
    let (next, phase, reason) = match &progress {
        _ if facts.deleting => leave(facts, &progress),
        Progress::New => stage(facts),
        Progress::Staged(loss) => swap(facts, loss),
        Progress::Swapped => rest(facts, has_previous),
        Progress::Undone => drop_previous(facts, has_previous, RestorePhase::Undone),
        Progress::Ended(phase, reason) => (Next::Nothing, *phase, *reason),
    };
    // From the swap on, nothing is left to remove with it.
    let done = matches!(progress, Progress::Swapped | Progress::Undone);
    let next = match next {
        Next::Nothing | Next::Start(_) if facts.held && done => Next::Release,
        next => next,
    };
    let loss = match progress {
        Progress::Staged(loss) => Some(loss),
        _ => None,
    };
    Plan {
        next,
        phase,
        reason,
        loss,
        has_previous,
    }
}

type Decision = (Next, RestorePhase, Reason);

/// How far it is by the ends of its Jobs, which the status may not have yet.
fn advance(facts: &Facts) -> Progress {
    let mut progress = facts.progress.clone();
    if progress == Progress::New {
        progress = after_stage(facts);
    }
    if let Progress::Staged(loss) = progress {
        progress = after_swap(facts, loss);
    }
    let undone = |step| matches!(facts.runs.get(&step), Some(Run::Done(_)));
    if progress == Progress::Swapped && (undone(Step::Undo(false)) || undone(Step::Undo(true))) {
        progress = Progress::Undone;
    }
    progress
}

/// Nothing is at stake before the swap, so a step that gives up ends the restore: a person may make another one.
fn after_stage(facts: &Facts) -> Progress {
    match facts.runs.get(&Step::Stage) {
        Some(Run::Done(done)) => match &done.loss {
            Some(loss) => Progress::Staged(loss.clone()),
            None => Progress::Ended(RestorePhase::Failed, Reason::NoResult),
        },
        Some(Run::Refused(failure) | Run::GaveUp(failure)) => ended(failure.as_ref()),
        Some(Run::Unreadable) => Progress::Ended(RestorePhase::Failed, Reason::NoResult),
        Some(Run::Active | Run::Leaving | Run::Lost) | None => Progress::New,
    }
}

/// A swap that gave up may have happened all the same, so that is no end.
fn after_swap(facts: &Facts, mut loss: Loss) -> Progress {
    for step in [Step::Swap(true), Step::Swap(false)] {
        match facts.runs.get(&step) {
            Some(Run::Done(_)) => return Progress::Swapped,
            Some(Run::Unreadable) => {
                return Progress::Ended(RestorePhase::Failed, Reason::NoResult);
            }
            Some(Run::Refused(failure)) => match failure {
                Some(failure) if asks(step, failure) => {
                    loss = failure.loss.clone().unwrap_or(loss);
                }
                other if has_looked(other.as_ref()) => return ended(other.as_ref()),
                _ => {}
            },
            Some(Run::Active | Run::Leaving | Run::GaveUp(_) | Run::Lost) | None => {}
        }
    }
    Progress::Staged(loss)
}

/// Whether a swap asks for consent.
fn asks(step: Step, failure: &Failure) -> bool {
    failure.reason == Cause::LossNotAccepted && !step.accepts_loss()
}

/// Whether a command has seen in the database that it has not swapped. One that could not log in says nothing about an
/// earlier attempt.
fn has_looked(failure: Option<&Failure>) -> bool {
    let reason = failure.map(|failure| failure.reason);
    matches!(
        reason,
        Some(Cause::LossNotAccepted | Cause::Refused | Cause::RestoreFailed | Cause::Mismatch)
    )
}

fn ended(failure: Option<&Failure>) -> Progress {
    let reason = failure.map_or(Reason::Failed, |failure| failure.reason.into());
    let phase = match reason {
        Reason::Refused => RestorePhase::Refused,
        _ => RestorePhase::Failed,
    };
    Progress::Ended(phase, reason)
}

fn stage(facts: &Facts) -> Decision {
    let staging = |next| (next, RestorePhase::Staging, Reason::Staging);
    if facts.pinned && facts.service_gone {
        return (Next::Nothing, RestorePhase::Failed, Reason::ServiceReplaced);
    }
    match (facts.runs.get(&Step::Stage), facts.hindrance) {
        (Some(Run::Lost), _) => staging(Next::Remove(Step::Stage)),
        (Some(_), _) => staging(Next::Nothing),
        (None, Some(reason)) => (Next::Nothing, RestorePhase::Pending, reason),
        // Whatever it makes must not outlive it, nor get into another service.
        (None, None) if !facts.held => staging(Next::Hold),
        (None, None) if !facts.pinned => staging(Next::Nothing),
        (None, None) => staging(Next::Start(Step::Stage)),
    }
}

fn swap(facts: &Facts, loss: &Loss) -> Decision {
    let swapping = |next| (next, RestorePhase::Swapping, Reason::Swapping);
    if facts.service_gone {
        return (Next::Nothing, RestorePhase::Failed, Reason::ServiceReplaced);
    }
    for step in [Step::Swap(true), Step::Swap(false)] {
        match facts.runs.get(&step) {
            Some(Run::Active | Run::Leaving) => return swapping(Next::Nothing),
            Some(Run::GaveUp(_) | Run::Lost) => {
                return (Next::Remove(step), RestorePhase::Swapping, Reason::Retrying);
            }
            // Once that is corrected, a person deletes the Job.
            Some(Run::Refused(failure)) if !has_looked(failure.as_ref()) => {
                let reason = failure.as_ref().map(|failure| failure.reason.into());
                let reason = reason.unwrap_or(Reason::Failed);
                return (Next::Nothing, RestorePhase::Swapping, reason);
            }
            _ => {}
        }
    }
    let tried = facts.runs.contains_key(&Step::Swap(false));
    let step = match (facts.consent, loss.is_none() && !tried) {
        (true, _) => Step::Swap(true),
        (false, true) => Step::Swap(false),
        (false, false) => {
            return (
                Next::Nothing,
                RestorePhase::WaitingForConsent,
                Reason::WaitingForConsent,
            );
        }
    };
    match facts.hindrance {
        Some(reason) => (Next::Nothing, RestorePhase::Swapping, reason),
        None => swapping(Next::Start(step)),
    }
}

/// The restored data serves, until the former data is wanted back.
fn rest(facts: &Facts, has_previous: bool) -> Decision {
    let step = match facts.undo {
        None => return drop_previous(facts, has_previous, RestorePhase::Completed),
        Some(accepts_loss) => Step::Undo(accepts_loss),
    };
    if !has_previous {
        return (
            Next::Nothing,
            RestorePhase::Completed,
            Reason::NothingToUndo,
        );
    }
    for other in [Step::Undo(true), Step::Undo(false), Step::Drop] {
        if facts.runs.get(&other).is_some_and(Run::is_at_work) {
            return (Next::Nothing, RestorePhase::Undoing, Reason::Undoing);
        }
    }
    take(facts, step, RestorePhase::Undoing, RestorePhase::Completed)
}

fn drop_previous(facts: &Facts, has_previous: bool, phase: RestorePhase) -> Decision {
    let undoing = [Step::Undo(true), Step::Undo(false)];
    if undoing
        .iter()
        .any(|step| facts.runs.get(step).is_some_and(Run::is_at_work))
    {
        return (Next::Nothing, RestorePhase::Undoing, Reason::Undoing);
    }
    if facts.drop && has_previous {
        // After an undo, that is the staged data again.
        let step = match phase {
            RestorePhase::Undone => Step::Discard,
            _ => Step::Drop,
        };
        return take(facts, step, phase, phase);
    }
    let reason = match phase {
        RestorePhase::Undone => Reason::Undone,
        _ => Reason::Completed,
    };
    (Next::Nothing, phase, reason)
}

/// Takes a step after the swap; `failed`: the phase when it was refused.
fn take(facts: &Facts, step: Step, at_work: RestorePhase, failed: RestorePhase) -> Decision {
    let reason = match step {
        Step::Undo(_) => Reason::Undoing,
        _ => Reason::Dropping,
    };
    match (facts.runs.get(&step), facts.hindrance) {
        (Some(Run::Active | Run::Leaving | Run::Done(_)), _) => (Next::Nothing, at_work, reason),
        (Some(Run::GaveUp(_) | Run::Lost), _) => (Next::Remove(step), at_work, Reason::Retrying),
        (Some(Run::Unreadable), _) => (Next::Nothing, failed, Reason::NoResult),
        (Some(Run::Refused(failure)), _) => {
            let reason = failure.as_ref().map(|failure| failure.reason.into());
            (Next::Nothing, failed, reason.unwrap_or(Reason::Failed))
        }
        (None, Some(reason)) => (Next::Nothing, at_work, reason),
        (None, None) => (Next::Start(step), at_work, reason),
    }
}

/// It is being deleted: what is staged is removed first.
fn leave(facts: &Facts, progress: &Progress) -> Decision {
    let phase = match progress {
        Progress::New => RestorePhase::Pending,
        Progress::Staged(_) => RestorePhase::WaitingForConsent,
        Progress::Swapped => RestorePhase::Completed,
        Progress::Undone => RestorePhase::Undone,
        Progress::Ended(phase, _) => *phase,
    };
    let discarding = |next| (next, phase, Reason::Discarding);
    let swapped = matches!(progress, Progress::Swapped | Progress::Undone);
    if !facts.held {
        return discarding(Next::Nothing);
    }
    if facts.service_gone || swapped {
        return discarding(Next::Release);
    }
    // A step may be killed at any time: the database knows how far it came.
    let mut others = facts.runs.iter();
    let at_work = others.find(|(step, run)| **step != Step::Discard && run.is_at_work());
    match at_work {
        Some((step, Run::Active)) => return discarding(Next::Remove(*step)),
        Some(_) => return discarding(Next::Nothing),
        None => {}
    }
    match (facts.runs.get(&Step::Discard), facts.hindrance) {
        (Some(Run::Active | Run::Leaving), _) => discarding(Next::Nothing),
        // It would fail again, and nobody can be kept from a deletion forever.
        (Some(Run::Done(_) | Run::Refused(_) | Run::Unreadable), _) => discarding(Next::Release),
        (Some(Run::GaveUp(_) | Run::Lost), _) => {
            (Next::Remove(Step::Discard), phase, Reason::Retrying)
        }
        (None, Some(reason)) => (Next::Nothing, phase, reason),
        (None, None) => discarding(Next::Start(Step::Discard)),
    }
}

#[cfg(test)]
mod tests;
