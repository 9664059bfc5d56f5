//! What the operator does: its own `validate`, `build` and `decide`, over the objects as the API server would show them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, Mutex},
};

use hello_crds::HelloService;
use hello_operator::{
    object::{
        child::{ChildId, Desired},
        kind::{Gate, Kind},
        live::Live,
        names,
    },
    service::{
        children::{Prepared, build},
        dereference::{
            inputs::{Inputs, last_backup::LastBackup},
            observed::Observed,
        },
        plan::{self, action::Action, facts::Facts, leaving::Finalizer, planner::plan},
        validate::{DefaultImages, Kept, Validated, validate},
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    deletions::{
        Flaw,
        state::{App, Holder, Job, Known, Pass, Policy, Resource, State, Stop, Write},
    },
    live::INSTANCE,
};

const SINCE: &str = "2026-01-01T00:00:00Z";
const ENDED: &str = "2026-01-01T00:01:00Z";
/// Every pause between two tries is over.
const NOW: &str = "2026-01-02T00:00:00Z";
const PROVED: &str = "hello-20260101T000000Z";

/// What a decision depends on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct View {
    pub resource: Resource,
    pub known: Known,
    pub jobs: BTreeMap<Stop, Job>,
    pub app: Option<App>,
    pub pods: bool,
    /// Of the credentials, the server and the claim.
    pub owned: [bool; 3],
}

impl View {
    /// All as it is now.
    pub fn now(state: &State) -> Self {
        let Pass::Read(resource, known, jobs) = &state.pass else {
            return Self::later(state, state.resource, state.known, state.visible());
        };
        Self::later(state, *resource, *known, jobs.clone())
    }

    fn later(state: &State, resource: Resource, known: Known, jobs: BTreeMap<Stop, Job>) -> Self {
        Self {
            resource,
            known,
            jobs,
            app: state.app,
            pods: state.pods,
            owned: [
                state.credentials_owned,
                state.server_deletes,
                state.claim_owned,
            ],
        }
    }
}

/// The writes of a pass, and what the status knows after it.
pub type Decision = (Vec<Write>, Known);

/// The operator. It caches its decisions.
pub struct Operator {
    pub flaw: Option<Flaw>,
    decisions: Mutex<HashMap<View, Decision>>,
    /// What is wanted without a last backup, while the data stays and when it goes.
    usual: Mutex<HashMap<Resource, [Prepared; 2]>>,
    /// What is wanted before a deletion.
    last: Mutex<HashMap<(Resource, LastBackup), Prepared>>,
}

impl Operator {
    pub fn new(flaw: Option<Flaw>) -> Self {
        Self {
            flaw,
            decisions: Mutex::default(),
            usual: Mutex::default(),
            last: Mutex::default(),
        }
    }

    pub fn decide(&self, view: View) -> Decision {
        let mut decisions = self.decisions.lock().unwrap();
        let decision = decisions.entry(view);
        let view = decision.key().clone();
        decision.or_insert_with(|| self.look(&view)).clone()
    }

    fn look(&self, view: &View) -> Decision {
        let service = validate(&resource(view), &images()).unwrap();
        let offline = Inputs {
            database_identity: Some("claim".into()),
            ..Inputs::offline()
        };
        let mut observed = Observed::default();
        let add = |observed: &mut Observed, child: &Desired, change: Value| {
            let live = live(child, change);
            observed.children.insert(child.id.clone(), live);
        };
        let [credentials, server, claim] = view.owned;
        let usual = self.usual(view.resource, &service, &offline);
        for (goes, prepared) in [false, true].into_iter().zip(&usual) {
            for child in &prepared.children {
                match (child.id.kind, view.app) {
                    (Kind::Secret, _) if credentials == goes => {
                        add(&mut observed, child, json!({"metadata": {"uid": "secret"}}));
                    }
                    (Kind::StatefulSet, _) if server == goes => {
                        add(&mut observed, child, ready_server());
                    }
                    (Kind::PersistentVolumeClaim, _) if !goes => {
                        add(&mut observed, child, claim_of(claim));
                    }
                    (Kind::Deployment, Some(app)) => add(&mut observed, child, deployment(app)),
                    _ => {}
                }
            }
        }
        for (stop, job) in &view.jobs {
            let id = ChildId::new(Kind::Job, JOBS[usize::from(*stop)].clone());
            let live = Live::parse(Kind::Job, serde_json::from_value(run(&id, *job)).unwrap());
            observed.children.insert(id, live.unwrap());
        }
        if view.pods {
            let pod = json!({"metadata": {"name": "app", "labels": {names::COMPONENT_LABEL: "app"}},
                "status": {"phase": "Running"}});
            observed.pods.push(serde_json::from_value(pod).unwrap());
        }
        let now: Timestamp = NOW.parse().unwrap();
        let mut inputs = Inputs {
            last_backup: LastBackup::read(&service, &observed, now),
            ..offline
        };
        if let (Some(last), Some(flaw)) = (&mut inputs.last_backup, self.flaw) {
            let any = view.known.is_some_and(|(_, proved)| proved);
            match flaw {
                Flaw::BelievesAnyProof if any => last.proved = Some(PROVED.into()),
                Flaw::NeedsNoProof => last.proved = Some(PROVED.into()),
                Flaw::NeverRetries => last.retry = false,
                _ => {}
            }
        }
        let prepared = self.wanted(view.resource, &service, &inputs, &usual);
        let (mut facts, _) = plan::look(&service, &prepared, &observed, &inputs);
        self.mislead(&mut facts);
        let mut plan = plan(&plan::wanted(&prepared), &facts);
        if self.flaw == Some(Flaw::NeverLetsGo) && plan.finalizer == Finalizer::Remove {
            plan.finalizer = Finalizer::Unchanged;
        }
        let mut writes = match plan.finalizer {
            Finalizer::Unchanged => vec![],
            Finalizer::Add => vec![Write::Hold(true)],
            Finalizer::Remove => vec![Write::Hold(false)],
        };
        writes.extend(
            plan.actions
                .iter()
                .filter_map(|action| write(view, action, &prepared)),
        );
        (writes, self.remembers(view, &inputs))
    }

