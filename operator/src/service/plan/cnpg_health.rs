//! What CloudNativePG reports about its `Cluster`: pure functions of the live object.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

/// How a cluster of servers is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every server is there and the primary takes writes.
    Serving,
    /// Writes are taken, but not every server is there; with the phase that CloudNativePG reports.
    Degraded(String),
    /// Nothing is served yet, or for the moment; with the phase that CloudNativePG reports.
    Starting(String),
    /// CloudNativePG waits for a person; with the phase that it reports.
    Blocked(String),
    /// A person asked for hibernation.
    Hibernated,
}

/// Phases that CloudNativePG does not leave without a person.
const BLOCKED: [&str; 4] = [
    "Waiting for user action",
    "Cluster is unrecoverable",
    "Unable to create required cluster objects",
    "Cluster cannot",
];

/// The phase in which there is nothing to do.
const HEALTHY: &str = "Cluster in healthy state";

impl Health {
    /// Reads the state from a live `Cluster`.
    #[must_use]
    pub fn from_cluster(live: &DynamicObject) -> Self {
        if is_hibernated(live) {
            return Self::Hibernated;
        }
        let wanted = live.data["spec"]["instances"].as_i64().unwrap_or(1);
        let ready = live.data["status"]["readyInstances"]
            .as_i64()
            .unwrap_or_default();
        // The other half of a synchronous write is a replica.
        let writable = has_primary(&live.data["status"]) && ready >= wanted.min(2);
        if writable && ready == wanted && condition(live, "Ready") {
            return Self::Serving;
        }
        let phase = reported_phase(&live.data["status"]);
        if BLOCKED.iter().any(|start| phase.starts_with(start)) {
            return Self::Blocked(phase);
        }
        if writable {
            Self::Degraded(phase)
        } else {
            Self::Starting(phase)
        }
    }
}

/// A hibernated cluster keeps `Ready=True`, so hibernation is looked at first.
fn is_hibernated(live: &DynamicObject) -> bool {
    let asked = live.annotations().get("cnpg.io/hibernation");
    asked.is_some_and(|value| value == "on") || condition(live, "cnpg.io/hibernation")
}

fn condition(live: &DynamicObject, type_: &str) -> bool {
    live.data["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c["type"] == type_ && c["status"] == "True")
        })
}

/// Whether there is a primary that is healthy and is to stay the primary.
fn has_primary(status: &Value) -> bool {
    let Some(primary) = status["currentPrimary"].as_str() else {
        return false;
    };
    let healthy = status["instancesStatus"]["healthy"].as_array();
    status["targetPrimary"] == primary
        && healthy.is_some_and(|pods| pods.iter().any(|pod| pod == primary))
}

/// The phase that CloudNativePG reports, of a cluster that is not healthy. For a moment after a server is lost the
/// phase is still that of a healthy cluster.
fn reported_phase(status: &Value) -> String {
    let text = |name: &str| status[name].as_str().filter(|text| !text.is_empty());
    match (text("phase"), text("phaseReason")) {
        (Some(HEALTHY), _) => {
            "a server is missing, and CloudNativePG has not reported why yet".to_owned()
        }
        (Some(phase), Some(reason)) => format!("{phase}: {reason}"),
        (Some(phase), None) => phase.to_owned(),
        (None, _) => "CloudNativePG has not reported on it yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster(change: impl FnOnce(&mut Value)) -> Health {
        let mut body = json!({
            "metadata": {"name": "demo-db", "annotations": {}},
            "spec": {"instances": 3},
            "status": {
                "phase": "Cluster in healthy state", "readyInstances": 3,
                "currentPrimary": "demo-db-1", "targetPrimary": "demo-db-1",
                "instancesStatus": {"healthy": ["demo-db-1", "demo-db-2", "demo-db-3"]},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        change(&mut body);
        Health::from_cluster(&serde_json::from_value(body).unwrap())
    }

    #[test]
    fn a_whole_cluster_serves() {
        assert_eq!(cluster(|_| ()), Health::Serving);
    }

    #[test]
    fn a_cluster_without_a_report_is_starting() {
        let health = cluster(|body| body["status"] = Value::Null);
        assert!(matches!(health, Health::Starting(_)), "{health:?}");
    }

    #[test]
    fn a_lost_replica_leaves_a_database_that_answers() {
        let health = cluster(|body| {
            body["status"]["readyInstances"] = 2.into();
            body["status"]["phase"] = "Creating a new replica".into();
            body["status"]["conditions"][0]["status"] = "False".into();
        });
        assert_eq!(health, Health::Degraded("Creating a new replica".into()));
    }

    /// Also while CloudNativePG still reports a healthy cluster.
    #[test]
    fn more_servers_than_are_ready_is_not_whole() {
        let health = cluster(|body| body["spec"]["instances"] = 5.into());
        assert!(matches!(health, Health::Degraded(_)), "{health:?}");
    }

    #[test]
    fn a_loss_is_not_explained_by_the_phase_of_a_healthy_cluster() {
        let health = cluster(|body| {
            body["status"]["readyInstances"] = 2.into();
            body["status"]["instancesStatus"] = json!({"healthy": ["demo-db-2", "demo-db-3"]});
        });
        let phase = "a server is missing, and CloudNativePG has not reported why yet".to_owned();
        assert_eq!(health, Health::Starting(phase));
    }

    #[test]
    fn without_a_replica_a_synchronous_write_hangs() {
        let health = cluster(|body| body["status"]["readyInstances"] = 1.into());
        assert!(matches!(health, Health::Starting(_)), "{health:?}");
        let single = cluster(|body| {
            body["spec"]["instances"] = 1.into();
            body["status"]["readyInstances"] = 1.into();
        });
        assert_eq!(single, Health::Serving);
    }

    #[test]
    fn a_failover_is_not_served_through() {
        for (field, value) in [
            ("targetPrimary", json!("demo-db-2")),
            ("currentPrimary", Value::Null),
            (
                "instancesStatus",
                json!({"healthy": ["demo-db-2", "demo-db-3"]}),
            ),
        ] {
            let health = cluster(|body| {
                body["status"][field] = value;
                body["status"]["phase"] = "Failing over".into();
                body["status"]["phaseReason"] = "from demo-db-1".into();
            });
            let phase = "Failing over: from demo-db-1".to_owned();
            assert_eq!(health, Health::Starting(phase), "{field}");
        }
    }

    #[test]
    fn hibernation_shows_although_the_cluster_is_ready() {
        let asked =
            cluster(|body| body["metadata"]["annotations"]["cnpg.io/hibernation"] = "on".into());
        assert_eq!(asked, Health::Hibernated);
        let asleep = cluster(|body| {
            let condition = json!({"type": "cnpg.io/hibernation", "status": "True"});
            body["status"]["conditions"]
                .as_array_mut()
                .unwrap()
                .push(condition);
        });
        assert_eq!(asleep, Health::Hibernated);
    }

    #[test]
    fn phases_that_need_a_person_are_distinguished() {
        for phase in [
            "Waiting for user action",
            "Cluster is unrecoverable and needs manual intervention",
            "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
        ] {
            let health = cluster(|body| {
                body["status"]["phase"] = phase.into();
                body["status"]["conditions"][0]["status"] = "False".into();
            });
            assert_eq!(health, Health::Blocked(phase.into()));
        }
    }
}
