//! What scenarios look for in pods.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// The pods that are ready and not being deleted.
pub fn ready_pods(pods: &[Pod]) -> Vec<&Pod> {
    pods.iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none() && is_ready(pod))
        .collect()
}

/// Whether a pod's `Ready` condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// The node a pod runs on, or an empty text while it has none.
pub fn node_of(pod: &Pod) -> String {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.node_name.clone())
        .unwrap_or_default()
}

/// One line about each pod, for messages.
pub fn describe_pods(pods: &[Pod]) -> String {
    let shown = pods.iter().map(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        let ready = if is_ready(pod) { "ready" } else { "not ready" };
        format!(
            "{} {} {ready} on {:?}",
            pod.name_any(),
            phase.unwrap_or_default(),
            node_of(pod)
        )
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// A pod's address, once it has one.
pub fn address(pod: &Pod) -> Option<String> {
    pod.status.as_ref()?.pod_ip.clone()
}

/// Whether one of a pod's containers runs this image.
pub fn runs_image(pod: &Pod, image: &str) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .filter_map(|container| container.image.as_deref())
        .any(|running| running == image)
}
