//! Objects of the model as the API server would show them.

use std::collections::HashMap;

use hello_crds::HelloService;
use hello_operator::{
    object::{
        child::{self, ChildId, Desired},
        data_version::DataVersion,
        kind::{Gate, Kind},
        live::Live,
        names,
    },
    service::{
        children::SERVER,
        dereference::observed::Observed,
        plan::{job_phase::JobPhase, stuck_pod::REVISION_LABEL},
    },
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::cluster::{Known, State};
use crate::objects::{
    Body, ClaimOwner, Holder, Name, Object, PodState, REPLICAS, Resource, Status,
};

/// Name of the resource.
pub const INSTANCE: &str = "demo";

const NAMESPACE: &str = "ns";
/// A value with which the server does not start.
const BROKEN: &str = "broken";
/// A claim that does not exist.
const MISSING: &str = "missing";
/// The value by which a backup is requested.
const REQUEST: &str = "now";
/// UID of the CronJob of the backups.
pub const SCHEDULE: &str = "schedule";

/// The resource as a user would write it, with what its status remembers.
pub fn service(resource: Resource, (remembered, run_known, bootstrap): Known) -> HelloService {
    let Resource { uid, spec } = resource;
    let broken = json!({"managed": {"parameters": {"shared_buffers": BROKEN}}});
    let mut text = json!({
        "image": format!("hello-app:{}", spec.version),
        "deletionPolicy": if spec.retain { "Retain" } else { "Delete" },
        "paused": spec.paused,
    });
    if spec.autoscaled {
        text["autoscaling"] = json!({"minReplicas": REPLICAS, "maxReplicas": 9});
    } else {
        text["replicas"] = REPLICAS.into();
    }
    text["backup"] = json!({"enabled": spec.backup, "schedule": "@daily"});
    if spec.broken {
        text["database"] = broken;
    }
    if spec.bootstrap != 0 {
        let name = if spec.bootstrap == 1 {
            MISSING
        } else {
            "backups"
        };
        let claim = json!({"claimName": name});
        let source = json!({"backup": "latest", "destination": {"volume": claim}});
        text["database"] = json!({"managed": {"bootstrap": {"fromBackup": source}}});
    }
    if spec.route {
        text["expose"] = json!({"httpRoute": {"parentRefs": [{"name": "public"}]}});
    }
    let requested = json!({names::BACKUP_REQUEST_ANNOTATION: REQUEST});
    let annotations = spec.requested.then_some(requested);
    let restore = fixed_id(Name::Restore).name;
    let bootstrap = bootstrap.map(|phase| json!({"phase": phase, "restore": restore}));
    let run = run_known.then(|| fixed_id(Name::Run).name);
    let data = (remembered != 0).then(|| json!({"uid": remembered.to_string()}));
    serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": INSTANCE, "namespace": NAMESPACE, "uid": uid.to_string(), "generation": 1,
            "annotations": annotations},
        "spec": text,
        "status": {"database": {"kind": "managed", "data": data, "bootstrap": bootstrap}, "backup": {"lastRequest": run}},
    }))
    .unwrap()
}

/// Identity of an object that has a fixed name.
pub fn fixed_id(name: Name) -> ChildId {
    match name {
        Name::Credentials => ChildId::new(Kind::Secret, names::credentials(INSTANCE)),
        Name::Claim => ChildId::new(
            Kind::PersistentVolumeClaim,
            names::data_claim(INSTANCE, &DataVersion::default()),
        ),
        Name::Server => ChildId::new(Kind::StatefulSet, names::database(INSTANCE)),
        Name::App => ChildId::new(Kind::Deployment, names::app(INSTANCE)),
        Name::Autoscaler => ChildId::new(Kind::HorizontalPodAutoscaler, names::app(INSTANCE)),
        Name::BackupClaim => ChildId::new(Kind::PersistentVolumeClaim, names::backup(INSTANCE)),
        Name::BackupJob => ChildId::new(Kind::CronJob, names::backup(INSTANCE)),
        Name::Run => {
            let hash = child::hash(REQUEST);
            ChildId::new(Kind::Job, names::requested_backup(INSTANCE, &hash[..10]))
        }
        Name::Route => ChildId::new(Kind::HTTPRoute, names::app(INSTANCE)),
        Name::Restore => ChildId::new(Kind::HelloRestore, names::bootstrap(INSTANCE, "")),
        Name::Job(..) | Name::Pod => {
            unreachable!("a Job is named by its inputs, and a pod is no child")
        }
    }
}

