//! Step 1: reads what a decision depends on, straight from the API server.
//!
//! The service is read as its own passes read it, and only when a step is about to start: a restore at rest, or at work,
//! costs next to nothing.

use std::collections::BTreeMap;

use hello_crds::{HelloRestore, HelloService, RestorePhase};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    error::{Class, Error, Result},
    kubernetes::api::Cluster,
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        live::{Live, TypedChild},
        names,
        owner::controller,
        pod::{self, is_owned_by},
        restore_result::{CONTAINER, Failure, RestoreResult},
        time::created,
    },
    restore::{
        children,
        plan::{
            step::{Run, Step},
            turn::{self, Place},
        },
        reason::Reason,
        validate::{IDENTITY, Order, SOURCE},
    },
    service::{
        self,
        children::build,
        dereference::{
            Scope, inputs::Inputs, observed::Problem, references::Reference, remove_foreign_words,
        },
        plan::{job_phase::JobPhase, look, planner, planner::Migration, wanted},
        report::pod_failure,
        validate::{DefaultImages, Limits, Validated},
    },
};

/// What exists of a restore.
#[derive(Debug, Default)]
pub struct Seen {
    /// How far its Jobs are.
    pub runs: BTreeMap<Step, Run>,
    /// UIDs of the Jobs.
    pub jobs: BTreeMap<Step, String>,
    /// What keeps a pod from its work, in words.
    pub pod_failure: Option<String>,
}

/// Reads the Jobs of a restore and how they ended. Pods are read after them, so that of a Job that was there each is seen.
///
/// # Errors
/// When the API server does not answer.
pub async fn runs(
    cluster: &Cluster,
    order: &Order,
    images: &DefaultImages,
    now: Timestamp,
) -> Result<Seen> {
    let identity = &order.identity;
    let selector = format!("{}={}", names::RESTORE_LABEL, identity.name);
    let jobs = cluster
        .list(Kind::Job, &identity.namespace, &selector)
        .await?;
    let mut pods = cluster.pods(&identity.namespace, &selector).await?;
    for pod in &mut pods {
        remove_foreign_words(pod, images);
    }
    let mut seen = Seen::default();
    for object in jobs.into_iter().flatten() {
        let owner = controller(&object).map(|owner| owner.uid.clone());
        let name = object.name_any();
        let mut steps = Step::ALL.into_iter();
        let step = steps.find(|step| children::name(order, *step) == name);
        let (Some(step), true) = (step, owner.as_ref() == Some(&identity.uid)) else {
            continue;
        };
        let id = ChildId::new(Kind::Job, name);
        let live = Live::parse(Kind::Job, object);
        let live = live.map_err(|source| Error::Unreadable { child: id, source })?;
        let Some(job) = Job::from_live(&live) else {
            continue;
        };
        let run = run(step, job, &live, &pods);
        if run.is_at_work() {
            let failure = pod_failure::of_run(&pods, &live.uid(), now);
            seen.pod_failure = failure.map(|failure| failure.message).or(seen.pod_failure);
        }
        seen.jobs.insert(step, live.uid());
        seen.runs.insert(step, run);
    }
    Ok(seen)
}

fn run(step: Step, job: &Job, live: &Live, pods: &[Pod]) -> Run {
    if live.is_deleting() {
        return Run::Leaving;
    }
    let uid = live.uid();
    let own = pods.iter().filter(|pod| is_owned_by(pod, &uid));
    let own = pod_failure::newest_first(own);
    match JobPhase::from_job(job) {
        JobPhase::Active => Run::Active,
        JobPhase::Failed => Run::Refused(failure(&own)),
        JobPhase::Interrupted => Run::GaveUp(failure(&own)),
        JobPhase::Succeeded => {
            let mut ended = own
                .iter()
                .filter(|pod| pod::phase(pod) == Some("Succeeded"));
            match ended.next() {
                None => Run::Lost,
                Some(pod) => match result(pod) {
                    Some(RestoreResult::Done(done)) if done.reason == step.deed() => {
                        Run::Done(done)
                    }
                    _ => Run::Unreadable,
                },
            }
        }
    }
}

/// What a pod of a step reported.
fn result(pod: &Pod) -> Option<RestoreResult> {
    let mut workers = pod::workers(pod);
    let worker = workers.find(|container| container.name == CONTAINER)?;
    RestoreResult::parse(pod::end(worker)?.message.as_deref()?)
}

