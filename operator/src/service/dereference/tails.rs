//! The ends of the containers' logs, which explain failures in the status.
//!
//! Whoever may edit a resource chooses images and which Secrets are mounted beside them. With an image of his own he
//! would read every Secret of the namespace in the status, so only the operator's own images are quoted there, and only
//! where they have nothing of his: a variable with the value of a Secret is quoted by the message that refuses it.

use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod, PodSpec};

use crate::{
    object::{
        backup_result::{self, BackupResult},
        data_version::DataVersion,
        restore_result::{self, RestoreResult},
        volume_report,
    },
    service::validate::{DefaultImages, OWN_VOLUMES, TOOLS},
};

/// Removes what containers of other images wrote when they ended.
pub fn remove_foreign(pod: &mut Pod, own: &DefaultImages) {
    let Some(status) = &mut pod.status else {
        return;
    };
    let containers: Vec<&Container> = pod.spec.iter().flat_map(containers).collect();
    // Where programs come from another container, whose image may be a user's choice.
    let tools_are_own = (containers.iter().filter(|container| has_tools(container)))
        .all(|container| is_own(container, own));
    let is_own = |name: &str| {
        let named = containers.iter().find(|container| container.name == name);
        named.is_some_and(|container| {
            is_own(container, own) && (tools_are_own || !has_tools(container))
        })
    };
    let all = [
        &mut status.container_statuses,
        &mut status.init_container_statuses,
    ];
    for container in all.into_iter().flat_map(Option::iter_mut).flatten() {
        if !is_own(&container.name) {
            remove(container);
        }
    }
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let init = spec.init_containers.iter().flatten();
    spec.containers.iter().chain(init)
}

/// Whether a container uses, or fills, the volume by which programs get from one container into another.
fn has_tools(container: &Container) -> bool {
    let mut mounts = container.volume_mounts.iter().flatten();
    mounts.any(|mount| mount.name == TOOLS)
}

/// Whether a container runs one of the operator's images, and nothing in it is a user's choice.
fn is_own(container: &Container, own: &DefaultImages) -> bool {
    let image = container.image.as_deref();
    let mut variables = container.env.iter().flatten();
    let mut mounts = container.volume_mounts.iter().flatten();
    image.is_some_and(|image| own.have_version(image))
        && container.env_from.iter().flatten().next().is_none()
        && variables.all(|variable| variable.value_from.is_none())
        && mounts.all(|mount| is_own_volume(&mount.name))
}

fn is_own_volume(name: &str) -> bool {
    OWN_VOLUMES.contains(&name) || DataVersion::from_volume(name).is_some()
}

