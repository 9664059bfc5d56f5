//! What is reported about a deletion that waits for the operator.

use crate::{
    object::child::ChildId,
    service::{
        apply::Applied,
        plan::{
            job_phase::JobPhase,
            leaving::{Leaving, Order},
        },
        report::{
            app,
            backup::Backups,
            finding::{Finding, no},
            hindrance::{self, Whose},
            reason::Reason,
        },
        validate::Validated,
    },
};

/// What ends the wait, whatever keeps the last backup from being made.
const WAY_OUT: &str = "nothing is deleted; correct it, or set deletionPolicy to Retain or Delete";

/// What the deletion waits for; `None` when there is none.
pub fn finding(
    service: &Validated,
    applied: &Applied,
    database: &Finding,
    backups: Option<&Backups<'_>>,
) -> Option<Finding> {
    let leaving = applied.facts().leaving.as_ref()?;
    if service.paused {
        let words = "the resource is being deleted, and spec.paused keeps the operator from it: set it to false, or \
            deletionPolicy to Retain";
        return Some(no(Reason::Paused).with(words));
    }
    let Some(order) = &leaving.backup else {
        return Some(refused(applied).unwrap_or_else(|| no(Reason::Releasing)));
    };
    if order.proved {
        return Some(refused(applied).unwrap_or_else(|| {
            let known = service.deletion.ordered.as_ref();
            let file = known.and_then(|known| known.file.clone());
            let words = format!(
                "the last backup {} is proved, and the data is released",
                file.unwrap_or_default()
            );
            no(Reason::Releasing).with(words)
        }));
    }
    let obstacle = backups.and_then(|backups| obstacle(service, applied, backups));
    let obstacle = obstacle.or_else(|| {
        let needed = !database.holds && database.reason.needs_action();
        needed.then(|| database.clone())
    });
    Some(match obstacle {
        Some(obstacle) => {
            let (reason, words) = (obstacle.reason, obstacle.message);
            no(Reason::SnapshotFailed).with(format!("{reason}: {words} ({WAY_OUT})"))
        }
        None => no(Reason::SnapshotPending).with(waits_for(applied, leaving, order, database)),
    })
}

/// A write that the API server does not take.
fn refused(applied: &Applied) -> Option<Finding> {
    let refused = applied.refused().iter().chain(applied.failed());
    let (id, error) = refused.into_iter().next()?;
    Some(no(Reason::Refused).with(format!("{id}: {error} ({WAY_OUT})")))
}

/// Why the last backup failed, or is not made.
fn obstacle(service: &Validated, applied: &Applied, backups: &Backups<'_>) -> Option<Finding> {
    let hindrance = || hindrance::finding(applied, Whose::Backups);
    let since = service.deletion.since?;
    hindrance()
        .or_else(|| backups.not_running())
        .or_else(|| backups.failed_since(since))
}

/// What is in progress.
fn waits_for(applied: &Applied, leaving: &Leaving, order: &Order, database: &Finding) -> String {
    let facts = applied.facts();
    if leaving.serving {
        let words = "the application is being stopped before the last backup";
        return match app::pods_left(applied) {
            Some(left) => format!("{words}: {left}"),
            None => words.into(),
        };
    }
    let own = |id: &ChildId| *id == order.job;
    let at_work = |phase: &JobPhase| *phase == JobPhase::Active;
    let mut orders = facts.last_backups.iter();
    if orders.any(|(id, phase)| own(id) && at_work(phase)) {
        return "the last backup is being made and proved".into();
    }
    let what = if facts.restoring {
        "a step of a HelloRestore to end"
    } else if facts.migrating || facts.jobs.values().any(at_work) {
        "a migration to end"
    } else if facts.backing_up {
        "another backup to end"
    } else if !facts.database_ready {
        return format!(
            "the last backup waits for the database: {}",
            database.message
        );
    } else {
        return "the last backup is started".into();
    };
    format!("the last backup waits for {what}")
}
