//! What the operator does: its own `validate`, `build`, `decide` and `remember`, over the objects as the API server would show
//! them.

use std::{collections::HashMap, sync::Mutex};

use hello_crds::UpgradePhase;
use hello_operator::{
    object::{child::Desired, kind::Kind, names},
    service::{
        children::{Prepared, build},
        dereference::{
            inputs::{Inputs, last_backup::LastBackup, server::LiveServer, volumes::Volumes},
            observed::Observed,
        },
        plan::{
            self,
            action::Action,
            bootstrap::Bootstrap,
            facts::Facts,
            phase::{Found, remember},
        },
        validate::{Validated, validate},
    },
};
use serde_json::{Value, json};

use crate::{
    live::INSTANCE,
    upgrades::{
        Flaw,
        shown::{
            NOW, add, app, backup, claim_of, consent, image, images, job_of, name, now, put,
            resource_of, restore_of, server_pod, stopped, tracked, uid,
        },
        state::{App, Budget, Claim, Job, Pass, Resource, Restore, Server, State, Version, Write},
    },
};

/// The writes of a pass, and the status after it.
pub type Decision = (Vec<Write>, String);

/// What a decision depends on.
type View = (
    Resource,
    u8,
    App,
    bool,
    Option<Server>,
    Vec<(Version, Claim)>,
    Vec<(String, Job)>,
    Option<Restore>,
    Option<Version>,
);

/// The operator. It caches its decisions, and keeps the bodies of the server that it has written.
pub struct Operator {
    pub flaw: Option<Flaw>,
    decisions: Mutex<HashMap<View, Decision>>,
    bodies: Mutex<Vec<Value>>,
}

/// The first version serves.
pub fn initial(left: Budget) -> State {
    let claim = Claim {
        owned: true,
        data: 0,
        complete: true,
        note: None,
        served: true,
    };
    let status = json!({"kind": "managed", "data": {"uid": uid(Version::Old)}, "image": image(Version::Old)});
    State {
        left,
        resource: Resource {
            wish: Version::New,
            consent: false,
            status: json!({"database": status}).to_string(),
        },
        clock: 0,
        app: App {
            replicas: 1,
            generation: 1,
        },
        pods: true,
        server: Some(Server {
            body: 0,
            version: Version::Old,
            notes: false,
            retains: false,
            seen: true,
        }),
        server_pod: Some(Version::Old),
        claims: [(Version::Old, claim)].into(),
        jobs: [].into(),
        restore: None,
        acknowledged: 0,
        forgiven: None,
        wiped: false,
        pass: Pass::Idle,
        breach: None,
    }
}

impl Operator {
    pub fn new(flaw: Option<Flaw>) -> Self {
        let first = Self {
            flaw,
            decisions: Mutex::default(),
            bodies: Mutex::default(),
        };
        // The server as the first pass makes it, before another version is wanted.
        let mut state = initial(Budget::default());
        (state.resource.wish, state.server) = (Version::Old, None);
        let service = first.service(&state, &state.resource);
        let prepared = build(&service, &inputs(&service, &Observed::default())).prepare();
        let prepared = prepared.unwrap();
        let mut children = prepared.children.iter();
        let server = children.find(|child| child.id.kind == Kind::StatefulSet);
        first
            .bodies
            .lock()
            .unwrap()
            .push(server.unwrap().body.clone());
        first
    }

    pub fn decide(&self, state: &State, resource: &Resource) -> Decision {
        let view: View = (
            resource.clone(),
            state.clock,
            state.app,
            state.pods,
            state.server,
            state.claims.clone().into_iter().collect(),
            state.jobs.clone().into_iter().collect(),
            state.restore.clone(),
            state.server_pod,
        );
        if let Some(known) = self.decisions.lock().unwrap().get(&view) {
            return known.clone();
        }
        let decision = self.look(state, resource);
        self.decisions
            .lock()
            .unwrap()
            .insert(view, decision.clone());
        decision
    }

