//! Why a pod does not get ready, in words a person can act on.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use crate::{object::names::Component, service::report::reason::Reason};

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Machine-readable reason of a condition.
    pub reason: Reason,
    /// What happened, without numbers that change while nothing else does.
    pub message: String,
}

/// Longest message kept, in characters.
const LONGEST: usize = 600;

/// First cause found among the pods of one part; pods that are leaving do not count.
#[must_use]
pub fn of(pods: &[Pod], part: Component) -> Option<Trouble> {
    let mut pods: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter(|pod| Component::from_labels(pod.labels()) == Some(part))
        .collect();
    // The newest pod runs the newest template, so it has the most to say.
    pods.sort_by(|a, b| {
        let key = |pod: &Pod| (pod.metadata.creation_timestamp.clone(), pod.name_any());
        key(b).cmp(&key(a))
    });
    pods.into_iter().find_map(of_pod)
}

fn of_pod(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unschedulable {
        return Some(trouble(
            Reason::Unschedulable,
            condition.message.as_deref().unwrap_or("no node fits"),
        ));
    }
    status
        .init_container_statuses
        .iter()
        .chain(status.container_statuses.iter())
        .flatten()
        .find_map(of_container)
}

fn of_container(container: &ContainerStatus) -> Option<Trouble> {
    if container.ready {
        return None;
    }
    let state = container.state.as_ref()?;
    let last_end = container
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref());
    if let Some(waiting) = &state.waiting {
        let said = waiting.message.as_deref().unwrap_or_default();
        match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable" => {
                return Some(trouble(
                    Reason::ImagePullFailed,
                    &pull_message(&container.image, said),
                ));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(trouble(Reason::ContainerNotStarted, said));
            }
            _ => {}
        }
    }
    let end = state.terminated.as_ref().or(last_end)?;
    if end.exit_code == 0 {
        return None;
    }
    let said = end.message.as_deref().unwrap_or_default().trim();
    let cause = match end.reason.as_deref() {
        Some("OOMKilled") => "killed: out of memory".to_owned(),
        _ => format!("exit code {}", end.exit_code),
    };
    Some(trouble(
        Reason::ContainerFailed,
        &format!("{}: {cause}: {said}", container.name),
    ))
}

/// The kubelet alternates between the error and its back-off; only the error is told, always the same way.
fn pull_message(image: &str, said: &str) -> String {
    let error = said
        .split_once(": ErrImagePull: ")
        .map_or(said, |(_, error)| error);
    if error.is_empty() || error.starts_with("Back-off") {
        return format!("image {image} cannot be pulled");
    }
    format!("image {image} cannot be pulled: {error}")
}

fn trouble(reason: Reason, message: &str) -> Trouble {
    let text = message.trim();
    let start = text.chars().count().saturating_sub(LONGEST);
    Trouble {
        reason,
        message: text.chars().skip(start).collect(),
    }
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
        let first = container(
            json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
            json!({}),
        );
        let second = container(
            json!({"waiting": {"reason": "ImagePullBackOff",
                "message": "Back-off pulling image \"x:1\": ErrImagePull: not found"}}),
            json!({}),
        );
        let expected = Some(Trouble {
            reason: Reason::ImagePullFailed,
            message: "image x:1 cannot be pulled: not found".into(),
        });
        assert_eq!(of(&[first], Component::App), expected);
        assert_eq!(of(&[second], Component::App), expected);
    }

    #[test]
    fn a_crash_loop_shows_the_end_of_the_log() {
        let looping = container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
            json!({"terminated": {"exitCode": 1, "message": "no such table\n"}}),
        );
        let trouble = of(&[looping], Component::App).unwrap();
        assert_eq!(trouble.message, "app: exit code 1: no such table");
    }

    #[test]
    fn an_unschedulable_pod_says_why() {
        let pod = pod(
            json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
        );
        assert_eq!(
            of(&[pod], Component::App).unwrap().message,
            "0/3 nodes are available"
        );
    }

    #[test]
    fn pods_of_other_parts_and_healthy_pods_say_nothing() {
        let healthy = pod(
            json!({"containerStatuses": [{"name": "app", "image": "x", "imageID": "",
            "ready": true, "restartCount": 3, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1}}}]}),
        );
        assert_eq!(of(std::slice::from_ref(&healthy), Component::App), None);
        assert_eq!(of(&[healthy], Component::Database), None);
    }
}