/// Every body that the operator ever wanted to write, and the names of its Jobs.
#[derive(Default)]
pub struct Bodies {
    values: HashMap<u64, Value>,
    jobs: HashMap<Name, ChildId>,
}

impl Bodies {
    pub fn learn(&mut self, child: &Desired, resource: Resource, claim: Option<&str>) {
        self.values.insert(number(child), child.body.clone());
        if child.gate == Gate::Migration {
            let claim = claim.unwrap().parse().unwrap();
            let name = Name::Job(resource.spec.version, claim, resource.uid);
            self.jobs.insert(name, child.id.clone());
        }
    }

    pub fn id(&self, name: Name) -> ChildId {
        self.jobs
            .get(&name)
            .cloned()
            .unwrap_or_else(|| fixed_id(name))
    }

    pub fn name(&self, id: &ChildId) -> Name {
        let fixed = [
            Name::Credentials,
            Name::Claim,
            Name::Server,
            Name::App,
            Name::Autoscaler,
            Name::BackupClaim,
            Name::BackupJob,
            Name::Run,
            Name::Route,
            Name::Restore,
        ];
        let mut jobs = self.jobs.iter().filter(|(_, job)| *job == id);
        let job = jobs.next().map(|(name, _)| *name);
        job.or_else(|| fixed.into_iter().find(|name| fixed_id(*name) == *id))
            .unwrap()
    }

    /// The fields of a body that Kubernetes acts on.
    pub fn body(child: &Desired) -> Body {
        let spec = &child.body["spec"];
        let owner = &child.body["metadata"]["ownerReferences"][0]["uid"];
        let image = spec["template"]["spec"]["containers"][0]["image"].as_str();
        let version = image.and_then(|image| image.strip_prefix("hello-app:"));
        let arguments = &spec["template"]["spec"]["containers"][0]["args"];
        let mut arguments = arguments.as_array().into_iter().flatten();
        let broken = arguments.any(|argument| *argument == format!("shared_buffers={BROKEN}"));
        let source = &spec["source"]["destination"]["volume"]["claimName"];
        let when_deleted = &spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
        Body {
            hash: number(child),
            owner: owner.as_str().map_or(0, |uid| uid.parse().unwrap_or(0)),
            version: version.map_or(0, |version| version.parse().unwrap()),
            takes_claims: when_deleted == "Delete",
            broken: broken || *source == MISSING,
        }
    }
}

fn number(child: &Desired) -> u64 {
    u64::from_str_radix(&child.hash, 16).unwrap()
}

