//! The world as the API server shows it, and what is read there.

use hello_crds::HelloService;
use hello_operator::{
    object::{
        child::{ChildId, Desired},
        data_version::DataVersion,
        kind::{Gate, Kind},
        live::Live,
        names,
    },
    service::{children::Prepared, dereference::observed::Observed, validate::DefaultImages},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::{
    live::INSTANCE,
    upgrades::state::{App, Claim, Job, Pass, Resource, Restore, State, Version, Write, Writes},
};

/// When the first change begins, and when a Job has ended. Every pause between two tries is over.
const START: &str = "2026-01-01T00:00:00Z";
const ENDED: &str = "2026-01-01T00:01:00Z";
pub const NOW: &str = "2026-01-02T00:00:00Z";

pub fn now(state: &State) -> Timestamp {
    let start: Timestamp = START.parse().unwrap();
    start + SignedDuration::from_secs(i64::from(state.clock))
}

pub fn name(version: Version) -> DataVersion {
    DataVersion((version == Version::New).then(|| "18".to_owned()))
}

pub fn image(version: Version) -> &'static str {
    match version {
        Version::Old => "postgres:16",
        Version::New => "postgres:18",
    }
}

pub fn images() -> DefaultImages {
    DefaultImages {
        app: "hello-app:1".into(),
        postgres: "postgres:18".into(),
    }
}

pub fn uid(version: Version) -> String {
    format!("claim-{version:?}")
}

pub fn backup(data: Writes) -> String {
    format!("hello-{data}")
}

/// Those of the children that the world has.
pub fn tracked(mut prepared: Prepared) -> Prepared {
    prepared.children.retain(|child| match child.id.kind {
        Kind::StatefulSet | Kind::Deployment | Kind::Job | Kind::HelloRestore => true,
        Kind::PersistentVolumeClaim => child.gate == Gate::IfPresent,
        _ => false,
    });
    prepared
}

pub fn resource_of(state: &State, resource: &Resource) -> HelloService {
    let accepted = consent(resource).filter(|_| resource.consent);
    let version = name(resource.wish).0;
    let status: Value = serde_json::from_str(&resource.status).unwrap();
    serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": INSTANCE, "namespace": "ns", "uid": "1", "generation": i64::from(state.clock) + 1,
            "annotations": accepted.map(|accepted| json!({names::ACCEPT_DATA_ANNOTATION: accepted}))},
        "spec": {"image": "hello-app:1", "replicas": 1, "deletionPolicy": "Delete", "backup": {"schedule": "@daily"},
            "database": {"managed": {"image": image(resource.wish), "dataVersion": version}}},
        "status": status,
    }))
    .unwrap()
}

/// What accepts the loss of what the wanted version lacks.
pub fn consent(resource: &Resource) -> Option<String> {
    let status: Value = serde_json::from_str(&resource.status).unwrap();
    let former = status["database"]["former"].as_array()?.clone();
    let version = name(resource.wish).0;
    let mut former = former.iter();
    let known = former.find(|known| known["dataVersion"].as_str() == version.as_deref())?;
    Some(format!(
        "{}@{}",
        known["uid"].as_str()?,
        known["until"].as_str()?
    ))
}

/// Whether the operator asks for it.
pub fn asks_for_consent(state: &State) -> bool {
    let status: Value = serde_json::from_str(&state.resource.status).unwrap();
    let database = &status["database"];
    let rests = database["upgrade"].is_null() && database["data"].is_object();
    let other = database["dataVersion"].as_str() != name(state.resource.wish).0.as_deref();
    rests && other && consent(&state.resource).is_some()
}

/// Whether a pass begins a change that ends with this status.
pub fn begins(before: &str, after: &str) -> bool {
    let in_progress = |status: &str| {
        let status: Value = serde_json::from_str(status).unwrap();
        status["database"]["upgrade"].is_object()
    };
    !in_progress(before) && in_progress(after)
}

/// Whether the controller of restores may start a step.
pub fn may_restore(state: &State) -> bool {
    let status: Value = serde_json::from_str(&state.resource.status).unwrap();
    let upgrade = &status["database"]["upgrade"];
    let wanted = upgrade["to"].as_str() == name(state.resource.wish).0.as_deref();
    let own = state.restore.as_ref().map(|restore| &*restore.name) == upgrade["restore"].as_str();
    let version = state.server.map(|server| server.version);
    let ready = version == Some(state.resource.wish) && version == state.server_pod;
    upgrade["phase"] == "Restoring" && wanted && own && ready
}

