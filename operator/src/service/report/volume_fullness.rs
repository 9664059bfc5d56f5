//! How full the volume of the managed database is, as far as its pod reports it.
//!
//! The pod has no right on the API, and the operator none on nodes. What a container writes when it ends is in the pod's
//! status, where the operator reads it: the container that watches the volume ends when the answer changes, and is
//! started again. See [`volume_report`].

use hello_crds::{ConditionType, HelloServiceStatus};
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt;

use crate::{
    object::{names::Component, volume_report},
    service::{
        apply::Applied,
        report::{
            conditions,
            finding::{Finding, yes},
            reason::Reason,
        },
        validate::Validated,
    },
};

/// What is known of the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
enum VolumeFullness {
    /// There is room.
    Room,
    /// Its use was this high, in percent.
    NearlyFull(u8),
    /// The container ended for another reason, so its earlier report is lost.
    Unknown,
}

impl VolumeFullness {
    /// Reads it from the pods of a service.
    fn from_pods(pods: &[Pod]) -> Self {
        let servers = pods.iter().filter(|pod| {
            pod.metadata.deletion_timestamp.is_none()
                && Component::from_labels(pod.labels()) == Some(Component::Database)
        });
        let mut ends = servers.filter_map(|pod| {
            let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
            let watch = containers
                .iter()
                .find(|container| container.name == volume_report::CONTAINER)?;
            let end = |state: &Option<ContainerState>| state.as_ref()?.terminated.clone();
            end(&watch.state).or_else(|| end(&watch.last_state))
        });
        // A container that never ended has nothing to report.
        let Some(end) = ends.next() else {
            return Self::Room;
        };
        let message = end.message.unwrap_or_default();
        match message.trim().split_once(' ') {
            Some((volume_report::REPORTS_ROOM, _)) => Self::Room,
            Some((volume_report::REPORTS_NEARLY_FULL, used)) => {
                used.parse().map_or(Self::Unknown, Self::NearlyFull)
            }
            _ => Self::Unknown,
        }
    }
}

/// A warning while the database still serves, in time to prevent a full volume.
pub fn finding(
    service: &Validated,
    applied: &Applied,
    old: Option<&HelloServiceStatus>,
) -> Option<Finding> {
    let claim = service.database.volume_claim(&service.identity.name)?;
    let message = match VolumeFullness::from_pods(applied.pods()) {
        VolumeFullness::Room => return None,
        VolumeFullness::NearlyFull(used) => format!(
            "claim {claim} is {used} % full: increase spec.database.managed.storage.size, or delete data"
        ),
        // What was reported before stays: the volume did not become emptier by that.
        VolumeFullness::Unknown => {
            let before = conditions::find(old?, ConditionType::Degraded)?;
            (before.reason == Reason::VolumeNearlyFull.as_str()).then(|| before.message.clone())?
        }
    };
    Some(yes(Reason::VolumeNearlyFull).with(message))
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
    fn the_last_report_of_the_watching_container_counts() {
        let running = json!({"running": {}});
        let of = |state: &Value, last: &Value| VolumeFullness::from_pods(&[pod(state, last)]);
        assert_eq!(of(&running, &json!({})), VolumeFullness::Room);
        let full = ended("volume-nearly-full 91\n");
        assert_eq!(of(&running, &full), VolumeFullness::NearlyFull(91));
        // Also before it is restarted.
        assert_eq!(of(&full, &json!({})), VolumeFullness::NearlyFull(91));
        let room = ended("volume-has-room 84");
        assert_eq!(of(&room, &full), VolumeFullness::Room);
        assert_eq!(
            of(&running, &ended("out of memory")),
            VolumeFullness::Unknown
        );
        assert_eq!(of(&running, &ended("")), VolumeFullness::Unknown);
    }

    #[test]
    fn a_pod_that_is_being_deleted_reports_nothing() {
        let mut deleted = pod(&ended("volume-nearly-full 91"), &json!({}));
        deleted.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
        assert_eq!(VolumeFullness::from_pods(&[deleted]), VolumeFullness::Room);
        assert_eq!(VolumeFullness::from_pods(&[]), VolumeFullness::Room);
    }
}
