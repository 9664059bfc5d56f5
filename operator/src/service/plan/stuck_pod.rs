//! A server's pod of a former spec that cannot start.
//!
//! The controller of a StatefulSet replaces a pod only when it is ready. One that a mistake in the template keeps from
//! starting therefore stays when the mistake is corrected
//! (<https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback>), until somebody deletes it.

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetStatus},
    core::v1::{ContainerStatus, Pod, PodStatus},
};
use kube::ResourceExt;

use crate::{
    object::pod::{SeenPod, condition, end},
    service::children::SERVER,
};

/// Label of a pod of a StatefulSet: the template that it was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// The pod that keeps this StatefulSet from getting its current template. A pod of the current template is never one,
/// and neither is one whose server runs: it may be recovering, which a deletion would begin anew.
#[must_use]
pub fn stuck_pod(set: &StatefulSet, pods: &[Pod]) -> Option<SeenPod> {
    let stuck = pods.iter().find(|pod| {
        is_of_former_template(set, pod)
            && pod.metadata.deletion_timestamp.is_none()
            && pod.status.as_ref().is_some_and(cannot_start)
    })?;
    Some(SeenPod {
        name: stuck.name_any(),
        uid: stuck.uid()?,
        resource_version: stuck.resource_version()?,
    })
}

/// Whether a pod of this StatefulSet was made from another template than the current one. While the StatefulSet's status
/// trails behind, that is not known.
#[must_use]
pub fn is_of_former_template(set: &StatefulSet, pod: &Pod) -> bool {
    let Some(status) = present_status(set) else {
        return false;
    };
    let current = status.update_revision.as_ref();
    let own = pod.labels().get(REVISION_LABEL);
    let mut owners = pod.owner_references().iter();
    owners.any(|owner| {
        owner.controller == Some(true) && Some(&owner.uid) == set.metadata.uid.as_ref()
    }) && current.is_some()
        && own.is_some()
        && own != current
}

/// The status, unless it trails behind the generation.
#[must_use]
pub fn present_status(set: &StatefulSet) -> Option<&StatefulSetStatus> {
    let status = set.status.as_ref();
    status.filter(|status| status.observed_generation == set.metadata.generation)
}

fn cannot_start(status: &PodStatus) -> bool {
    let condition = |type_| condition(status, type_).map(|c| c.status == "True");
    if condition("Ready") == Some(true) {
        return false;
    }
    if condition("PodScheduled") == Some(false) {
        return true;
    }
    // Volumes that cannot be mounted keep the sandbox from being made, and the containers "creating".
    let has_sandbox = condition("PodReadyToStartContainers") != Some(false);
    let is_down = |container: &&ContainerStatus| is_down(container, has_sandbox);
    let containers = || status.container_statuses.iter().flatten();
    if status
        .init_container_statuses
        .iter()
        .flatten()
        .any(|init| is_down(&init) && !has_succeeded(init))
    {
        return true;
    }
    match containers().find(|container| container.name == SERVER) {
        Some(server) if is_down(&server) => true,
        // The server is well. What keeps the pod from being ready is beside it.
        Some(server) => server.ready && containers().any(|container| is_down(&container)),
        None => false,
    }
}

/// Whether nothing runs in a container, and nothing is about to.
fn is_down(container: &ContainerStatus, has_sandbox: bool) -> bool {
    let Some(state) = &container.state else {
        return false;
    };
    match &state.waiting {
        Some(waiting) => match waiting.reason.as_deref() {
            // The hook after the start may still be running: it is then the first start of the server.
            None | Some("ContainerCreating" | "PodInitializing") => !has_sandbox,
            Some(_) => true,
        },
        None => state.running.is_none() && state.terminated.is_some(),
    }
}

