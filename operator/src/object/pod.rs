//! What is read of a pod in more than one place, and a pod to act on.

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus,
};
use kube::ResourceExt;

/// Whether the object with this UID owns the pod.
#[must_use]
pub fn is_owned_by(pod: &Pod, uid: &str) -> bool {
    pod.owner_references().iter().any(|owner| owner.uid == uid)
}

/// A condition of a pod.
#[must_use]
pub fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == type_)
}

/// Its phase; `None` before its kubelet has seen it.
#[must_use]
pub fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// Whether it may still be at work, or begin to.
#[must_use]
pub fn is_unfinished(pod: &Pod) -> bool {
    !matches!(phase(pod), Some("Succeeded" | "Failed"))
}

/// Its containers, those that run before the others first.
pub fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// Its containers without the sidecars, which run beside the others and are stopped after them.
pub fn workers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    containers(pod).filter(|container| !is_sidecar(pod, &container.name))
}

/// Its sidecars.
pub fn sidecars(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    containers(pod).filter(|container| is_sidecar(pod, &container.name))
}

fn is_sidecar(pod: &Pod, name: &str) -> bool {
    let spec = pod.spec.as_ref();
    let mut init = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    init.any(|container| {
        container.name == name && container.restart_policy.as_deref() == Some("Always")
    })
}

/// Whether the container runs.
#[must_use]
pub fn runs(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

/// How the container has ended; `None` while it has not.
#[must_use]
pub fn end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

/// Why the container waits, in one word; `None` when it does not, or for no known reason.
#[must_use]
pub fn waiting_reason(container: &ContainerStatus) -> Option<&str> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    waiting.reason.as_deref()
}

/// Reasons of a waiting container whose image cannot be pulled.
pub const PULL_FAILURES: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Whether an image of the pod cannot be pulled.
#[must_use]
pub fn cannot_pull(pod: &Pod) -> bool {
    let mut reasons = containers(pod).filter_map(waiting_reason);
    reasons.any(|reason| PULL_FAILURES.contains(&reason))
}

/// A pod exactly as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version: when it has changed since, it is left alone.
    pub resource_version: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_cannot_be_pulled_when_a_container_waits_for_it_in_vain() {
        for (state, expected) in [
            (json!({"waiting": {"reason": "ImagePullBackOff"}}), true),
            (json!({"waiting": {"reason": "ContainerCreating"}}), false),
            (json!({"running": {}}), false),
        ] {
            let container = json!({"name": "a", "image": "a", "imageID": "", "ready": false, "restartCount": 0,
                "state": state});
            let status = json!({"status": {"containerStatuses": [container]}});
            let pod = serde_json::from_value(status).unwrap();
            assert_eq!(cannot_pull(&pod), expected, "{state}");
        }
    }
}
