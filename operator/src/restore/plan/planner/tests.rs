use serde_json::json;

use super::*;
use crate::object::restore_result::RestoreResult;

/// A restore that was just made, of a service at rest.
fn new() -> Facts {
    Facts {
        deleting: false,
        held: false,
        pinned: false,
        consent: false,
        undo: None,
        drop: false,
        progress: Progress::New,
        has_previous: false,
        runs: BTreeMap::new(),
        service_gone: false,
        hindrance: None,
    }
}

fn started() -> Facts {
    Facts {
        held: true,
        pinned: true,
        ..new()
    }
}

fn staged(added: i64) -> Facts {
    Facts {
        progress: Progress::Staged(loss(added)),
        ..started()
    }
}

fn swapped() -> Facts {
    Facts {
        progress: Progress::Swapped,
        has_previous: true,
        held: false,
        ..started()
    }
}

fn loss(added: i64) -> Loss {
    Loss {
        added,
        ..Loss::default()
    }
}

fn done(step: Step, added: i64) -> Run {
    let text = json!({"reason": format!("{:?}", step.deed()), "time": "2026-01-01T00:00:00Z",
        "loss": {"added": added, "changed": 0, "removed": 7}});
    match RestoreResult::parse(&text.to_string()) {
        Some(RestoreResult::Done(done)) => Run::Done(done),
        other => panic!("{other:?}"),
    }
}