    fn usual(&self, resource: Resource, service: &Validated, offline: &Inputs) -> [Prepared; 2] {
        let mut known = self.usual.lock().unwrap();
        let usual = known.entry(resource).or_insert_with(|| {
            [Kept::All, Kept::Nothing].map(|kept| {
                let service = Validated {
                    kept,
                    ..service.clone()
                };
                tracked(build(&service, offline).prepare().unwrap())
            })
        });
        usual.clone()
    }

    fn wanted(
        &self,
        resource: Resource,
        service: &Validated,
        inputs: &Inputs,
        usual: &[Prepared; 2],
    ) -> Prepared {
        let Some(last) = &inputs.last_backup else {
            return usual[usize::from(service.kept == Kept::Nothing)].clone();
        };
        let mut known = self.last.lock().unwrap();
        let wanted = known.entry((resource, last.clone()));
        let wanted = wanted.or_insert_with(|| tracked(build(service, inputs).prepare().unwrap()));
        wanted.clone()
    }

    fn mislead(&self, facts: &mut Facts) {
        let Some(leaving) = &mut facts.leaving else {
            return;
        };
        match self.flaw {
            Some(Flaw::BacksUpWhileServing) => leaving.serving = false,
            Some(Flaw::LetsGoEarly) => leaving.data_is_settled = true,
            _ => {}
        }
    }

    /// What the status knows after a pass: the proof that the Job of the present stop has left.
    fn remembers(&self, view: &View, inputs: &Inputs) -> Known {
        if inputs.last_backup.is_none() {
            return view.known;
        }
        let stop = view.app.map_or(0, |app| app.generation);
        let job = view.jobs.get(&stop);
        let known = view.known.is_some_and(|(of, proved)| of == stop && proved);
        Some((stop, known || job.is_some_and(|job| job.end == Some(true))))
    }
}

fn write(view: &View, action: &Action, prepared: &Prepared) -> Option<Write> {
    let stop = |id: &ChildId| {
        let stop = JOBS.iter().position(|name| *name == id.name)?;
        u8::try_from(stop).ok()
    };
    let id = action.child();
    Some(match (action, id.kind) {
        (Action::Scale(_, replicas), _) => Write::Scale(u8::try_from(*replicas).unwrap()),
        // A migration, of a pass that has not read the deletion yet.
        (Action::Create(_), Kind::Job) => Write::Start(stop(id)?),
        (Action::Delete(_), Kind::Job) => Write::Remove(stop(id)?),
        (Action::Update(_), Kind::Secret | Kind::StatefulSet) => {
            let child = prepared.children.iter().find(|child| child.id == *id);
            let body = &child.unwrap().body;
            let when = "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
            match body.pointer(when) {
                Some(when) => Write::Own(Holder::Server, when == "Delete"),
                None => {
                    let owned = !body["metadata"]["ownerReferences"].is_null();
                    Write::Own(Holder::Credentials, owned)
                }
            }
        }
        // A Deployment that was deleted comes back only while nothing is being deleted.
        (Action::Create(_) | Action::Update(_) | Action::Release(_), Kind::Deployment) => {
            assert!(!view.resource.deleting, "{action}");
            return None;
        }
        _ => panic!("{action} in {view:?}"),
    })
}