fn has_succeeded(container: &ContainerStatus) -> bool {
    end(container).is_some_and(|end| end.exit_code == 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(revision: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "demo-db", "uid": "set", "generation": 2},
            "status": {"replicas": 1, "observedGeneration": 2, "updateRevision": revision},
        }))
        .unwrap()
    }

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "demo-db-0", "uid": "pod", "resourceVersion": "7",
                "labels": {REVISION_LABEL: "old"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-db",
                    "uid": "set", "controller": true}]},
            "status": status,
        }))
        .unwrap()
    }

    fn container(name: &str, state: &Value, ready: bool) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": ready, "restartCount": 0, "state": state})
    }

    fn server(state: &Value) -> Value {
        json!({"containerStatuses": [container(SERVER, state, false)]})
    }

    fn waiting(reason: &str) -> Value {
        server(&json!({"waiting": {"reason": reason}}))
    }

    fn with_condition(mut status: Value, type_: &str, value: &str) -> Value {
        status["conditions"] = json!([{"type": type_, "status": value}]);
        status
    }

    fn beside(server_is_ready: bool, other: &Value) -> Value {
        let running = json!({"running": {}});
        json!({"containerStatuses": [container(SERVER, &running, server_is_ready), container("watch", other, false)]})
    }

    /// What can be wrong with a template, and what it does to the pod.
    fn cannot_start() -> Vec<Value> {
        let crashed = json!({"terminated": {"exitCode": 1}});
        let init = |state: Value| {
            let mut status = waiting("PodInitializing");
            status["initContainerStatuses"] = json!([container("init", &state, false)]);
            status
        };
        vec![
            waiting("ImagePullBackOff"),
            waiting("InvalidImageName"),
            waiting("CreateContainerConfigError"),
            waiting("CrashLoopBackOff"),
            server(&crashed),
            with_condition(json!({}), "PodScheduled", "False"),
            with_condition(
                waiting("ContainerCreating"),
                "PodReadyToStartContainers",
                "False",
            ),
            init(crashed.clone()),
            init(json!({"waiting": {"reason": "ImagePullBackOff"}})),
            beside(true, &crashed),
        ]
    }

    /// What must be left alone, whatever its template.
    fn may_run() -> Vec<Value> {
        let running = server(&json!({"running": {}}));
        vec![
            json!({}),
            running.clone(),
            with_condition(running, "PodReadyToStartContainers", "True"),
            waiting("ContainerCreating"),
            waiting("PodInitializing"),
            with_condition(
                waiting("ContainerCreating"),
                "PodReadyToStartContainers",
                "True",
            ),
            with_condition(waiting("CrashLoopBackOff"), "Ready", "True"),
            beside(true, &json!({"running": {}})),
            // It may be recovering.
            beside(false, &json!({"terminated": {"exitCode": 1}})),
            {
                let done = json!({"terminated": {"exitCode": 0}});
                let mut status = waiting("PodInitializing");
                status["initContainerStatuses"] = json!([container("init", &done, false)]);
                status
            },
        ]
    }

    #[test]
    fn a_pod_of_a_former_template_that_cannot_start_is_stuck() {
        let expected = SeenPod {
            name: "demo-db-0".into(),
            uid: "pod".into(),
            resource_version: "7".into(),
        };
        for status in cannot_start() {
            let stuck = stuck_pod(&set("new"), &[pod(&status)]);
            assert_eq!(stuck, Some(expected.clone()), "{status}");
        }
    }

    #[test]
    fn a_server_that_may_run_is_left_alone() {
        for status in may_run() {
            assert_eq!(stuck_pod(&set("new"), &[pod(&status)]), None, "{status}");
        }
    }

    #[test]
    fn a_pod_of_the_current_template_or_of_another_owner_or_that_is_going_is_left_alone() {
        for status in cannot_start() {
            assert_eq!(stuck_pod(&set("old"), &[pod(&status)]), None, "{status}");
            let mut behind = set("new");
            behind.metadata.generation = Some(3);
            assert_eq!(stuck_pod(&behind, &[pod(&status)]), None, "{status}");
            let mut foreign = set("new");
            foreign.metadata.uid = Some("other".into());
            assert_eq!(stuck_pod(&foreign, &[pod(&status)]), None, "{status}");
            let mut unknown = set("new");
            unknown.status = None;
            assert_eq!(stuck_pod(&unknown, &[pod(&status)]), None, "{status}");
            let mut going = pod(&status);
            going.metadata.deletion_timestamp =
                serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
            assert_eq!(stuck_pod(&set("new"), &[going]), None, "{status}");
            let mut unlabelled = pod(&status);
            unlabelled.metadata.labels = None;
            assert_eq!(stuck_pod(&set("new"), &[unlabelled]), None, "{status}");
        }
    }

    #[test]
    fn a_container_is_down_once_it_ended_or_waits_in_vain() {
        for (state, down) in [
            (json!({}), false),
            (json!({"running": {}}), false),
            (json!({"terminated": {"exitCode": 1}}), true),
            (json!({"waiting": {"reason": "ContainerCreating"}}), false),
            (json!({"waiting": {"reason": "ErrImagePull"}}), true),
        ] {
            let container =
                serde_json::from_value(json!({"name": "postgres", "image": "a", "imageID": "",
                "ready": false, "restartCount": 0, "state": state}));
            assert_eq!(is_down(&container.unwrap(), true), down, "{state}");
        }
    }
}
