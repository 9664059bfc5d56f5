//! Jobs: made from a CronJob, awaited, their logs.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams, ObjectMeta, PostParams};
use kube::{Resource, ResourceExt};

use super::run::Scenario;
use crate::cluster::wait::{self, Seen};

/// Creates a Job from a CronJob, as `kubectl create job --from` does.
///
/// # Errors
/// When the CronJob does not exist or the Job is refused.
pub async fn job_from(scenario: &Scenario, cron_job: &str, name: &str) -> Result<Job> {
    let cron: CronJob = scenario.api().get(cron_job).await?;
    let template = cron.spec.job_template.clone();
    let from = template.metadata.unwrap_or_default();
    let mut annotations = from.annotations.unwrap_or_default();
    annotations.insert(
        "cronjob.kubernetes.io/instantiate".to_owned(),
        "manual".to_owned(),
    );
    let job = Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: from.labels,
            annotations: Some(annotations),
            owner_references: cron.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    };
    Ok(scenario.api().create(&PostParams::default(), &job).await?)
}

/// Waits until a Job has succeeded (`true`) or failed (`false`).
///
/// # Errors
/// When it has done neither within `limit`.
pub async fn job_end(scenario: &Scenario, name: &str, limit: Duration) -> Result<(Job, bool)> {
    let what = format!("Job {name} to end");
    wait::watch(&scenario.api::<Job>(), name, &what, limit, |job| {
        let Some(job) = job else {
            return Seen::NotYet("no such Job".to_owned());
        };
        match ended(&job) {
            Some(succeeded) => Seen::Done((job, succeeded)),
            None => Seen::not_yet(job.status),
        }
    })
    .await
}

/// Whether a Job has succeeded or failed; `None` while it runs.
pub fn ended(job: &Job) -> Option<bool> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let has = |kind| {
        conditions
            .iter()
            .any(|c| c.type_ == kind && c.status == "True")
    };
    if has("Complete") {
        Some(true)
    } else if has("Failed") {
        Some(false)
    } else {
        None
    }
}

/// The log of the pods of a Job, one after the other.
///
/// # Errors
/// When they cannot be read.
pub async fn job_log(scenario: &Scenario, job: &str) -> Result<String> {
    let pods = scenario.api::<Pod>();
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let mut log = String::new();
    for pod in pods.list(&of_job).await?.items {
        log.push_str(&pods.logs(&pod.name_any(), &LogParams::default()).await?);
    }
    Ok(log)
}
