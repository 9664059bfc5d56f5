//! What is reported about the migration.

use hello_crds::MigrationStatus;
use jiff::Timestamp;

use crate::{
    object::{child::ChildId, kind::Kind, names::Component},
    service::{
        apply::Applied,
        plan::planner::Migration,
        report::{
            data,
            finding::{Finding, no, yes},
            pod_failure::{self, PodFailure},
            reason::Reason,
        },
        validate::Validated,
    },
};

/// Whether the schema is the one that the wanted image needs.
pub fn finding(service: &Validated, applied: &Applied, now: Timestamp) -> Finding {
    let image = service.image.as_str();
    let mut refused = applied.refused().iter();
    if let Some((id, error)) = refused.find(|(id, _)| id.kind == Kind::Job) {
        return no(Reason::Refused).with(format!("{id}: {error}"));
    }
    let failure = || pod_failure::first(applied.pods(), Component::Migration, now);
    match applied.migration() {
        Migration::Succeeded => {
            yes(Reason::MigrationSucceeded).with(format!("the schema fits {image}"))
        }
        Migration::Failed => {
            let output = failure().map_or_else(|| "see the Job's events".into(), |f| f.message);
            no(Reason::MigrationFailed).with(format!(
                "{output} (the previous version stays; change the spec, or delete the Job to try again)"
            ))
        }
        Migration::Running => {
            let refused = || {
                let words = job(applied).and_then(|job| applied.refused_pods(job));
                words.map(pod_failure::refused)
            };
            let problem = failure().map(PodFailure::finding).or_else(refused);
            problem.unwrap_or_else(|| {
                no(Reason::MigrationRunning).with(format!("the migration of {image} runs"))
            })
        }
        Migration::Pending => pending(service, applied, failure()),
    }
}

/// What the migration waits for.
fn pending(service: &Validated, applied: &Applied, failure: Option<PodFailure>) -> Finding {
    // Without its data, there is nothing to migrate.
    if let Some(going) = data::going(service, applied) {
        return going;
    }
    let facts = applied.facts();
    if !facts.jobs.is_empty() || facts.migrating {
        let stuck = failure.filter(|failure| failure.reason == Reason::PodStuck);
        return stuck.map_or_else(|| no(Reason::MigrationReplacing), PodFailure::finding);
    }
    let waiting = no(Reason::MigrationWaiting);
    if !applied.readiness().database.is_ready() {
        return waiting;
    }
    if service.paused {
        return waiting.with("the migration is due and waits: spec.paused is set");
    }
    match applied.refused().first() {
        Some((id, _)) => waiting.with(format!(
            "the migration is due and waits for {id}, which is refused"
        )),
        None => waiting,
    }
}

/// The wanted Job.
fn job(applied: &Applied) -> Option<&ChildId> {
    applied.wanted().iter().find(|id| id.kind == Kind::Job)
}

/// The wanted migration; `None` before the database is known.
pub fn status(applied: &Applied) -> Option<MigrationStatus> {
    let job = job(applied)?;
    let phase = match applied.migration() {
        Migration::Pending => "Pending",
        Migration::Running => "Running",
        Migration::Failed => "Failed",
        Migration::Succeeded => "Succeeded",
    };
    Some(MigrationStatus {
        job: job.name.clone(),
        phase: phase.into(),
    })
}