    fn service(&self, state: &State, resource: &Resource) -> Validated {
        let mut service = resource_of(state, resource);
        if self.flaw == Some(Flaw::NeedsNoConsent) {
            let accepted = consent(resource);
            let annotations = service.metadata.annotations.get_or_insert_default();
            annotations.extend(accepted.map(|value| (names::ACCEPT_DATA_ANNOTATION.into(), value)));
        }
        validate(&service, &images()).unwrap()
    }

    fn look(&self, state: &State, resource: &Resource) -> Decision {
        let mut service = self.service(state, resource);
        let mut observed = self.observed(state);
        // How far it was changed names the backup; the rest of it depends on that.
        put(&mut observed, Kind::Deployment, stopped(state.app));
        let mut inputs = inputs(&service, &observed);
        if let (Some(last), Some(Flaw::NeverRetries)) = (&mut inputs.upgrade_backup, self.flaw) {
            last.retry = false;
        }
        let prepared = tracked(build(&service, &inputs).prepare().unwrap());
        let deployment = prepared
            .children
            .iter()
            .find(|child| child.id.kind == Kind::Deployment);
        let deployment = deployment.unwrap();
        add(&mut observed, deployment, app(state.app));
        let (mut facts, readiness) = plan::look(&service, &prepared, &observed, &inputs);
        self.mislead(&mut facts);
        let plan = plan::planner::plan(&plan::wanted(&prepared), &facts);
        let found = Found {
            facts: &facts,
            live: &observed.children,
            ready: readiness.database.is_ready(),
            migration: plan.migration,
            now: now(state),
        };
        let known = remember(&service, &found);
        let ordered = facts.ordered().map(|order| {
            let job = state.jobs.get(&order.job.name);
            let proved = job.filter(|job| job.end == Some(true));
            let before = service.deletion.ordered.take();
            let before = before.filter(|known| known.job == order.job.name);
            let before = before.and_then(|known| known.file);
            json!({"job": order.job.name, "file": before.or(proved.map(|job| backup(job.data)))})
        });
        let before: Value = serde_json::from_str(&resource.status).unwrap();
        let ordered = ordered.unwrap_or(before["backup"]["ordered"].clone());
        let status = json!({"backup": {"ordered": ordered}, "database": {"kind": "managed", "data": known.data,
            "dataVersion": known.serving.0, "image": known.image, "upgrade": known.upgrade,
            "former": known.former}});
        let writes = plan
            .actions
            .iter()
            .filter_map(|action| self.write(action, state, &prepared));
        (writes.collect(), status.to_string())
    }

    fn observed(&self, state: &State) -> Observed {
        let mut observed = Observed::default();
        let mut put = |kind: Kind, object: Value| put(&mut observed, kind, object);
        if let Some(server) = state.server {
            let mut body = self.bodies.lock().unwrap()[server.body].clone();
            let seen = if server.seen { 2 } else { 1 };
            body["metadata"]["uid"] = format!("server-{:?}", server.version).into();
            body["metadata"]["generation"] = 2.into();
            let runs = i32::from(state.server_pod == Some(server.version));
            body["status"] = json!({"observedGeneration": seen, "replicas": 1, "updatedReplicas": runs,
                "readyReplicas": runs, "currentRevision": "r", "updateRevision": "r"});
            put(Kind::StatefulSet, body);
        }
        for (version, claim) in &state.claims {
            put(Kind::PersistentVolumeClaim, claim_of(*version, *claim));
        }
        for (name, job) in &state.jobs {
            put(Kind::Job, job_of(name, *job));
        }
        if let Some(restore) = &state.restore {
            put(Kind::HelloRestore, restore_of(restore));
        }
        let restores = state.restore.as_ref().is_some_and(|restore| restore.works);
        for (part, runs) in [("app", state.pods), ("restore", restores)] {
            let pod = json!({"metadata": {"name": part, "labels": {names::COMPONENT_LABEL: part}},
                "status": {"phase": "Running"}});
            let pod = serde_json::from_value(pod).unwrap();
            observed.pods.extend(runs.then_some(pod));
        }
        let server = state.server_pod.map(server_pod);
        observed.pods.extend(server);
        observed
    }

