//! What is reported about the database.

use hello_crds::DatabaseStatus;

use crate::{
    kubernetes::optional_apis,
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
    },
    service::{
        apply::Applied,
        plan::{Presence, cnpg_health::Health},
        report::{
            finding::{Finding, no, yes},
            pod_failure,
            reason::Reason,
        },
        validate::{Database, Validated},
    },
};

/// Whether the database is ready and matches the spec.
pub fn finding(service: &Validated, applied: &Applied) -> Finding {
    match service.database {
        Database::External { .. } => yes(Reason::ExternalDatabase),
        Database::Managed { .. } => managed(service, applied),
        Database::CloudNativePg { .. } => cloud_native_pg(service, applied),
    }
}

fn managed(service: &Validated, applied: &Applied) -> Finding {
    if applied.facts().database_ready {
        return yes(Reason::DatabaseServing);
    }
    let instance = &service.identity.name;
    let claim = ChildId::new(Kind::PersistentVolumeClaim, names::data_claim(instance));
    if let Some(failure) = pod_failure::first(applied.pods(), Component::Database) {
        let pending = applied
            .get(&claim)
            .filter(|claim| claim.data["status"]["phase"] == "Pending");
        return match (pending, failure.reason) {
            (Some(live), Reason::Unschedulable) => {
                let class = live.data["spec"]["storageClassName"].as_str();
                no(Reason::VolumePending).with(format!(
                    "claim {} is not bound (storage class {}): {}",
                    claim.name,
                    class.unwrap_or("default"),
                    failure.message
                ))
            }
            _ => failure.finding(),
        };
    }
    let server = ChildId::new(Kind::StatefulSet, names::database(instance));
    if [server, claim]
        .iter()
        .any(|part| applied.plan().leaving.contains(part))
    {
        return no(Reason::DatabaseTerminating);
    }
    no(Reason::DatabaseStarting)
}

fn cloud_native_pg(service: &Validated, applied: &Applied) -> Finding {
    let id = ChildId::new(Kind::Cluster, names::database(&service.identity.name));
    if applied.plan().unavailable.contains(&id) {
        return no(Reason::ApiMissing).with(optional_apis::explain(&id));
    }
    let live = match applied.facts().present.get(&id) {
        Some(Presence::Predecessor | Presence::Deleting) => {
            return no(Reason::DatabaseTerminating);
        }
        Some(Presence::Foreign) => None,
        Some(Presence::Settled | Presence::Drifted) | None => applied.get(&id),
    };
    match live.map(Health::of) {
        None => no(Reason::DatabaseStarting).with("the Cluster does not exist yet"),
        Some(Health::Serving) if applied.facts().database_ready => {
            yes(Reason::DatabaseServing).with("every server is ready")
        }
        Some(Health::Serving) => no(Reason::DatabaseStarting).with("the Cluster is being changed"),
        Some(Health::Degraded(phase)) => no(Reason::DatabaseDegraded).with(phase),
        Some(Health::Starting(phase)) => no(Reason::DatabaseStarting).with(phase),
        Some(Health::Blocked(phase)) => no(Reason::DatabaseBlocked).with(phase),
        Some(Health::Hibernated) => no(Reason::DatabaseHibernated),
    }
}

/// The database in use.
pub fn status(service: &Validated, applied: &Applied) -> DatabaseStatus {
    let instance = &service.identity.name;
    match &service.database {
        Database::Managed { .. } => DatabaseStatus {
            kind: "managed".into(),
            volume_claim: Some(names::data_claim(instance)),
            ..DatabaseStatus::default()
        },
        Database::External { .. } => DatabaseStatus {
            kind: "external".into(),
            ..DatabaseStatus::default()
        },
        Database::CloudNativePg { .. } => {
            let id = ChildId::new(Kind::Cluster, names::database(instance));
            let status = applied.get(&id).map(|live| &live.data["status"]);
            DatabaseStatus {
                kind: "cloudNativePG".into(),
                volume_claim: None,
                ready_instances: status
                    .and_then(|status| status["readyInstances"].as_i64())
                    .and_then(|count| count.try_into().ok()),
                primary: status
                    .and_then(|status| status["currentPrimary"].as_str())
                    .map(str::to_owned),
            }
        }
    }
}