/// How the newest pod failed that reported it.
fn failure(pods: &[&Pod]) -> Option<Failure> {
    pods.iter().find_map(|pod| match result(pod)? {
        RestoreResult::Failed(failure) => Some(failure),
        RestoreResult::Done(_) => None,
    })
}

/// The service that the restore is for, as plain JSON: it may not parse. `None` when it is gone, or is another one.
///
/// # Errors
/// When the API server does not answer.
pub async fn service(cluster: &Cluster, order: &Order) -> Result<Option<DynamicObject>> {
    let namespace = &order.identity.namespace;
    let service = cluster.service(namespace, order.service.as_str()).await?;
    let pinned = order.status.service_uid.as_ref();
    Ok(service.filter(|service| {
        service.metadata.deletion_timestamp.is_none()
            && pinned.is_none_or(|uid| service.metadata.uid.as_ref() == Some(uid))
    }))
}

/// The restore of the same service that comes first, when this one has not started.
///
/// # Errors
/// When the API server does not answer.
pub async fn first(cluster: &Cluster, order: &Order) -> Result<Option<String>> {
    let all = cluster.restores(&order.identity.namespace).await?;
    let restores = all
        .into_iter()
        .filter_map(|raw| service::dereference::parse(raw).ok());
    let same =
        restores.filter(|other: &HelloRestore| other.spec.service.name == order.service.as_str());
    let first = turn::first(same.map(|other| place(&other)));
    let first = first.map(|first| first.name);
    Ok(first.filter(|first| *first != order.identity.name))
}

fn place(restore: &HelloRestore) -> Place {
    let status = restore.status.as_ref();
    let holds = |name: &String| name == names::RESTORE_FINALIZER;
    Place {
        phase: status
            .and_then(|status| status.phase)
            .unwrap_or(RestorePhase::Pending),
        deleting: restore.metadata.deletion_timestamp.is_some(),
        held: restore.finalizers().iter().any(holds),
        created: created(&restore.metadata),
        name: restore.name_any(),
    }
}

/// A service that a step is about to be started for.
#[derive(Debug)]
pub struct Target {
    /// Its checked spec.
    pub service: Validated,
    /// What its Jobs are built from.
    pub inputs: Inputs,
}

/// Why no step may start, with more exact words where there are any.
pub type Hindrance = (Reason, Option<String>);

/// Reads the service as its own passes do.
///
/// # Errors
/// When the API server does not answer.
pub async fn target(
    cluster: &Cluster,
    raw: DynamicObject,
    (order, step): (&Order, Step),
    (images, limits): (&DefaultImages, &Limits),
    now: Timestamp,
) -> Result<Result<Target, Hindrance>> {
    let invalid = |error: &Error| Err((Reason::ServiceInvalid, Some(error.to_string())));
    let validated = checked(raw, images, limits);
    let service = match validated {
        Ok(service) => service,
        Err(error) => return Ok(invalid(&error)),
    };
    if service.paused {
        return Ok(Err((Reason::ServicePaused, None)));
    }
    if let (Step::Stage, Some(Err(wrong))) = (step, &order.source) {
        return Ok(Err((Reason::SourceInvalid, Some(wrong.clone()))));
    }
    if step == Step::Stage
        && let Some(words) = unresolved_identity(cluster, order).await?
    {
        return Ok(Err((Reason::SourceInvalid, Some(words))));
    }
    if is_of_other_data(&service, order) {
        return Ok(Err((Reason::ServiceUpgrading, None)));
    }
    let service = order.sees(service);
    if step == Step::Stage && service.backup.is_none() {
        return Ok(Err((Reason::BackupsDisabled, None)));
    }
    if let (Step::Stage, Some(claim)) = (step, order.source_claim())
        && cluster
            .get(&claim, &order.identity.namespace)
            .await?
            .is_none()
    {
        let words = format!("{SOURCE}.volume.claimName: {claim} does not exist");
        return Ok(Err((Reason::SourceInvalid, Some(words))));
    }
    let read = service::dereference::read(cluster, &service, Scope::Labelled, now).await;
    let read = match read {
        Ok(read) => read,
        Err(error) => match error.class() {
            Class::Waiting | Class::Invalid | Class::Conflict => return Ok(invalid(&error)),
            Class::Transient | Class::Refused | Class::Unanswered => return Err(error),
        },
    };
    let unresolved = read.observed.unresolved.iter();
    let mut kept = unresolved.filter_map(keeps_from_staging);
    if let (Step::Stage, Some(hindrance)) = (step, kept.next()) {
        return Ok(Err(hindrance));
    }
    let prepared = build(&service, &read.inputs).prepare()?;
    let (facts, _) = look(&service, &prepared, &read.observed, &read.inputs);
    let migration = planner::plan(&wanted(&prepared), &facts).migration;
    let hindrance = if let Some(words) = &facts.unusable_address {
        Some((Reason::ServiceInvalid, Some(words.clone())))
    } else if !facts.database_ready {
        Some((Reason::DatabaseNotReady, None))
    } else if migration != Migration::Succeeded || facts.migrating {
        Some((Reason::MigrationWaiting, None))
    } else if facts.backing_up {
        Some((Reason::BackupRunning, None))
    } else if facts.restoring {
        Some((Reason::StepRunning, None))
    } else {
        None
    };
    Ok(match hindrance {
        Some(hindrance) => Err(hindrance),
        None => Ok(Target {
            service,
            inputs: read.inputs,
        }),
    })
}