/// One object.
pub fn live(name: Name, object: &Object, bodies: &Bodies) -> Live {
    let mut value = match object.status {
        Status::Foreign => theirs(),
        Status::Claim { uid, owner, .. } => claim(uid, owner, bodies),
        _ => bodies.values[&object.body.hash].clone(),
    };
    value["metadata"]["name"] = bodies.id(name).name.into();
    value["metadata"]["namespace"] = NAMESPACE.into();
    if object.drifted {
        value["metadata"]["labels"]["app.kubernetes.io/part-of"] = "drifted".into();
    }
    if object.deleting {
        value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    add_status(name, object, &mut value);
    let kind = bodies.id(name).kind;
    Live::parse(kind, serde_json::from_value(value).unwrap()).unwrap()
}

/// Adds what the controllers and the API server have written.
fn add_status(name: Name, object: &Object, value: &mut Value) {
    match object.status {
        Status::Server { ready } => {
            value["metadata"]["uid"] = "server".into();
            value["metadata"]["generation"] = 2.into();
            let (count, revision) = (u8::from(ready), object.body.hash.to_string());
            value["status"] = json!({"observedGeneration": 2, "updatedReplicas": count,
                "readyReplicas": count, "currentRevision": revision, "updateRevision": revision});
        }
        Status::Job { phase, .. } => {
            let condition = |type_: &str, reason: &str| json!({"conditions": [{"type": type_, "status": "True", "reason": reason}]});
            value["status"] = match phase {
                JobPhase::Active => json!({}),
                JobPhase::Succeeded => condition("Complete", "CompletionsReached"),
                JobPhase::Failed => condition("Failed", "PodFailurePolicy"),
                JobPhase::Interrupted => condition("Failed", "BackoffLimitExceeded"),
            };
        }
        Status::Run { ended } => {
            let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
            value["status"] = if ended { complete } else { json!({}) };
        }
        Status::App {
            replicas,
            holder,
            recorded,
        } => {
            if !recorded {
                let annotations = value["metadata"]["annotations"].as_object_mut();
                annotations.unwrap().remove(names::MIGRATION_ANNOTATION);
            }
            value["spec"]["replicas"] = replicas.into();
            let manager = match holder {
                Holder::None => "else",
                Holder::Main => names::MANAGER,
                Holder::Scale => names::SCALE_MANAGER,
            };
            value["metadata"]["managedFields"] = json!([{"manager": manager,
                "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        }
        Status::Restore { swapped } => {
            let phase = if swapped { "Completed" } else { "Staging" };
            value["status"] = json!({"phase": phase});
        }
        Status::Plain if name == Name::BackupJob => {
            value["metadata"]["uid"] = SCHEDULE.into();
        }
        Status::Plain | Status::Claim { .. } | Status::Foreign | Status::Pod(_) => {}
    }
}

/// An object of a Helm release of the same name.
fn theirs() -> Value {
    json!({"metadata": {"uid": "9", "labels": {
        names::INSTANCE_LABEL: INSTANCE, names::MANAGED_BY_LABEL: "Helm"}}})
}

/// The claim as the StatefulSet controller creates it, from the operator's template.
fn claim(uid: u8, owner: ClaimOwner, bodies: &Bodies) -> Value {
    let mut templates = bodies.values.values();
    let template = templates.find_map(|body| body["spec"]["volumeClaimTemplates"].get(0));
    let mut value = template.unwrap().clone();
    value["metadata"]["uid"] = uid.to_string().into();
    let owner = match owner {
        ClaimOwner::None => return value,
        ClaimOwner::Living => "server",
        ClaimOwner::Gone => "an earlier server",
    };
    value["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet",
        "name": names::database(INSTANCE), "uid": owner, "controller": true}]);
    value
}

/// The pod of the server.
pub fn server_pod(pod: &Object) -> Pod {
    let (state, ready) = match pod.status {
        Status::Pod(PodState::Ready) => (json!({"running": {}}), true),
        Status::Pod(PodState::Recovering) => (json!({"running": {}}), false),
        Status::Pod(PodState::Broken) => {
            (json!({"waiting": {"reason": "CrashLoopBackOff"}}), false)
        }
        _ => (json!({"waiting": {"reason": "ContainerCreating"}}), false),
    };
    let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "uid": "server",
        "name": names::database(INSTANCE), "controller": true});
    serde_json::from_value(json!({
        "metadata": {"name": "demo-db-0", "uid": "pod", "resourceVersion": "1", "ownerReferences": [owner],
            "labels": {names::COMPONENT_LABEL: "database", REVISION_LABEL: pod.body.hash.to_string()}},
        "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{"name": SERVER, "image": "i", "imageID": "", "restartCount": 0,
                "ready": ready, "state": state}],
        },
    }))
    .unwrap()
}

/// The pod of a migration that runs.
pub fn migration_pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "demo-migrate-pod", "labels": {names::COMPONENT_LABEL: "migration"}},
        "status": {"phase": "Running"},
    }))
    .unwrap()
}

/// Every object that has the operator's labels or a wanted name.
pub fn observe(
    state: &State,
    migrating: bool,
    bodies: &Bodies,
    lives: &mut HashMap<(Name, Object), Live>,
) -> Observed {
    let mut observed = Observed::default();
    if !state.routes_served {
        observed.missing.insert(Kind::HTTPRoute);
    }
    for (name, object) in state.visible() {
        if name == Name::Pod {
            observed.pods.push(server_pod(&object));
            continue;
        }
        let live = lives
            .entry((name, object))
            .or_insert_with(|| live(name, &object, bodies));
        let id = bodies.id(name);
        observed.children.insert(id, live.clone());
    }
    if migrating {
        observed.pods.push(migration_pod());
    }
    observed
}
