//! How full the managed database's volume is, as far as its pod says.
//!
//! The pod has no right on the API, and the operator none on nodes. What a container leaves behind
//! when it ends is in the pod's status, where the operator reads it: the container that watches the
//! volume ends when the answer changes, and is started again. See `children::transport`.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::object::names::Component;

/// Container that watches the volume.
pub const CONTAINER: &str = "watch";
/// From this use on, in percent, a volume is nearly full.
pub const NEARLY_FULL: u8 = 90;
/// Below this use, in percent, it has room again.
pub const ROOM: u8 = 85;
/// First word of the container when the volume is nearly full; a use in percent follows.
pub const SAYS_NEARLY_FULL: &str = "volume-nearly-full";
/// First word of the container when the volume has room again; a use in percent follows.
pub const SAYS_ROOM: &str = "volume-has-room";

/// What is known of the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// There is room.
    Room,
    /// It was seen at this use, in percent.
    NearlyFull(u8),
    /// The container ended for another reason, so what it said before is not there any more.
    Unknown,
}

/// Reads it from the pods of a service.
#[must_use]
pub fn of(pods: &[Pod]) -> Volume {
    let servers = pods.iter().filter(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && Component::from_labels(pod.labels()) == Some(Component::Database)
    });
    let mut ends = servers.filter_map(|pod| {
        let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
        let watch = containers.iter().find(|c| c.name == CONTAINER)?;
        let end = |state: &Option<_>| {
            let state: &k8s_openapi::api::core::v1::ContainerState = state.as_ref()?;
            state.terminated.clone()
        };
        end(&watch.state).or_else(|| end(&watch.last_state))
    });
    // A pod whose container never ended has seen nothing.
    let Some(end) = ends.next() else {
        return Volume::Room;
    };
    let said = end.message.unwrap_or_default();
    match said.trim().split_once(' ') {
        Some((SAYS_ROOM, _)) => Volume::Room,
        Some((SAYS_NEARLY_FULL, used)) => used.parse().map_or(Volume::Unknown, Volume::NearlyFull),
        _ => Volume::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(state: &Value, last: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "demo-db-0", "labels": {"app.kubernetes.io/component": "database"}},
            "status": {"containerStatuses": [
                {"name": "postgres", "image": "x", "imageID": "", "ready": true, "restartCount": 1,
                    "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1, "message": "volume-nearly-full 99"}}},
                {"name": "watch", "image": "x", "imageID": "", "ready": true, "restartCount": 1,
                    "state": state, "lastState": last},
            ]},
        }))
        .unwrap()
    }

    fn ended(message: &str) -> Value {
        json!({"terminated": {"exitCode": 0, "message": message}})
    }

    #[test]
    fn the_last_word_of_the_watching_container_counts() {
        let running = json!({"running": {}});
        let of = |state: &Value, last: &Value| of(&[pod(state, last)]);
        assert_eq!(of(&running, &json!({})), Volume::Room);
        let full = ended("volume-nearly-full 91\n");
        assert_eq!(of(&running, &full), Volume::NearlyFull(91));
        // Also before it is started again.
        assert_eq!(of(&full, &json!({})), Volume::NearlyFull(91));
        let room = ended("volume-has-room 84");
        assert_eq!(of(&room, &full), Volume::Room);
        assert_eq!(of(&running, &ended("out of memory")), Volume::Unknown);
        assert_eq!(of(&running, &ended("")), Volume::Unknown);
    }

    #[test]
    fn a_pod_that_leaves_says_nothing() {
        let mut leaving = pod(&ended("volume-nearly-full 91"), &json!({}));
        leaving.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
        assert_eq!(of(&[leaving]), Volume::Room);
        assert_eq!(of(&[]), Volume::Room);
    }
}
