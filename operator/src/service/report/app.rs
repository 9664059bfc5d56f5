//! What is reported about the application.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentStatus},
    core::v1::Pod,
};
use kube::ResourceExt;

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
        pod::is_unfinished,
    },
    service::{
        apply::Applied,
        plan::readiness::Rollout,
        report::{
            finding::{Finding, no},
            pod_failure,
            reason::Reason,
        },
        validate::Validated,
    },
};

/// Why not every replica runs the wanted version, or clients do not reach it; `None` when all is well.
pub fn finding(service: &Validated, applied: &Applied, now: Timestamp) -> Option<Finding> {
    let rollout = &applied.readiness().app;
    match rollout {
        Rollout::Absent => return Some(no(Reason::RolloutWaiting)),
        Rollout::Complete => return without_address(service, applied),
        Rollout::InProgress | Rollout::Refused { .. } | Rollout::Stuck { .. } => {}
    }
    if let Some(failure) = pod_failure::first(applied.pods(), Component::App, now) {
        return Some(failure.finding());
    }
    Some(match rollout {
        Rollout::Refused { message } => pod_failure::refused(message),
        Rollout::Stuck { message } if message.is_empty() => no(Reason::RolloutStuck),
        Rollout::Stuck { message } => no(Reason::RolloutStuck).with(message),
        Rollout::Absent | Rollout::Complete | Rollout::InProgress => no(Reason::RollingOut),
    })
}

/// The load balancer has no address yet, so clients outside of the cluster reach nothing.
fn without_address(service: &Validated, applied: &Applied) -> Option<Finding> {
    let id = ChildId::new(Kind::Service, names::app(&service.identity.name));
    let live = applied.get(&id)?;
    let is_balanced = live.data["spec"]["type"] == "LoadBalancer";
    let addresses = live.data["status"]["loadBalancer"]["ingress"].as_array();
    (is_balanced && addresses.is_none_or(Vec::is_empty)).then(|| {
        no(Reason::AddressPending).with(format!("{id} has no address of a load balancer yet"))
    })
}

/// What the application's pods are.
#[derive(Default)]
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
    let name = names::app(&service.identity.name);
    let Some(deployment) = applied.live().typed::<Deployment>(&name) else {
        return Running::default();
    };
    let status = deployment.status.as_ref();
    let count =
        |count: fn(&DeploymentStatus) -> Option<i32>| status.and_then(count).unwrap_or_default();
    Running {
        image: image(deployment),
        replicas: count(|status| status.replicas),
        ready_replicas: count(|status| status.ready_replicas),
    }
}

fn image(deployment: &Deployment) -> Option<String> {
    let pods = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let app = pods
        .containers
        .iter()
        .find(|container| container.name == "app")?;
    app.image.clone()
}

/// The pods of the application that have not ended; `None` when there are none.
pub fn pods_left(applied: &Applied) -> Option<String> {
    let is_of_app = |pod: &&Pod| Component::from_labels(pod.labels()) == Some(Component::App);
    let pods = applied.pods().iter().filter(is_of_app);
    let left: Vec<String> = pods
        .filter(|pod| is_unfinished(pod))
        .map(ResourceExt::name_any)
        .collect();
    (!left.is_empty()).then(|| left.join(", "))
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
