//! Pods that run one shell script.

use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, PostParams};
use serde_json::{Value, json};

use super::run::Scenario;
use crate::cluster::wait::{self, Seen};

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
