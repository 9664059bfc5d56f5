//! What is reported about the migration.

use hello_crds::MigrationStatus;

use crate::{
    object::{child::ChildId, kind::Kind, names::Component},
    service::{
        apply::Applied,
        plan::planner::Migration,
        report::{
            finding::{Finding, no, yes},
            pod_failure,
            reason::Reason,
        },
        validate::Validated,
    },
};

/// Whether the schema is the one that the wanted image needs.
pub fn finding(service: &Validated, applied: &Applied) -> Finding {
    let image = service.image.as_str();
    let mut refused = applied.refused().iter();
    if let Some((id, error)) = refused.find(|(id, _)| id.kind == Kind::Job) {
        return no(Reason::Refused).with(format!("{id}: {error}"));
    }
    let failure = || pod_failure::first(applied.pods(), Component::Migration);
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
        Migration::Running => running(applied, image),
        Migration::Pending if applied.facts().jobs.is_empty() && !applied.facts().migrating => {
            no(Reason::MigrationWaiting)
        }
        Migration::Pending => no(Reason::MigrationReplacing),
    }
}

/// How a migration that has not ended gets on.
fn running(applied: &Applied, image: &str) -> Finding {
    if let Some(failure) = pod_failure::first(applied.pods(), Component::Migration) {
        return failure.finding();
    }
    if let Some(words) = job(applied).and_then(|job| applied.refused_pods(job)) {
        return pod_failure::refused(words);
    }
    no(Reason::MigrationRunning).with(format!("the migration of {image} runs"))
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
