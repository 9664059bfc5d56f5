//! What is reported about the migration.

use hello_crds::MigrationStatus;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use crate::{
    object::{
        child::ChildId,
        names::Component,
        pod::{self, condition},
    },
    service::{
        apply::Applied,
        children::{EXIT_UNAVAILABLE, MIGRATION},
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
    if let Some((id, error)) = refused.find(|(id, _)| applied.facts().is_migration(id)) {
        return no(Reason::Refused).with(format!("{id}: {error}"));
    }
    let failure = || pod_failure::first(applied.pods(), Component::Migration, now);
    let obstacle = || passing(applied.pods()).or_else(failure);
    match applied.migration() {
        Migration::Succeeded => {
            let fits = format!("the schema fits {image}");
            yes(Reason::MigrationSucceeded).with(match result(applied.pods()) {
                Some(result) => format!("{fits}: {result}"),
                None => fits,
            })
        }
        Migration::Failed => {
            let output = failure().map_or_else(|| "see the Job's events".into(), |f| f.message);
            no(Reason::MigrationFailed).with(format!(
                "{output} (the previous version stays; change the spec, or delete the Job to try again)"
            ))
        }
        Migration::Interrupted => {
            obstacle().map_or_else(|| no(Reason::MigrationRetrying), PodFailure::finding)
        }
        Migration::Running => {
            let refused = || {
                let words = job(applied).and_then(|job| applied.refused_pods(job));
                words.map(pod_failure::refused)
            };
            let problem = obstacle().map(PodFailure::finding).or_else(refused);
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
    if job(applied).is_some() && (!facts.jobs.is_empty() || facts.migrating) {
        let stuck = failure.filter(|failure| failure.reason == Reason::PodStuck);
        return stuck.map_or_else(|| no(Reason::MigrationReplacing), PodFailure::finding);
    }
    let waiting = no(Reason::MigrationWaiting);
    if !applied.readiness().database.accepts_migration() {
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
    let mut wanted = applied.wanted().iter();
    wanted.find(|id| applied.facts().is_migration(id))
}

/// The pods of migrations, the newest first, and how the program ended in each that has ended.
fn ends(pods: &[Pod]) -> impl Iterator<Item = (&Pod, &ContainerStateTerminated)> {
    let pods = pod_failure::of_component(pods, Component::Migration).into_iter();
    pods.filter_map(|pod| {
        let containers = pod.status.as_ref()?.container_statuses.iter().flatten();
        let mut containers = containers.filter(|container| container.name == MIGRATION);
        let end = containers.find_map(pod::end);
        Some((pod, end?))
    })
}

/// What kept the last attempt from its end, when that is nothing that the migration itself did.
fn passing(pods: &[Pod]) -> Option<PodFailure> {
    let (pod, end) = ends(pods).next()?;
    let status = pod.status.as_ref();
    let disruption = status.and_then(|status| condition(status, "DisruptionTarget"));
    let (reason, message) = if let Some(disruption) = disruption.filter(|c| c.status == "True") {
        (Reason::MigrationRetrying, disruption.message.as_deref())
    } else if end.exit_code == EXIT_UNAVAILABLE {
        let last = end
            .message
            .as_deref()
            .and_then(|message| message.lines().last());
        (
            Reason::DatabaseUnreachable,
            last.map(|last| last.trim_start_matches("error: ")),
        )
    } else {
        return None;
    };
    Some(PodFailure::new(reason, message.unwrap_or_default()))
}

/// What the program reports about its success.
fn result(pods: &[Pod]) -> Option<&str> {
    let (_, end) = ends(pods).find(|(_, end)| end.exit_code == 0)?;
    let message = end.message.as_deref().map(str::trim);
    message.filter(|message| !message.is_empty())
}

/// The wanted migration; `None` before the database is known.
pub fn status(applied: &Applied) -> Option<MigrationStatus> {
    let job = job(applied)?;
    let phase = match applied.migration() {
        Migration::Pending => "Pending",
        Migration::Running => "Running",
        Migration::Failed => "Failed",
        Migration::Interrupted => "Retrying",
        Migration::Succeeded => "Succeeded",
    };
    Some(MigrationStatus {
        job: job.name.clone(),
        phase: phase.into(),
    })
}