/// Names of the Jobs by the stop after which they are made.
static JOBS: LazyLock<Vec<String>> = LazyLock::new(|| (0..16).map(job_name).collect());

fn job_name(stop: Stop) -> String {
    let view = View {
        resource: Resource {
            policy: Policy::Snapshot,
            paused: false,
            deleting: true,
            held: true,
        },
        known: None,
        jobs: BTreeMap::new(),
        app: None,
        pods: false,
        owned: [false; 3],
    };
    let service = validate(&resource(&view), &images()).unwrap();
    let mut observed = Observed::default();
    if stop != 0 {
        let id = ChildId::new(Kind::Deployment, names::app(INSTANCE));
        let app = App {
            replicas: 0,
            generation: stop,
        };
        let mut app = deployment(app);
        app["metadata"]["name"] = INSTANCE.into();
        let live = Live::parse(Kind::Deployment, serde_json::from_value(app).unwrap());
        observed.children.insert(id, live.unwrap());
    }
    let last = LastBackup::read(&service, &observed, NOW.parse().unwrap());
    last.unwrap().job
}

fn images() -> DefaultImages {
    DefaultImages {
        app: "hello-app:1".into(),
        postgres: "postgres:18".into(),
    }
}

/// Those of the children that the world has.
fn tracked(mut prepared: Prepared) -> Prepared {
    prepared.children.retain(|child| match child.id.kind {
        Kind::Secret => child.id.name == names::credentials(INSTANCE),
        Kind::StatefulSet | Kind::Deployment => true,
        Kind::PersistentVolumeClaim => child.gate == Gate::IfPresent,
        Kind::Job => true,
        _ => false,
    });
    prepared
}

fn resource(view: &View) -> HelloService {
    let Resource {
        policy,
        paused,
        deleting,
        held,
    } = view.resource;
    let ordered = view.known.map(|(stop, proved)| {
        let job = &JOBS[usize::from(stop)];
        json!({"job": job, "file": proved.then_some(PROVED)})
    });
    let finalizers = if held {
        json!([names::SNAPSHOT_FINALIZER])
    } else {
        json!([])
    };
    serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": INSTANCE, "namespace": "ns", "uid": "1", "generation": 1, "finalizers": finalizers,
            "deletionTimestamp": deleting.then_some(SINCE)},
        "spec": {"image": "hello-app:1", "replicas": 1, "deletionPolicy": format!("{policy:?}"), "paused": paused,
            "backup": {"schedule": "@daily"}},
        "status": {"image": "hello-app:1", "backup": {"ordered": ordered},
            "database": {"kind": "managed", "data": {"uid": "claim"}}},
    }))
    .unwrap()
}

/// A child that is there as the operator has written it, with this change.
fn live(child: &Desired, change: Value) -> Live {
    let mut body = child.body.clone();
    for (part, fields) in change.as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            body[part][field] = value.clone();
        }
    }
    Live::parse(child.id.kind, serde_json::from_value(body).unwrap()).unwrap()
}

fn deployment(app: App) -> Value {
    json!({"metadata": {"uid": "app", "generation": app.generation,
        "managedFields": [{"manager": names::SCALE_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
        "spec": {"replicas": app.replicas}})
}

fn ready_server() -> Value {
    json!({"metadata": {"uid": "server", "generation": 1},
        "status": {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "currentRevision": "r", "updateRevision": "r"}})
}

/// The claim, which its server owns or not.
fn claim_of(owned: bool) -> Value {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": names::database(INSTANCE),
        "uid": "server", "controller": true}]);
    json!({"metadata": {"uid": "claim", "ownerReferences": owned.then_some(owner)}})
}

fn run(id: &ChildId, job: Job) -> Value {
    let owner = json!([{"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService", "name": INSTANCE, "uid": "1",
        "controller": true}]);
    let condition =
        |type_: &str| json!([{"type": type_, "status": "True", "lastTransitionTime": ENDED}]);
    let conditions = match job.end {
        None => Value::Null,
        Some(true) => condition("Complete"),
        Some(false) => condition("Failed"),
    };
    json!({"metadata": {"name": id.name, "uid": id.name, "ownerReferences": owner,
            "deletionTimestamp": job.deleting.then_some(ENDED),
            "labels": {names::COMPONENT_LABEL: "backup", names::INSTANCE_LABEL: INSTANCE}},
        "status": {"conditions": conditions}})
}
