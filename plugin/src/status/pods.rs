//! Pods of a service, a line each.

use hello_crds::names::{CNPG_LABEL, Component};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::node::{Mark, Node};
use crate::words::{count, duration, one_line};

/// Part of the service that a pod belongs to, as its label names it; servers of CloudNativePG are the database.
pub fn part(pod: &Pod) -> Option<Component> {
    let labels = pod.metadata.labels.as_ref()?;
    if labels.contains_key(CNPG_LABEL) {
        return Some(Component::Database);
    }
    Component::from_labels(labels)
}

/// The pods of a part that have not done their work yet, by name.
pub fn nodes(pods: &[Pod], wanted: Component, now: Timestamp) -> Vec<Node> {
    let phase = |pod: &Pod| pod.status.as_ref()?.phase.clone();
    let at_work = pods
        .iter()
        .filter(|pod| phase(pod).as_deref() != Some("Succeeded"));
    let mut nodes: Vec<Node> = at_work
        .filter(|pod| part(pod) == Some(wanted))
        .map(|pod| node(pod, now))
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

fn node(pod: &Pod, now: Timestamp) -> Node {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let troubled = containers.iter().find_map(trouble);
    let leaving = pod.metadata.deletion_timestamp.is_some();
    let phase = status.phase.unwrap_or_else(|| "Pending".into());
    let (mark, state) = match (leaving, troubled) {
        (true, _) => (Mark::Busy, "Terminating".into()),
        (false, Some(reason)) => (Mark::Bad, reason),
        (false, None) if ready => (Mark::Good, phase),
        (false, None) if phase == "Failed" => (Mark::Bad, phase),
        (false, None) => (Mark::Busy, phase),
    };
    let mut details = vec![one_line(&state, 40)];
    if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) {
        details.push(format!("on {node}"));
    }
    if let Some(since) = &pod.metadata.creation_timestamp {
        details.push(duration(now.duration_since(since.0)));
    }
    let restarts: i32 = containers
        .iter()
        .map(|container| container.restart_count)
        .sum();
    if restarts > 0 {
        details.push(count(restarts.into(), "restart"));
    }
    Node::new(
        pod.metadata.name.as_deref().unwrap_or_default(),
        mark,
        details.join(", "),
    )
}

/// Why a container does not run, when that is not on its way.
fn trouble(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?.reason.clone()?;
    let on_its_way = ["ContainerCreating", "PodInitializing"].contains(&&*waiting);
    (!on_its_way).then_some(waiting)
}
