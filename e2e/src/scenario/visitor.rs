//! Pods that try to reach others: what a NetworkPolicy allows, seen from where the packets start.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::run::Scenario;
use super::script::locked_down;
use crate::cluster::command;
use crate::cluster::pods::{address, is_ready};
use crate::cluster::wait::{self, Seen, poll};

/// How long a new pod may take to run, and a new address or policy to be known on every node.
const SETTLES: Duration = Duration::from_secs(30);
/// A refused packet may also be dropped: then nothing answers, and this is when the attempt is given up.
const ATTEMPT: &str = "3";

/// A running pod with `bash`, which tries to reach others.
pub struct Visitor<'a> {
    namespace: &'a str,
    pod: String,
}

impl<'a> Visitor<'a> {
    /// Starts a pod of `image` with these labels, on `node` unless that is `None`.
    ///
    /// # Errors
    /// When it does not run within half a minute.
    pub async fn start(
        scenario: &Scenario,
        namespace: &'a str,
        name: &str,
        image: &str,
        labels: Value,
        node: Option<&str>,
    ) -> Result<Self> {
        let mut pod = locked_down(
            name,
            json!({"name": name, "image": image, "command": ["sleep", "infinity"]}),
        );
        pod["metadata"]["labels"] = labels;
        pod["spec"]["nodeName"] = node.into();
        start(
            &Api::namespaced(scenario.cluster.client.clone(), namespace),
            name,
            pod,
        )
        .await?;
        Ok(Self::in_pod(namespace, name))
    }

    /// Uses a pod that runs already.
    pub fn in_pod(namespace: &'a str, pod: &str) -> Self {
        Self {
            namespace,
            pod: pod.to_owned(),
        }
    }

    /// Whether a TCP connection is established.
    ///
    /// # Errors
    /// When nothing can be run in the pod.
    pub async fn reaches(&self, host: &str, port: u16) -> Result<bool> {
        let script = "timeout $0 bash -c 'exec 3<>/dev/tcp/$0/$1' $1 $2 2>/dev/null && echo open || echo closed";
        let port = port.to_string();
        let args = [
            "--namespace",
            self.namespace,
            "exec",
            &self.pod,
            "--",
            "bash",
            "-c",
            script,
            ATTEMPT,
            host,
            &port,
        ];
        match command::kubectl(&args).await?.trim() {
            "open" => Ok(true),
            "closed" => Ok(false),
            other => bail!("{} printed {other:?}", self.pod),
        }
    }

    /// The connection is established, at the latest when every node has learned of the pod.
    ///
    /// # Errors
    /// When it is still refused after half a minute.
    pub async fn must_reach(&self, host: &str, port: u16) -> Result<()> {
        self.settles(host, port, true).await
    }

    /// The connection is refused, at the latest when the pod's node has learned of the pod.
    ///
    /// # Errors
    /// When it is still established after half a minute.
    pub async fn must_be_refused_eventually(&self, host: &str, port: u16) -> Result<()> {
        self.settles(host, port, false).await
    }

    /// The connection is refused from the first attempt on.
    ///
    /// # Errors
    /// When it is established.
    pub async fn must_be_refused(&self, host: &str, port: u16) -> Result<()> {
        ensure!(
            !self.reaches(host, port).await?,
            "{} reaches {host}:{port}, which is closed to it",
            self.pod
        );
        Ok(())
    }

    async fn settles(&self, host: &str, port: u16, open: bool) -> Result<()> {
        let wanted = if open { "to reach" } else { "not to reach" };
        let what = format!("{} {wanted} {host}:{port}", self.pod);
        poll(&what, SETTLES, async || {
            let seen = self.reaches(host, port).await?;
            Ok(if seen == open {
                Seen::Done(())
            } else {
                Seen::not_yet(seen)
            })
        })
        .await
    }
}

/// Starts a pod that serves the app with a store of its own, and returns its address.
///
/// # Errors
/// When it does not run within half a minute.
pub async fn start_app(
    scenario: &Scenario,
    name: &str,
    image: &str,
    labels: Value,
) -> Result<String> {
    let container = json!({
        "name": name,
        "image": image,
        "env": [{"name": "DATABASE_URL", "value": "sqlite:///data/hello.db"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9090}, "periodSeconds": 1},
    });
    let mut pod = locked_down(name, container);
    pod["metadata"]["labels"] = labels;
    pod["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    start(&scenario.api(), name, pod).await
}

/// Creates the pod and waits until it is ready; returns its address.
async fn start(pods: &Api<Pod>, name: &str, pod: Value) -> Result<String> {
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    wait::watch(
        pods,
        name,
        &format!("pod {name} to be ready"),
        SETTLES,
        |pod| {
            let Some(pod) = pod else {
                return Seen::NotYet("no such pod".to_owned());
            };
            let address = address(&pod);
            match address {
                Some(address) if is_ready(&pod) => Seen::Done(address),
                _ => Seen::not_yet(pod.status.map(|status| (status.phase, status.conditions))),
            }
        },
    )
    .await
}