/// Whether the version of the data is being changed, by other means than this restore.
fn is_of_other_data(service: &Validated, order: &Order) -> bool {
    let of_change = service.data.restoring();
    let restore = of_change.and_then(|upgrade| upgrade.restore.as_ref());
    service.data.stopping().is_some() && restore != Some(&order.identity.name)
}

/// What is wrong with the Secret that opens the backup, in words.
async fn unresolved_identity(cluster: &Cluster, order: &Order) -> Result<Option<String>> {
    let Some((name, key)) = &order.opened_with else {
        return Ok(None);
    };
    let id = ChildId::new(Kind::Secret, name.as_str());
    let live = cluster.get(&id, &order.identity.namespace).await?;
    let reference = Reference::to_secret(IDENTITY, name.clone(), key);
    let problem = reference.problem(live.as_ref());
    Ok(problem.map(|problem| problem.words))
}

/// Of what the spec names and is missing: whether the pod that stages would wait for it, and only its events would say so.
fn keeps_from_staging(problem: &Problem) -> Option<Hindrance> {
    let reason = match problem.words.starts_with(SOURCE) {
        true => Reason::SourceInvalid,
        false => Reason::ServiceInvalid,
    };
    let words = problem.words.clone();
    problem.of_backups.then_some((reason, Some(words)))
}

/// What a step needs that does not exist yet, its Job last.
///
/// # Errors
/// When the API server does not answer, or an object does not serialize.
pub async fn missing(
    cluster: &Cluster,
    order: &Order,
    step: Step,
    target: &Target,
) -> Result<Vec<Desired>> {
    let (service, inputs) = (&target.service, &target.inputs);
    let policy = match step {
        Step::Stage => children::policy(order, service, inputs)?,
        _ => None,
    };
    let mut missing = Vec::new();
    if let Some(policy) = policy
        && cluster
            .get(&policy.id, &order.identity.namespace)
            .await?
            .is_none()
    {
        missing.push(policy);
    }
    missing.extend(children::job(order, step, service, inputs)?);
    Ok(missing)
}

fn checked(raw: DynamicObject, images: &DefaultImages, limits: &Limits) -> Result<Validated> {
    let service: HelloService = service::dereference::parse(raw)?;
    let validated = service::validate::validate(&service, images)?;
    limits.check(&validated)?;
    Ok(validated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_staging_pod_mounts_keeps_it_from_starting() {
        for (field, of_backups, expected) in [
            (
                "spec.source.destination.s3.caSecretRef",
                true,
                Some(Reason::SourceInvalid),
            ),
            (
                "spec.backup.destination.s3.caConfigMapRef",
                true,
                Some(Reason::ServiceInvalid),
            ),
            (
                "spec.pods.backup.volumes",
                true,
                Some(Reason::ServiceInvalid),
            ),
            ("spec.pods.app.volumes", false, None),
            ("spec.tls.secretName", false, None),
        ] {
            let words = format!("{field}: Secret a does not exist");
            let found = keeps_from_staging(&Problem {
                words: words.clone(),
                of_backups,
            });
            let expected = expected.map(|reason| (reason, Some(words)));
            assert_eq!(found, expected, "{field}");
        }
    }
}