    fn mislead(&self, facts: &mut Facts) {
        match self.flaw {
            Some(Flaw::StartsEarly) if facts.bootstrap == Bootstrap::Due => {
                facts.bootstrap = Bootstrap::Done;
            }
            Some(Flaw::OverlooksTheRestore) => facts.restoring = false,
            Some(Flaw::TrustsAnyServer) => (facts.other_server, facts.incomplete) = (false, false),
            _ => {}
        }
        let Some(upgrade) = &mut facts.upgrade else {
            return;
        };
        match self.flaw {
            Some(Flaw::BacksUpWhileServing) => upgrade.serving = false,
            Some(Flaw::BelievesAnyBackup) => {
                upgrade.same_state = true;
                if let Some(order) = &mut upgrade.backup {
                    order.proved |= upgrade.phase == UpgradePhase::Switching;
                }
            }
            Some(Flaw::TakesTheClaimAlong) => upgrade.detached = true,
            Some(Flaw::OverlooksTheRestore) => upgrade.restore_rests = true,
            _ => {}
        }
    }

    fn write(&self, action: &Action, state: &State, prepared: &Prepared) -> Option<Write> {
        let id = action.child();
        let child = prepared.children.iter().find(|child| child.id == *id);
        Some(match (action, id.kind) {
            (Action::Scale(_, replicas), _) => Write::Scale(u8::try_from(*replicas).unwrap()),
            (Action::Create(_) | Action::Update(_), Kind::StatefulSet) => {
                Write::Server(self.server(child?))
            }
            (Action::Delete(_), Kind::StatefulSet) => Write::StopServer(state.server?.version),
            (Action::Update(_), Kind::PersistentVolumeClaim) => {
                let is_new = id.name == names::data_claim(INSTANCE, &name(Version::New));
                Write::Note(if is_new { Version::New } else { Version::Old })
            }
            (Action::Create(_), Kind::Job) => Write::Start(id.name.clone()),
            (Action::Delete(_), Kind::Job) => Write::Remove(id.name.clone()),
            (Action::Create(_), Kind::HelloRestore) => {
                let source = child?.body["spec"]["source"]["backup"].as_str()?;
                Write::Restore(
                    id.name.clone(),
                    source.strip_prefix("hello-")?.parse().ok()?,
                )
            }
            (Action::Delete(_), Kind::HelloRestore) => Write::Discard(id.name.clone()),
            // The number of pods is all that matters of it.
            (Action::Release(_), Kind::Deployment) => return None,
            _ => panic!("{action}"),
        })
    }

    fn server(&self, child: &Desired) -> Server {
        let mut bodies = self.bodies.lock().unwrap();
        let known = bodies.iter().position(|body| *body == child.body);
        let body = known.unwrap_or_else(|| {
            bodies.push(child.body.clone());
            bodies.len() - 1
        });
        let spec = &child.body["spec"];
        let template = &spec["volumeClaimTemplates"][0]["metadata"];
        let when = &spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
        Server {
            body,
            version: match template["name"] == "data" {
                true => Version::Old,
                false => Version::New,
            },
            notes: template["annotations"][names::DATA_ANNOTATION] == names::INCOMPLETE,
            retains: when == "Retain",
            seen: false,
        }
    }
}

fn inputs(service: &Validated, observed: &Observed) -> Inputs {
    Inputs {
        database_identity: Some("claim".into()),
        upgrade_backup: LastBackup::before_upgrade(service, observed, NOW.parse().unwrap()),
        server: LiveServer::read(service, &observed.children),
        volumes: Volumes {
            data: None,
            ..Volumes::read(service, &observed.children)
        },
        ..Inputs::offline()
    }
}