/// Whether a person may start the application by hand. A start between the last look and the end of the server cannot be
/// seen, nor one while the pod of the other server still ends.
pub fn may_scale(state: &State) -> bool {
    let goes = matches!(&state.pass, Pass::Writing(writes, _)
        if writes.iter().any(|write| matches!(write, Write::StopServer(_))));
    let old = state.server.map(|server| server.version) == Some(Version::Old);
    let answers = state.server_pod == Some(Version::Old);
    old && answers && state.app.replicas == 0 && !goes
}

/// What is wanted serves; or it has no complete data, or lacks what nobody has accepted to lose. What the status does not know
/// waits for a person.
pub fn is_good_end(state: &State) -> bool {
    let wish = state.resource.wish;
    let serves = state.pods && state.server_pod.is_some();
    let blocked = state
        .claims
        .get(&wish)
        .is_some_and(|claim| !claim.served || !state.resource.consent);
    let version = state.server_pod;
    state.breach.is_none() && (state.wiped || serves && (version == Some(wish) || blocked))
}

/// A child that is there as the operator has written it, with this change.
pub fn add(observed: &mut Observed, child: &Desired, change: Value) {
    let mut body = child.body.clone();
    for (part, fields) in change.as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            body[part][field] = value.clone();
        }
    }
    let live = Live::parse(child.id.kind, serde_json::from_value(body).unwrap());
    observed.children.insert(child.id.clone(), live.unwrap());
}

/// The pod of the server with this data.
pub fn server_pod(version: Version) -> Pod {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": names::database(INSTANCE),
        "uid": format!("server-{version:?}"), "controller": true}]);
    let pod = json!({"metadata": {"name": "server", "labels": {names::COMPONENT_LABEL: "database"},
        "ownerReferences": owner}, "status": {"phase": "Running"}});
    serde_json::from_value(pod).unwrap()
}

/// The Deployment, as far as it names a backup.
pub fn stopped(app: App) -> Value {
    json!({"metadata": {"name": INSTANCE, "uid": "app", "generation": app.generation}})
}

/// An object that is there.
pub fn put(observed: &mut Observed, kind: Kind, object: Value) {
    let id = ChildId::new(kind, object["metadata"]["name"].as_str().unwrap());
    let live = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
    observed.children.insert(id, live);
}

pub fn app(app: App) -> Value {
    json!({"metadata": {"uid": "app", "generation": app.generation,
        "managedFields": [{"manager": names::SCALE_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
        "spec": {"replicas": app.replicas}})
}

pub fn claim_of(version: Version, claim: Claim) -> Value {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": names::database(INSTANCE),
        "uid": format!("server-{version:?}"), "controller": true}]);
    let note = claim.note.map(|complete| match complete {
        true => names::COMPLETE,
        false => names::INCOMPLETE,
    });
    let component = names::Component::Database;
    json!({"metadata": {"name": names::data_claim(INSTANCE, &name(version)), "namespace": "ns", "uid": uid(version),
            "labels": names::labels_without_owner(INSTANCE, component),
            "annotations": note.map(|note| json!({names::DATA_ANNOTATION: note})),
            "ownerReferences": claim.owned.then_some(owner)},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}}})
}

fn owner() -> Value {
    json!([{"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService", "name": INSTANCE, "uid": "1",
        "controller": true}])
}

pub fn job_of(name: &str, job: Job) -> Value {
    let condition =
        |type_: &str| json!([{"type": type_, "status": "True", "lastTransitionTime": ENDED}]);
    let conditions = match job.end {
        None => Value::Null,
        Some(true) => condition("Complete"),
        Some(false) => condition("Failed"),
    };
    json!({"metadata": {"name": name, "uid": name, "ownerReferences": owner(),
            "deletionTimestamp": job.deleting.then_some(ENDED),
            "labels": {names::COMPONENT_LABEL: "backup", names::INSTANCE_LABEL: INSTANCE}},
        "status": {"conditions": conditions}})
}

pub fn restore_of(restore: &Restore) -> Value {
    let phase = match (restore.done, restore.works) {
        (true, _) => "Completed",
        (false, true) => "Staging",
        (false, false) => "Pending",
    };
    json!({"metadata": {"name": restore.name, "uid": restore.name, "ownerReferences": owner(),
            "deletionTimestamp": restore.deleting.then_some(ENDED)},
        "spec": {"service": {"name": INSTANCE}, "source": {"backup": backup(restore.data)}},
        "status": {"phase": phase}})
}
