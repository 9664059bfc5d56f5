//! What is reported about the database.

use hello_crds::DatabaseStatus;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::Value;

use crate::{
    kubernetes::optional_apis,
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
    },
    service::{
        apply::Applied,
        plan::{
            self,
            phase::{self, Found},
            readiness::DatabaseState,
            stuck_pod::is_of_former_template,
        },
        report::{
            data,
            finding::{Finding, no, yes},
            pod_failure,
            reason::Reason,
            upgrade, volume,
        },
        validate::{Database, Validated},
    },
};

/// Whether the database is ready and matches the spec.
pub fn finding(service: &Validated, applied: &Applied, now: Timestamp) -> Finding {
    let state = &applied.readiness().database;
    let managed = matches!(service.database, Database::Managed(_));
    let is_known = !matches!(state, DatabaseState::Replaced | DatabaseState::Unknown);
    if !state.is_ready()
        && is_known
        && let Some(going) = data::finding(service, applied)
    {
        return going;
    }
    if managed
        && !state.is_ready()
        && is_known
        && let Some(failure) = server_failure(service, applied, now)
    {
        return failure;
    }
    match state {
        DatabaseState::External => yes(Reason::ExternalDatabase),
        DatabaseState::WithoutAddress { problem } => no(Reason::ReferenceMissing).with(problem),
        DatabaseState::Serving if managed => yes(Reason::DatabaseServing),
        DatabaseState::Serving => yes(Reason::DatabaseServing).with("every server is ready"),
        DatabaseState::Changing => {
            no(Reason::DatabaseStarting).with("the Cluster is being changed")
        }
        DatabaseState::Degraded { phase, .. } => no(Reason::DatabaseDegraded).with(phase),
        DatabaseState::Starting { phase: Some(phase) } => no(Reason::DatabaseStarting).with(phase),
        DatabaseState::Starting { phase: None } | DatabaseState::Initializing => {
            no(Reason::DatabaseStarting)
        }
        DatabaseState::Blocked { phase } => no(Reason::DatabaseBlocked).with(phase),
        DatabaseState::Hibernated => no(Reason::DatabaseHibernated),
        DatabaseState::Replaced => data::replaced(service, applied),
        DatabaseState::Unknown => upgrade::unknown(service, applied),
        DatabaseState::Leaving => no(Reason::DatabaseTerminating),
        DatabaseState::Absent => {
            no(Reason::DatabaseStarting).with("the Cluster does not exist yet")
        }
        DatabaseState::NotServed => {
            let name = names::database(&service.identity.name);
            let cluster = ChildId::new(Kind::Cluster, name);
            no(Reason::ApiMissing).with(optional_apis::explain(&cluster))
        }
    }
}

/// Why the pod of the operator's own server does not get ready.
fn server_failure(service: &Validated, applied: &Applied, now: Timestamp) -> Option<Finding> {
    let instance = &service.identity.name;
    let Some(failure) = pod_failure::first(applied.pods(), Component::Database, now) else {
        let set = ChildId::new(Kind::StatefulSet, names::database(instance));
        return applied.refused_pods(&set).map(pod_failure::refused);
    };
    if is_of_former_spec(service, applied) {
        return Some(no(Reason::DatabaseStarting).with(format!(
            "a pod of the former spec is being replaced; it did not start: {}",
            failure.message
        )));
    }
    Some(match volume::wanted_data(service) {
        Some(wanted) => volume::explain(applied, &wanted, failure),
        None => failure.finding(),
    })
}

/// Whether a pod of the server was made from an earlier spec, so that its failure is not about the present one.
fn is_of_former_spec(service: &Validated, applied: &Applied) -> bool {
    let name = names::database(&service.identity.name);
    let set = applied.live().typed::<StatefulSet>(&name);
    set.is_some_and(|set| {
        applied
            .pods()
            .iter()
            .any(|pod| is_of_former_template(set, pod))
    })
}

/// The database in use.
pub fn status(service: &Validated, applied: &Applied, now: Timestamp) -> DatabaseStatus {
    let instance = &service.identity.name;
    let servers = service.database.servers(instance);
    let cluster = servers.filter(|id| id.kind == Kind::Cluster);
    let status = cluster
        .and_then(|id| applied.get(&id))
        .map(|live| &live.data["status"]);
    let field = |name: &str| status.map(|status| &status[name]);
    let found = Found {
        facts: applied.facts(),
        live: applied.live(),
        ready: applied.readiness().database.is_ready(),
        migration: applied.migration(),
        now,
    };
    let known = phase::remember(service, &found);
    DatabaseStatus {
        kind: service.database.kind().into(),
        volume_claim: service.database.volume_claim(instance),
        data: known.data,
        data_version: known.serving.0,
        image: known.image,
        upgrade: known.upgrade,
        former: known.former,
        bootstrap: plan::bootstrap::remember(service, applied.live(), applied.facts().bootstrap),
        ready_instances: field("readyInstances")
            .and_then(Value::as_i64)
            .and_then(|count| count.try_into().ok()),
        primary: field("currentPrimary")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}
