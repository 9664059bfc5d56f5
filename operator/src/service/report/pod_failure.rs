//! Why a pod does not become ready, in words that name what to do.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use crate::{
    object::names::Component,
    service::report::{
        finding::{Finding, no},
        reason::Reason,
    },
};

/// What keeps a pod from becoming ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFailure {
    /// Machine-readable reason of a condition.
    pub reason: Reason,
    /// What happened, without numbers that change while nothing else does.
    pub message: String,
}

impl PodFailure {
    fn new(reason: Reason, message: &str) -> Self {
        let text = match message.trim() {
            "" => reason.text(),
            text => text,
        };
        let start = text.chars().count().saturating_sub(LONGEST);
        Self {
            reason,
            message: text.chars().skip(start).collect(),
        }
    }

    /// The condition of its component does not hold.
    pub fn finding(self) -> Finding {
        no(self.reason).with(self.message)
    }
}

/// What is reported when the API server refuses the pods of an owner.
pub fn refused(words: &str) -> Finding {
    PodFailure::new(Reason::PodRefused, words).finding()
}

/// Longest message kept, in characters.
const LONGEST: usize = 600;

/// First failure among the pods of one component. Pods that are being deleted do not count.
#[must_use]
pub fn first(pods: &[Pod], component: Component) -> Option<PodFailure> {
    let mut pods: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter(|pod| Component::from_labels(pod.labels()) == Some(component))
        .collect();
    // The newest pod runs the newest template, so its failure is the one to report.
    pods.sort_by(|a, b| {
        let key = |pod: &Pod| (pod.metadata.creation_timestamp.clone(), pod.name_any());
        key(b).cmp(&key(a))
    });
    pods.into_iter().find_map(in_pod)
}

fn in_pod(pod: &Pod) -> Option<PodFailure> {
    let status = pod.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unschedulable {
        return Some(PodFailure::new(
            Reason::Unschedulable,
            condition.message.as_deref().unwrap_or_default(),
        ));
    }
    status
        .init_container_statuses
        .iter()
        .chain(status.container_statuses.iter())
        .flatten()
        .find_map(in_container)
}

fn in_container(container: &ContainerStatus) -> Option<PodFailure> {
    if container.ready {
        return None;
    }
    let state = container.state.as_ref()?;
    let last_end = container
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    if let Some(waiting) = &state.waiting {
        let message = waiting.message.as_deref().unwrap_or_default();
        match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable" => {
                return Some(PodFailure::new(
                    Reason::ImagePullFailed,
                    &pull_message(&container.image, message),
                ));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(PodFailure::new(Reason::ContainerNotStarted, message));
            }
            _ => {}
        }
    }
    let end = state.terminated.as_ref().or(last_end)?;
    if end.exit_code == 0 {
        return None;
    }
    let message = end.message.as_deref().unwrap_or_default().trim();
    let mut text = match end.reason.as_deref() {
        Some("OOMKilled") => format!("{}: killed: out of memory", container.name),
        _ => format!("{}: exit code {}", container.name, end.exit_code),
    };
    if !message.is_empty() {
        text.push_str(": ");
        text.push_str(message);
    }
    Some(PodFailure::new(Reason::ContainerFailed, &text))
}

/// The kubelet alternates between the error and its back-off. Only the error is reported, always with the same words.
fn pull_message(image: &str, message: &str) -> String {
    let error = message
        .split_once(": ErrImagePull: ")
        .map_or(message, |(_, error)| error);
    if error.is_empty() || error.starts_with("Back-off") {
        return format!("image {image} cannot be pulled");
    }
    format!("image {image} cannot be pulled: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"app.kubernetes.io/component": "app"}},
            "status": status,
        }))
        .unwrap()
    }

    fn container(state: serde_json::Value, last: serde_json::Value) -> Pod {
        pod(
            json!({"containerStatuses": [{"name": "app", "image": "x:1", "imageID": "", "ready": false,
            "restartCount": 1, "state": state, "lastState": last}]}),
        )
    }

    #[test]
    fn the_message_of_a_pull_error_does_not_alternate() {
        let error = container(
            json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
            json!({}),
        );
        let back_off = container(
            json!({"waiting": {"reason": "ImagePullBackOff",
                "message": "Back-off pulling image \"x:1\": ErrImagePull: not found"}}),
            json!({}),
        );
        let expected = Some(PodFailure {
            reason: Reason::ImagePullFailed,
            message: "image x:1 cannot be pulled: not found".into(),
        });
        assert_eq!(first(&[error], Component::App), expected);
        assert_eq!(first(&[back_off], Component::App), expected);
    }

    #[test]
    fn a_crash_loop_shows_the_end_of_the_log() {
        let looping = container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
            json!({"terminated": {"exitCode": 1, "message": "no such table\n"}}),
        );
        let failure = first(&[looping], Component::App).unwrap();
        assert_eq!(failure.message, "app: exit code 1: no such table");
    }

    #[test]
    fn an_unschedulable_pod_reports_the_scheduler() {
        let pod = pod(
            json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
        );
        assert_eq!(
            first(&[pod], Component::App).unwrap().message,
            "0/3 nodes are available"
        );
    }

    #[test]
    fn pods_of_other_components_and_healthy_pods_report_nothing() {
        let healthy = pod(
            json!({"containerStatuses": [{"name": "app", "image": "x", "imageID": "",
            "ready": true, "restartCount": 3, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1}}}]}),
        );
        assert_eq!(first(std::slice::from_ref(&healthy), Component::App), None);
        assert_eq!(first(&[healthy], Component::Database), None);
    }
}
