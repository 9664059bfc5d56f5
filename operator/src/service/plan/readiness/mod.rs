//! Whether the parts of a service are ready, judged from their live objects. This is the only place that judges it:
//! the planner asks whether a migration may start, and the report explains the same value.

use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, StatefulSet},
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        live::LiveObjects,
        names::{self, Component},
        owner::Identity,
        pod::{condition, containers, runs, waiting_reason},
        words,
    },
    service::{
        children::SERVER,
        plan::{
            cnpg_health::Health,
            facts::Facts,
            presence::Presence,
            stuck_pod::{REVISION_LABEL, present_status},
        },
        validate::Database,
    },
};

/// Whether the parts of a service are ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The database.
    pub database: DatabaseState,
    /// The application.
    pub app: Rollout,
}

/// State of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// Another party runs it: the operator only knows its address.
    External,
    /// Another party runs it, and its address is not known.
    WithoutAddress {
        /// Why not, in words.
        problem: String,
    },
    /// It answers, and runs what is wanted.
    Serving,
    /// Every server answers, and the change to what is wanted is in progress.
    Changing,
    /// Writes are taken, but not every server is there.
    Degraded {
        /// What CloudNativePG reports.
        phase: String,
        /// Whether the servers run what is wanted.
        settled: bool,
    },
    /// It does not answer yet, or just now.
    Starting {
        /// What CloudNativePG reports; `None` for the operator's own server.
        phase: Option<String>,
    },
    /// It does not answer yet: its pod of the current template starts it for the first time.
    Initializing,
    /// CloudNativePG waits for a person.
    Blocked {
        /// What CloudNativePG reports.
        phase: String,
    },
    /// A person asked CloudNativePG to stop the servers.
    Hibernated,
    /// An earlier server of this name, or its volume, is still being deleted.
    Leaving,
    /// It has other data than the service has had.
    Replaced,
    /// It has a version of the data of which nobody knows whether it may serve.
    Unknown,
    /// Nothing that would run it exists yet.
    Absent,
    /// The cluster does not serve the kind that would run it.
    NotServed,
}

impl DatabaseState {
    /// Whether it answers and runs what is wanted.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        match self {
            Self::External | Self::Serving => true,
            Self::Degraded { settled, .. } => *settled,
            Self::WithoutAddress { .. }
            | Self::Changing
            | Self::Starting { .. }
            | Self::Initializing
            | Self::Blocked { .. }
            | Self::Hibernated
            | Self::Leaving
            | Self::Replaced
            | Self::Unknown
            | Self::Absent
            | Self::NotServed => false,
        }
    }

    /// Whether a migration may start. It waits for a server that does not answer yet, and its own pod takes as long to
    /// start as the server does.
    #[must_use]
    pub const fn accepts_migration(&self) -> bool {
        matches!(self, Self::Initializing) || self.is_ready()
    }
}

/// State of the application's rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// There is no Deployment yet.
    Absent,
    /// Every replica runs the current template, and none the old one.
    Complete,
    /// Not every replica runs the current template yet.
    InProgress,
    /// The API server refuses its pods.
    Refused {
        /// The API server's words.
        message: String,
    },
    /// Kubernetes reports that it does not go on.
    Stuck {
        /// What Kubernetes reports.
        message: String,
    },
}

/// Judges the parts of a service.
#[must_use]
pub fn observe(
    identity: &Identity,
    database: &Database,
    facts: &Facts,
    live: &LiveObjects,
    pods: &[Pod],
) -> Readiness {
    let name = names::database(&identity.name);
    let deployment = live.typed::<Deployment>(&names::app(&identity.name));
    Readiness {
        database: match database {
            _ if facts.data_replaced => DatabaseState::Replaced,
            _ if facts.is_held() => DatabaseState::Unknown,
            _ if facts.unusable_address.is_some() => DatabaseState::WithoutAddress {
                problem: facts.unusable_address.clone().unwrap_or_default(),
            },
            Database::External(_) => DatabaseState::External,
            Database::Managed(database) => {
                let claim = database.data_version.claim(&name);
                managed(&name, claim, facts, live, pods)
            }
            Database::CloudNativePg(_) => cloud_native_pg(name, facts, live),
        },
        app: match deployment.map_or(Rollout::Absent, rollout) {
            Rollout::Complete if deployment.is_some_and(|live| is_short(live, facts)) => {
                Rollout::InProgress
            }
            rollout => rollout,
        },
    }
}

fn managed(
    name: &str,
    claim: String,
    facts: &Facts,
    live: &LiveObjects,
    pods: &[Pod],
) -> DatabaseState {
    let set = ChildId::new(Kind::StatefulSet, name);
    let claim = ChildId::new(Kind::PersistentVolumeClaim, claim);
    let settled = facts.present.get(&set) == Some(&Presence::Settled);
    let server = live.typed::<StatefulSet>(name);
    if settled && server.is_some_and(|server| server_ready(server, pods)) {
        return DatabaseState::Serving;
    }
    let mut parts = [set, claim].into_iter();
    if parts.any(|part| {
        facts
            .present
            .get(&part)
            .is_some_and(|seen| seen.is_leaving())
    }) {
        return DatabaseState::Leaving;
    }
    match server {
        Some(server) if settled && is_initializing(server, pods) => DatabaseState::Initializing,
        _ => DatabaseState::Starting { phase: None },
    }
}

