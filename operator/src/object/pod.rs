//! What is read of a pod in more than one place, and a pod to act on.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
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