fn failure(reason: &str) -> Failure {
    let text = json!({"reason": reason, "time": "2026-01-01T00:00:00Z", "message": "words",
        "loss": {"added": 4, "changed": 0, "removed": 0}});
    match RestoreResult::parse(&text.to_string()) {
        Some(RestoreResult::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

fn refused(reason: &str) -> Run {
    Run::Refused(Some(failure(reason)))
}

fn with(mut facts: Facts, runs: &[(Step, Run)]) -> Facts {
    facts.runs.extend(runs.iter().cloned());
    facts
}

fn next(facts: &Facts) -> (Next, RestorePhase, Reason) {
    let plan = plan(facts);
    (plan.next, plan.phase, plan.reason)
}

use RestorePhase as P;

#[test]
fn a_restore_without_loss_goes_from_step_to_step_by_itself() {
    let mut facts = new();
    assert_eq!(next(&facts), (Next::Hold, P::Staging, Reason::Staging));
    facts.held = true;
    // The service is named in the status first.
    assert_eq!(next(&facts), (Next::Nothing, P::Staging, Reason::Staging));
    facts.pinned = true;
    assert_eq!(next(&facts).0, Next::Start(Step::Stage));
    facts.runs.insert(Step::Stage, Run::Active);
    assert_eq!(next(&facts).0, Next::Nothing);
    // Rows that come back are no loss.
    facts.runs.insert(Step::Stage, done(Step::Stage, 0));
    let start = Next::Start(Step::Swap(false));
    assert_eq!(next(&facts), (start, P::Swapping, Reason::Swapping));
    facts.runs.insert(Step::Swap(false), Run::Active);
    assert_eq!(next(&facts).0, Next::Nothing);
    let swap = Step::Swap(false);
    facts.runs.insert(swap, done(swap, 0));
    let plan = plan(&facts);
    assert_eq!((plan.next, plan.phase), (Next::Release, P::Completed));
    assert!(plan.has_previous);
    facts.held = false;
    assert_eq!(
        next(&facts),
        (Next::Nothing, P::Completed, Reason::Completed)
    );
}

#[test]
fn nothing_that_was_written_is_lost_without_consent() {
    let waits = (
        Next::Nothing,
        P::WaitingForConsent,
        Reason::WaitingForConsent,
    );
    let mut facts = with(started(), &[(Step::Stage, done(Step::Stage, 3))]);
    assert_eq!(next(&facts), waits);
    assert_eq!(plan(&facts).loss.unwrap().added, 3);
    facts.consent = true;
    assert_eq!(next(&facts).0, Next::Start(Step::Swap(true)));
    // Written after the count: the swap notices it.
    let swap = Step::Swap(false);
    let mut late = with(staged(0), &[(swap, refused("LossNotAccepted"))]);
    assert_eq!(next(&late), waits);
    assert_eq!(plan(&late).loss.unwrap().added, 4);
    late.consent = true;
    assert_eq!(next(&late).0, Next::Start(Step::Swap(true)));
    // The Job that noticed it may be gone: the status has the loss.
    assert_eq!(next(&staged(4)), waits);
    // A consent does not end the swap that is at work.
    let mut at_work = with(staged(0), &[(swap, Run::Active)]);
    at_work.consent = true;
    assert_eq!(next(&at_work).0, Next::Nothing);
}

#[test]
fn before_the_swap_a_failure_is_the_end_and_nothing_was_changed() {
    for (run, phase, reason) in [
        (refused("Refused"), P::Refused, Reason::Refused),
        (refused("Mismatch"), P::Failed, Reason::Mismatch),
        (
            Run::GaveUp(Some(failure("NotProved"))),
            P::Failed,
            Reason::NotProved,
        ),
        (Run::GaveUp(None), P::Failed, Reason::Failed),
        (Run::Refused(None), P::Failed, Reason::Failed),
        (Run::Unreadable, P::Failed, Reason::NoResult),
    ] {
        let facts = with(started(), &[(Step::Stage, run.clone())]);
        assert_eq!(next(&facts), (Next::Nothing, phase, reason), "{run:?}");
    }
    let swap = (Step::Swap(true), refused("Refused"));
    let facts = with(staged(0), &[swap]);
    assert_eq!(next(&facts), (Next::Nothing, P::Refused, Reason::Refused));
    let ended = Facts {
        progress: Progress::Ended(P::Failed, Reason::Mismatch),
        ..started()
    };
    assert_eq!(next(&ended), (Next::Nothing, P::Failed, Reason::Mismatch));
}

/// An earlier attempt of the same Job may have swapped.
#[test]
fn a_swap_that_does_not_reach_the_database_is_no_end() {
    for (run, reason) in [
        (refused("Privileges"), Reason::Privileges),
        (refused("Failed"), Reason::Failed),
        (Run::Refused(None), Reason::Failed),
    ] {
        let facts = with(staged(0), &[(Step::Swap(true), run)]);
        assert_eq!(next(&facts), (Next::Nothing, P::Swapping, reason));
    }
}

/// Its pod may have been killed after the transaction.
#[test]
fn the_end_of_a_swap_that_gave_up_is_found_out() {
    for run in [
        Run::GaveUp(None),
        Run::GaveUp(Some(failure("Locked"))),
        Run::Lost,
    ] {
        for step in [Step::Swap(false), Step::Swap(true)] {
            let facts = with(staged(0), &[(step, run.clone())]);
            let expected = (Next::Remove(step), P::Swapping, Reason::Retrying);
            assert_eq!(next(&facts), expected, "{run:?}");
        }
        let facts = with(started(), &[(Step::Discard, run)]);
        let facts = Facts {
            deleting: true,
            ..facts
        };
        assert_eq!(next(&facts).0, Next::Remove(Step::Discard));
    }
    let facts = with(started(), &[(Step::Stage, Run::Lost)]);
    assert_eq!(next(&facts).0, Next::Remove(Step::Stage));
}

#[test]
fn no_step_starts_while_something_is_in_the_way() {
    let waiting = |facts: Facts| Facts {
        hindrance: Some(Reason::MigrationWaiting),
        ..facts
    };
    let undo = Facts {
        undo: Some(false),
        ..swapped()
    };
    let drop = Facts {
        drop: true,
        ..swapped()
    };
    let deleted = Facts {
        deleting: true,
        ..started()
    };
    for (facts, step) in [
        (started(), Step::Stage),
        (staged(0), Step::Swap(false)),
        (undo, Step::Undo(false)),
        (drop, Step::Drop),
        (deleted, Step::Discard),
    ] {
        assert_eq!(next(&facts).0, Next::Start(step));
        let (next, _, reason) = next(&waiting(facts));
        assert_eq!((next, reason), (Next::Nothing, Reason::MigrationWaiting));
    }
    // It has not begun, so nothing holds it.
    assert_eq!(
        next(&waiting(new())),
        (Next::Nothing, P::Pending, Reason::MigrationWaiting)
    );
}

#[test]
fn another_service_of_the_name_is_not_touched() {
    for facts in [started(), staged(0)] {
        let gone = Facts {
            service_gone: true,
            ..facts
        };
        assert_eq!(
            next(&gone),
            (Next::Nothing, P::Failed, Reason::ServiceReplaced)
        );
        let deleted = Facts {
            deleting: true,
            ..gone
        };
        assert_eq!(next(&deleted).0, Next::Release);
    }
}

#[test]
fn an_undo_takes_the_former_data_back_and_asks_before_it_loses_what_was_written_since() {
    let mut facts = Facts {
        undo: Some(false),
        ..swapped()
    };
    let start = Next::Start(Step::Undo(false));
    assert_eq!(next(&facts), (start, P::Undoing, Reason::Undoing));
    facts
        .runs
        .insert(Step::Undo(false), refused("LossNotAccepted"));
    assert_eq!(
        next(&facts),
        (Next::Nothing, P::Completed, Reason::LossNotAccepted)
    );
    facts.undo = Some(true);
    let step = Step::Undo(true);
    assert_eq!(next(&facts).0, Next::Start(step));
    facts.runs.insert(step, done(step, 2));
    let plan = plan(&facts);
    assert_eq!(
        (plan.next, plan.phase, plan.has_previous),
        (Next::Nothing, P::Undone, true)
    );
    // The annotation may go: what was undone stays undone.
    facts.undo = None;
    facts.progress = Progress::Undone;
    assert_eq!(next(&facts), (Next::Nothing, P::Undone, Reason::Undone));
    // What was restored is removed on request.
    facts.drop = true;
    assert_eq!(next(&facts).0, Next::Start(Step::Discard));
    facts.runs.insert(Step::Discard, done(Step::Discard, 0));
    let plan = super::plan(&facts);
    assert_eq!((plan.next, plan.has_previous), (Next::Nothing, false));
    // A step at work ends first, whatever the annotations are by now.
    for drop in [false, true] {
        let undo = with(swapped(), &[(Step::Undo(false), Run::Active)]);
        let facts = Facts { drop, ..undo };
        assert_eq!(next(&facts), (Next::Nothing, P::Undoing, Reason::Undoing));
    }
    let both = with(
        Facts {
            undo: Some(false),
            ..swapped()
        },
        &[(Step::Drop, Run::Active)],
    );
    assert_eq!(next(&both).0, Next::Nothing);
}

#[test]
fn the_former_data_is_removed_only_on_request() {
    assert_eq!(next(&swapped()).0, Next::Nothing);
    let mut facts = Facts {
        drop: true,
        ..swapped()
    };
    assert_eq!(
        next(&facts),
        (Next::Start(Step::Drop), P::Completed, Reason::Dropping)
    );
    facts.runs.insert(Step::Drop, done(Step::Drop, 0));
    let plan = plan(&facts);
    assert_eq!((plan.phase, plan.has_previous), (P::Completed, false));
    facts.has_previous = false;
    facts.undo = Some(true);
    assert_eq!(
        next(&facts),
        (Next::Nothing, P::Completed, Reason::NothingToUndo)
    );
    // Before the swap there is nothing to remove.
    for facts in [started(), staged(3)] {
        let asked = Facts {
            drop: true,
            undo: Some(true),
            ..facts.clone()
        };
        assert_eq!(next(&asked), next(&facts));
    }
}

#[test]
fn a_deletion_removes_what_is_staged_and_leaves_what_was_swapped() {
    let deleted = |facts: Facts| Facts {
        deleting: true,
        ..facts
    };
    assert_eq!(next(&deleted(new())).0, Next::Nothing);
    for facts in [started(), staged(3)] {
        assert_eq!(next(&deleted(facts)).0, Next::Start(Step::Discard));
    }
    let at_work = with(started(), &[(Step::Stage, Run::Active)]);
    assert_eq!(next(&deleted(at_work)).0, Next::Remove(Step::Stage));
    let leaving = with(started(), &[(Step::Stage, Run::Leaving)]);
    assert_eq!(next(&deleted(leaving)).0, Next::Nothing);
    for (run, expected) in [
        (Run::Active, Next::Nothing),
        (done(Step::Discard, 0), Next::Release),
        // Nobody can be kept from a deletion forever.
        (refused("Privileges"), Next::Release),
        (Run::Unreadable, Next::Release),
    ] {
        let facts = with(started(), &[(Step::Discard, run)]);
        assert_eq!(next(&deleted(facts)).0, expected);
    }
    let held = Facts {
        held: true,
        ..swapped()
    };
    assert_eq!(next(&deleted(held)).0, Next::Release);
    let swap = Step::Swap(true);
    let late = with(staged(0), &[(swap, done(swap, 3))]);
    assert_eq!(next(&deleted(late)).0, Next::Release);
}
