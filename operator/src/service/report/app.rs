//! What is reported about the application.

use kube::api::DynamicObject;

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
        owner::Identity,
    },
    service::{
        apply::Applied,
        plan::facts,
        report::{
            finding::{Finding, no, yes},
            pod_failure,
            reason::Reason,
        },
        validate::Validated,
    },
};

/// The live Deployment.
fn deployment<'a>(identity: &Identity, applied: &'a Applied) -> Option<&'a DynamicObject> {
    applied.get(&ChildId::new(Kind::Deployment, names::app(&identity.name)))
}

/// Whether every replica runs the wanted version.
pub fn finding(service: &Validated, applied: &Applied) -> Finding {
    let Some(live) = deployment(&service.identity, applied) else {
        return no(Reason::RolloutWaiting);
    };
    if facts::rolled_out(live) {
        return yes(Reason::RolledOut);
    }
    if let Some(failure) = pod_failure::first(applied.pods(), Component::App) {
        return failure.finding();
    }
    let mut conditions = live.data["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let stuck = conditions.find(|condition| {
        (condition["type"] == "ReplicaFailure" && condition["status"] == "True")
            || condition["reason"] == "ProgressDeadlineExceeded"
    });
    match stuck.map(|condition| condition["message"].as_str()) {
        Some(Some(message)) => no(Reason::RolloutStuck).with(message),
        Some(None) => no(Reason::RolloutStuck),
        None => no(Reason::RollingOut),
    }
}

/// What the application's pods are.
pub struct Running {
    /// Image that the Deployment gives to its pods.
    pub image: Option<String>,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
}

/// Reads it from the live Deployment; nothing runs without one.
pub fn running(service: &Validated, applied: &Applied) -> Running {
    let live = deployment(&service.identity, applied);
    let count = |name: &str| {
        let count = live.and_then(|live| live.data["status"][name].as_i64());
        count.and_then(|n| n.try_into().ok()).unwrap_or_default()
    };
    Running {
        image: live.and_then(image),
        replicas: count("replicas"),
        ready_replicas: count("readyReplicas"),
    }
}

fn image(deployment: &DynamicObject) -> Option<String> {
    let containers = deployment.data["spec"]["template"]["spec"]["containers"].as_array()?;
    let app = containers
        .iter()
        .find(|container| container["name"] == "app")?;
    app["image"].as_str().map(str::to_owned)
}

/// Address of the service inside the cluster.
pub fn endpoint(service: &Validated) -> String {
    let identity = &service.identity;
    let host = format!("{}.{}.svc", names::app(&identity.name), identity.namespace);
    let (scheme, default_port) = match service.tls {
        Some(_) => ("https", 443),
        None => ("http", 80),
    };
    match service.expose.port.get() {
        port if port == default_port => format!("{scheme}://{host}"),
        port => format!("{scheme}://{host}:{port}"),
    }
}
