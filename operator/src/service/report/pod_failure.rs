//! Why a pod does not become ready, in words that name what to do.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use kube::ResourceExt;

use crate::{
    object::{
        names::Component,
        pod::{self, PULL_FAILURES, condition, is_owned_by},
    },
    service::{
        plan::readiness,
        report::{
            finding::{Finding, no},
            reason::Reason,
        },
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
    /// The message is that of the reason when it is empty, and its end when it is long.
    pub fn new(reason: Reason, message: &str) -> Self {
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

/// What often ends by itself within this time is no failure before: volumes and autoscaled nodes are being made, a pod
/// ends a little late.
const SETTLING: Duration = Duration::from_secs(30);

/// First failure among the pods of one component. Pods that are being deleted count when they do not end.
#[must_use]
pub fn first(pods: &[Pod], component: Component, now: Timestamp) -> Option<PodFailure> {
    let own = of_component(pods, component);
    let leaving = |pod: &&&Pod| pod.metadata.deletion_timestamp.is_some();
    let mut staying = own.iter().filter(|pod| !leaving(pod));
    staying
        .find_map(|pod| in_pod(pod, now))
        .or_else(|| own.iter().filter(leaving).find_map(|pod| stuck(pod, now)))
}

/// The pods of one component, the newest first.
#[must_use]
pub fn of_component(pods: &[Pod], component: Component) -> Vec<&Pod> {
    let own = pods
        .iter()
        .filter(|pod| Component::from_labels(pod.labels()) == Some(component));
    newest_first(own)
}

/// What keeps the pods of the Job with this UID from running or from ending. Those that have ended do not count: the Job
/// may try again.
#[must_use]
pub fn of_run(pods: &[Pod], uid: &str, now: Timestamp) -> Option<PodFailure> {
    let pods = newest_first(pods.iter().filter(|pod| is_owned_by(pod, uid)));
    let mut unfinished = pods.into_iter().filter(|pod| pod::is_unfinished(pod));
    unfinished.find_map(|pod| match pod.metadata.deletion_timestamp {
        Some(_) => stuck(pod, now),
        None => in_pod(pod, now),
    })
}

/// How the last pod of the Job with this UID failed, in words.
#[must_use]
pub fn end_of_run(pods: &[Pod], uid: &str) -> Option<String> {
    let pods = newest_first(pods.iter().filter(|pod| is_owned_by(pod, uid)));
    let mut failures = pods.into_iter().filter_map(in_containers);
    failures.next().map(|failure| failure.message)
}

/// The newest pod runs the newest template, so its failure is the one to report.
pub fn newest_first<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<&'a Pod> {
    let mut pods: Vec<&Pod> = pods.collect();
    pods.sort_by(|a, b| {
        let key = |pod: &Pod| (pod.metadata.creation_timestamp.clone(), pod.name_any());
        key(b).cmp(&key(a))
    });
    pods
}

fn in_pod(pod: &Pod, now: Timestamp) -> Option<PodFailure> {
    let status = pod.status.as_ref()?;
    if let Some(condition) = condition(status, "PodScheduled").filter(|c| c.status == "False") {
        let since = condition.last_transition_time.as_ref();
        let reason = match since.is_none_or(|since| has_lasted(since.0, now)) {
            true => Reason::Unschedulable,
            false => Reason::Scheduling,
        };
        let words = condition.message.as_deref().unwrap_or_default();
        return Some(PodFailure::new(reason, words));
    }
    in_containers(pod)
        .or_else(|| beside_an_ended_one(pod, status, now))
        .or_else(|| unreachable(pod))
}

/// Sidecars are looked at last: the kubelet stops them when the others have ended, which many of them report as a failure.
fn in_containers(pod: &Pod) -> Option<PodFailure> {
    pod::workers(pod)
        .chain(pod::sidecars(pod))
        .find_map(in_container)
}

fn has_lasted(since: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|age| age >= SETTLING)
}

/// The pod should be gone by now, its time to end included.
fn stuck(pod: &Pod, now: Timestamp) -> Option<PodFailure> {
    let end = pod.metadata.deletion_timestamp.as_ref()?;
    has_lasted(end.0, now).then(|| {
        let message = format!(
            "pod {} on node {} is being deleted and does not end: start the node again, or, when it is gone for good, \
             delete its Node",
            pod.name_any(),
            node(pod)
        );
        PodFailure::new(Reason::PodStuck, &message)
    })
}

fn node(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    let name = spec.and_then(|spec| spec.node_name.as_deref());
    name.unwrap_or("(none)")
}

/// The work of a pod that runs once is done, and a container that another party put into it does not end.
fn beside_an_ended_one(pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<PodFailure> {
    let spec = pod.spec.as_ref()?;
    if spec.restart_policy.as_deref() == Some("Always") {
        return None;
    }
    let containers = || status.container_statuses.iter().flatten();
    let done = containers().any(|container| {
        pod::end(container).is_some_and(|end| {
            let finished = end.finished_at.as_ref();
            end.exit_code == 0 && finished.is_none_or(|time| has_lasted(time.0, now))
        })
    });
    let running = containers().find(|container| pod::runs(container))?;
    done.then(|| {
        let message = format!(
            "container {} keeps pod {} running although its work is done: make it a sidecar (an init container with \
             restartPolicy Always), or keep its injector from pods of this service",
            running.name,
            pod.name_any()
        );
        PodFailure::new(Reason::SidecarRunning, &message)
    })
}

/// The pod cannot be reached.
fn unreachable(pod: &Pod) -> Option<PodFailure> {
    readiness::node_is_lost(pod).then(|| {
        let message = format!(
            "node {} does not answer, and pod {} on it cannot be reached: start the node again",
            node(pod),
            pod.name_any()
        );
        PodFailure::new(Reason::NodeLost, &message)
    })
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
            reason if PULL_FAILURES.contains(&reason) => {
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

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap()
    }

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
        assert_eq!(first(&[error], Component::App, now()), expected);
        assert_eq!(first(&[back_off], Component::App, now()), expected);
    }

    #[test]
    fn a_crash_loop_shows_the_end_of_the_log() {
        let looping = container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
            json!({"terminated": {"exitCode": 1, "message": "no such table\n"}}),
        );
        let failure = first(&[looping], Component::App, now()).unwrap();
        assert_eq!(failure.message, "app: exit code 1: no such table");
    }

    #[test]
    fn a_sidecar_that_was_stopped_does_not_hide_the_failure() {
        let end = |name: &str, code: i32| {
            json!({"name": name, "image": "x:1", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": code}}})
        };
        let failed = |restart: serde_json::Value| {
            let mut pod = pod(json!({"initContainerStatuses": [end("proxy", 143)],
                "containerStatuses": [end("app", 1)]}));
            let init = json!([{"name": "proxy", "restartPolicy": restart}]);
            let spec = json!({"containers": [{"name": "app"}], "initContainers": init});
            pod.spec = serde_json::from_value(spec).unwrap();
            first(&[pod], Component::App, now()).unwrap().message
        };
        assert_eq!(failed(json!("Always")), "app: exit code 1");
        assert_eq!(failed(json!(null)), "proxy: exit code 143");
    }

    #[test]
    fn an_unschedulable_pod_reports_the_scheduler() {
        let pod = pod(
            json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
        );
        assert_eq!(
            first(&[pod], Component::App, now()).unwrap().message,
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
        assert_eq!(
            first(std::slice::from_ref(&healthy), Component::App, now()),
            None
        );
        assert_eq!(first(&[healthy], Component::Database, now()), None);
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_reported_with_the_error_if_there_is_one() {
        for (message, expected) in [
            ("", "image a cannot be pulled"),
            ("Back-off pulling image", "image a cannot be pulled"),
            ("not found", "image a cannot be pulled: not found"),
            ("x: ErrImagePull: ", "image a cannot be pulled"),
        ] {
            assert_eq!(pull_message("a", message), expected, "{message}");
        }
    }

    #[test]
    fn a_container_beside_one_that_failed_keeps_no_pod_running() {
        for (exit_code, expected) in [(0, true), (1, false)] {
            let pod = pod(json!({"containerStatuses": [
                {"name": "a", "image": "a", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": exit_code, "finishedAt": "2026-01-01T00:00:00Z"}}},
                {"name": "b", "image": "b", "imageID": "", "ready": true, "restartCount": 0,
                    "state": {"running": {}}}]}));
            let pod = Pod {
                spec: Some(k8s_openapi::api::core::v1::PodSpec::default()),
                ..pod
            };
            let found = beside_an_ended_one(&pod, pod.status.as_ref().unwrap(), now());
            assert_eq!(found.is_some(), expected, "{exit_code}");
        }
    }
}