fn cloud_native_pg(name: String, facts: &Facts, live: &LiveObjects) -> DatabaseState {
    let id = ChildId::new(Kind::Cluster, name);
    if facts.missing.contains(&Kind::Cluster) {
        return DatabaseState::NotServed;
    }
    let presence = facts.present.get(&id);
    let settled = presence == Some(&Presence::Settled);
    let cluster = match presence {
        Some(Presence::Predecessor | Presence::Deleting) => return DatabaseState::Leaving,
        Some(Presence::Foreign) => None,
        Some(Presence::Settled | Presence::Drifted) | None => live.get(&id),
    };
    let Some(cluster) = cluster else {
        return DatabaseState::Absent;
    };
    match Health::from_cluster(cluster.object()) {
        Health::Serving if settled => DatabaseState::Serving,
        Health::Serving => DatabaseState::Changing,
        Health::Degraded(phase) => DatabaseState::Degraded { phase, settled },
        Health::Starting(phase) => DatabaseState::Starting { phase: Some(phase) },
        Health::Blocked(phase) => DatabaseState::Blocked { phase },
        Health::Hibernated => DatabaseState::Hibernated,
    }
}

/// Whether the only pod of a StatefulSet runs the current template and its server is ready. A status
/// that trails behind the generation does not count.
fn server_ready(set: &StatefulSet, pods: &[Pod]) -> bool {
    let Some(status) = present_status(set) else {
        return false;
    };
    let revision = status.update_revision.as_deref();
    status.updated_replicas == Some(1)
        && status.current_revision.as_deref() == revision
        && (status.ready_replicas == Some(1) || pods.iter().any(|pod| serves(pod, revision)))
}

/// Whether the control plane says that a pod is not ready although its kubelet reported last that it is: the kubelet does
/// not answer any more.
#[must_use]
pub fn node_is_lost(pod: &Pod) -> bool {
    let is = |type_, value| {
        let status = pod.status.as_ref();
        let found = status.and_then(|status| condition(status, type_));
        found.is_some_and(|condition| condition.status == value)
    };
    is("Ready", "False") && is("ContainersReady", "True")
}

/// Whether the server in this pod of the current template is ready. The container beside it does not count: it starts
/// again whenever it has something to report.
fn serves(pod: &Pod, revision: Option<&str>) -> bool {
    is_current(pod, revision) && server(pod).is_some_and(|container| container.ready)
}

/// Whether the pod of the current template has its volumes and its network, and starts its server for the first time.
/// A server that keeps ending, or whose image cannot be pulled, is not one to wait for.
fn is_initializing(set: &StatefulSet, pods: &[Pod]) -> bool {
    let Some(status) = present_status(set) else {
        return false;
    };
    let revision = status.update_revision.as_deref();
    let begins = |pod: &Pod| {
        server(pod).is_some_and(|server| server.restart_count == 0 && is_starting(pod, server))
    };
    pods.iter()
        .any(|pod| is_current(pod, revision) && begins(pod))
}

/// Whether a container runs, or is about to in a pod that has its volumes and its network.
fn is_starting(pod: &Pod, container: &ContainerStatus) -> bool {
    let has_sandbox = pod
        .status
        .as_ref()
        .and_then(|status| condition(status, "PodReadyToStartContainers"))
        .is_some_and(|condition| condition.status == "True");
    let is_next = matches!(
        waiting_reason(container),
        Some("ContainerCreating" | "PodInitializing")
    );
    runs(container) || (has_sandbox && is_next)
}

/// Whether a pod is the server's, by the current template, and is not about to leave.
fn is_current(pod: &Pod, revision: Option<&str>) -> bool {
    let labels = pod.labels();
    let own = labels.get(REVISION_LABEL).map(String::as_str);
    pod.metadata.deletion_timestamp.is_none()
        && !node_is_lost(pod)
        && Component::from_labels(labels) == Some(Component::Database)
        && own == revision
}

fn server(pod: &Pod) -> Option<&ContainerStatus> {
    containers(pod).find(|container| container.name == SERVER)
}

/// Whether a Deployment is to have fewer pods than its autoscaler may choose.
fn is_short(deployment: &Deployment, facts: &Facts) -> bool {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    facts
        .least_replicas
        .is_some_and(|least| replicas.unwrap_or(1) < least)
}

fn rollout(deployment: &Deployment) -> Rollout {
    let none = DeploymentStatus::default();
    let status = deployment.status.as_ref().unwrap_or(&none);
    let spec = deployment.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let all = |count: Option<i32>| count.unwrap_or_default() == wanted;
    if status.observed_generation == deployment.metadata.generation
        && all(status.updated_replicas)
        && all(status.available_replicas)
        && all(status.replicas)
    {
        return Rollout::Complete;
    }
    let conditions = || status.conditions.iter().flatten();
    let message = |condition: &DeploymentCondition| condition.message.clone().unwrap_or_default();
    let refused = conditions()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    if let Some(condition) = refused {
        let message = words::of_refused_pod(&message(condition)).to_owned();
        return Rollout::Refused { message };
    }
    let stuck = conditions()
        .find(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    stuck.map_or(Rollout::InProgress, |condition| Rollout::Stuck {
        message: message(condition),
    })
}

#[cfg(test)]
mod tests;