fn remove(container: &mut ContainerStatus) {
    let ContainerStatus {
        name,
        state,
        last_state,
        ..
    } = container;
    for ContainerState { terminated, .. } in [state, last_state].into_iter().flatten() {
        let Some(end) = terminated else { continue };
        let message = end.message.take();
        end.message = message.and_then(|text| match &**name {
            volume_report::CONTAINER => Some(text).filter(|text| volume_report::is_report(text)),
            backup_result::CONTAINER => BackupResult::parse(&text)?.without_words(),
            restore_result::CONTAINER => RestoreResult::parse(&text)?.without_words(),
            _ => None,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn own() -> DefaultImages {
        DefaultImages {
            app: "r:5000/hello-app:1".into(),
            postgres: "postgres:18".into(),
        }
    }

    /// The messages that are left of one that every container of this image wrote.
    fn messages(image: &Value, name: &str, message: &str) -> Vec<String> {
        messages_of(&json!({"name": name, "image": image}), message)
    }

    fn messages_of(container: &Value, message: &str) -> Vec<String> {
        let (containers, name) = (json!([container]), &container["name"]);
        let end = json!({"terminated": {"exitCode": 1, "message": message}});
        let statuses = json!([{"name": name, "image": "hello-app:1", "imageID": "", "ready": false, "restartCount": 1,
            "state": end, "lastState": end}]);
        let mut left = Vec::new();
        for kind in ["containers", "initContainers"] {
            let mut spec = json!({"containers": []});
            spec[kind] = containers.clone();
            let status = match kind {
                "containers" => "containerStatuses",
                _ => "initContainerStatuses",
            };
            let pod = json!({"spec": spec, "status": {status: statuses}});
            let mut pod: Pod = serde_json::from_value(pod).unwrap();
            remove_foreign(&mut pod, &own());
            let value = serde_json::to_value(&pod).unwrap();
            for state in ["state", "lastState"] {
                let message = &value["status"][status][0][state]["terminated"]["message"];
                left.extend(message.as_str().map(str::to_owned));
            }
        }
        left
    }

    #[test]
    fn only_versions_of_the_default_images_are_quoted() {
        for image in [
            "r:5000/hello-app:1",
            "r:5000/hello-app:2@sha256:0",
            "r:5000/hello-app",
            "postgres:17",
        ] {
            let left = messages(&image.into(), "app", "secret");
            assert_eq!(left, ["secret"; 4], "{image}");
        }
        for image in [
            "r:5000/hello-app-2:1",
            "hello-app:1",
            "evil/postgres:18",
            "r:5000/hello-app/x:1",
        ] {
            assert!(
                messages(&image.into(), "app", "secret").is_empty(),
                "{image}"
            );
        }
        assert!(messages(&Value::Null, "app", "secret").is_empty());
    }

    /// Its script is the operator's own, and what it reports is a number.
    #[test]
    fn the_use_of_the_volume_is_reported_whatever_the_image() {
        let left = |name, message| messages(&"evil:1".into(), name, message).len();
        assert_eq!(left(volume_report::CONTAINER, "volume-nearly-full 91\n"), 4);
        assert_eq!(left(volume_report::CONTAINER, "volume-has-room 7"), 4);
        for message in [
            "secret",
            "volume-has-room secret",
            "volume-nearly-full 1 secret",
        ] {
            assert_eq!(left(volume_report::CONTAINER, message), 0, "{message}");
        }
        assert_eq!(left("app", "volume-nearly-full 91"), 0);
    }

    /// Its numbers and its reason are facts that anybody may know.
    #[test]
    fn the_result_of_a_backup_is_reported_without_its_words_whatever_the_image() {
        let result = |reason: &str| json!({"reason": reason, "time": "2026-01-01T00:00:00Z", "message": "secret"});
        let known = result("DumpFailed").to_string();
        let left = messages(&"evil:1".into(), backup_result::CONTAINER, &known);
        assert_eq!(left.len(), 4);
        assert!(
            left[0].contains("DumpFailed") && !left[0].contains("secret"),
            "{left:?}"
        );
        assert!(
            messages(
                &"evil:1".into(),
                backup_result::CONTAINER,
                &result("secret").to_string()
            )
            .is_empty()
        );
        assert!(messages(&"evil:1".into(), "app", &known).is_empty());
        assert_eq!(
            messages(&"postgres:18".into(), backup_result::CONTAINER, &known),
            vec![known; 4]
        );
    }

    #[test]
    fn what_has_something_of_a_tenant_is_not_quoted() {
        let with = |field: &str, value: Value| {
            let mut container = json!({"name": "app", "image": "postgres:18"});
            container[field] = value;
            messages_of(&container, "secret").len()
        };
        let reference = json!({"secretKeyRef": {"name": "a", "key": "b"}});
        assert_eq!(with("env", json!([{"name": "A", "value": "b"}])), 4);
        assert_eq!(
            with(
                "volumeMounts",
                json!([{"name": "tmp", "mountPath": "/tmp"}])
            ),
            4
        );
        assert_eq!(
            with("env", json!([{"name": "A", "valueFrom": reference}])),
            0
        );
        assert_eq!(with("envFrom", json!([{"secretRef": {"name": "a"}}])), 0);
        assert_eq!(
            with(
                "volumeMounts",
                json!([{"name": "lib", "mountPath": "/usr/lib"}])
            ),
            0
        );
    }
    #[test]
    fn what_runs_a_program_of_a_tenant_is_not_quoted() {
        let left = |tools: &str| {
            let mounts = json!([{"name": "tools", "mountPath": "/tools"}]);
            let end = json!({"terminated": {"exitCode": 1, "message": "secret"}});
            let status = |name: &str| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": end});
            let mut pod: Pod = serde_json::from_value(json!({
                "spec": {
                    "initContainers": [{"name": "tools", "image": tools, "volumeMounts": mounts}],
                    "containers": [
                        {"name": "dump", "image": "postgres:18", "volumeMounts": mounts},
                        {"name": "other", "image": "postgres:18"},
                    ],
                },
                "status": {"containerStatuses": [status("dump"), status("other")]},
            }))
            .unwrap();
            remove_foreign(&mut pod, &own());
            let statuses = pod.status.unwrap().container_statuses.unwrap();
            statuses
                .into_iter()
                .map(|status| status.state.unwrap().terminated.unwrap().message.is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(left("r:5000/hello-app:1"), [true, true]);
        assert_eq!(left("evil:1"), [false, true]);
    }
}
