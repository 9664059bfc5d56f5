//! Helper objects that scenarios create: pods that run one script, and Jobs from a CronJob.

use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, ObjectMeta, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use crate::scenario::Scenario;
use crate::wait::{self, Seen};

/// A pod that runs one shell script to its end, allowed under the restricted Pod Security standard.
pub struct Script<'a> {
    /// The pod's name.
    pub name: &'a str,
    /// An image with a shell.
    pub image: &'a str,
    /// The script.
    pub script: &'a str,
    /// A claim mounted read-only at `/backups`.
    pub backups: Option<&'a str>,
}

impl Script<'_> {
    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// When it fails, or has not ended within `limit`; the message carries what it printed.
    pub async fn run(&self, scenario: &Scenario, limit: Duration) -> Result<String> {
        let pods = scenario.api::<Pod>();
        pods.create(&PostParams::default(), &self.pod()?).await?;
        let what = format!("pod {} to end", self.name);
        let phase = wait::watch(&pods, self.name, &what, limit, |pod| {
            let status = pod.and_then(|pod| pod.status);
            match status.as_ref().and_then(|status| status.phase.as_deref()) {
                Some(phase @ ("Succeeded" | "Failed")) => Seen::Done(phase.to_owned()),
                _ => Seen::not_yet(status.map(|status| (status.phase, status.container_statuses))),
            }
        })
        .await?;
        let log = pods.logs(self.name, &LogParams::default()).await?;
        if phase != "Succeeded" {
            bail!("pod {} failed and printed:\n{log}", self.name);
        }
        Ok(log)
    }

    fn pod(&self) -> Result<Pod> {
        let (volumes, mounts) = match self.backups {
            None => (json!([]), json!([])),
            Some(claim) => (
                json!([{"name": "backups", "persistentVolumeClaim": {"claimName": claim, "readOnly": true}}]),
                json!([{"name": "backups", "mountPath": "/backups", "readOnly": true}]),
            ),
        };
        let mut pod = locked_down(
            self.name,
            json!({
                "name": "script",
                "image": self.image,
                "command": ["bash", "-ceu", self.script],
                "volumeMounts": mounts,
            }),
        );
        pod["spec"]["restartPolicy"] = "Never".into();
        pod["spec"]["volumes"] = volumes;
        Ok(serde_json::from_value(pod)?)
    }
}

/// A pod with this container, allowed under the restricted Pod Security standard.
pub(crate) fn locked_down(name: &str, mut container: Value) -> Value {
    container["imagePullPolicy"] = "IfNotPresent".into();
    container["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({
        "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    })
}

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
    let of_job =
        kube::api::ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let mut log = String::new();
    for pod in pods.list(&of_job).await?.items {
        log.push_str(&pods.logs(&pod.name_any(), &LogParams::default()).await?);
    }
    Ok(log)
}
