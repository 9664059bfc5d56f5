//! The ends of the containers' logs, which explain failures in the status.
//!
//! Whoever may edit a resource chooses images and which Secrets are mounted beside them. With an image of his own he
//! would read every Secret of the namespace in the status, so only the operator's own images are quoted there.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use crate::service::{children::volume_watch, validate::DefaultImages};

/// Removes what containers of other images wrote when they ended.
pub fn remove_foreign(pod: &mut Pod, own: &DefaultImages) {
    let Some(status) = &mut pod.status else {
        return;
    };
    let spec = pod.spec.as_ref();
    let image = |name: &str| {
        let spec = spec?;
        let mut all = spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten());
        all.find(|container| container.name == name)?
            .image
            .as_deref()
    };
    let all = [
        &mut status.container_statuses,
        &mut status.init_container_statuses,
    ];
    for container in all.into_iter().flat_map(Option::iter_mut).flatten() {
        if !image(&container.name).is_some_and(|image| own.have_version(image)) {
            remove(container);
        }
    }
}

fn remove(container: &mut ContainerStatus) {
    let watches = container.name == volume_watch::CONTAINER;
    let states = [&mut container.state, &mut container.last_state];
    for ContainerState { terminated, .. } in states.into_iter().flatten() {
        let Some(end) = terminated else { continue };
        let reports = |text: &String| volume_watch::is_report(text);
        if !(watches && end.message.as_ref().is_some_and(reports)) {
            end.message = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The messages that are left of one that every container of this image wrote.
    fn messages(image: &Value, name: &str, message: &str) -> Vec<String> {
        let containers = json!([{"name": name, "image": image}]);
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
            let own = DefaultImages {
                app: "r:5000/hello-app:1".into(),
                postgres: "postgres:18".into(),
            };
            remove_foreign(&mut pod, &own);
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
        assert_eq!(left(volume_watch::CONTAINER, "volume-nearly-full 91\n"), 4);
        assert_eq!(left(volume_watch::CONTAINER, "volume-has-room 7"), 4);
        for message in [
            "secret",
            "volume-has-room secret",
            "volume-nearly-full 1 secret",
        ] {
            assert_eq!(left(volume_watch::CONTAINER, message), 0, "{message}");
        }
        assert_eq!(left("app", "volume-nearly-full 91"), 0);
    }
}
