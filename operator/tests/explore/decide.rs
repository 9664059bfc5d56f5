//! What the operator does in a cluster of the model: its own `validate`, `build` and `decide`,
//! over the objects as the API server would show them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use hello_crds::BootstrapPhase;
use hello_operator::{
    object::{
        child::{ChildId, Desired},
        data_version::DataVersion,
        kind::{Gate, Kind},
        live::Live,
        names::{self, Component},
        owner::controller,
        pod::SeenPod,
    },
    service::{
        children::{Prepared, build},
        dereference::{
            Read,
            inputs::{Inputs, living_uid},
            observed::Observed,
        },
        plan::{
            self,
            bootstrap::{self, Bootstrap},
            data,
            planner::{Migration, Plan, plan},
            presence::Presence,
            write::{Change, Write as Planned, writes},
        },
        validate::{DefaultImages, Kept, KnownData, Validated, validate},
    },
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    cluster::{Known, State, Verb, Write},
    flaws::{Flaw, misact, mislead},
    live::{Bodies, INSTANCE, fixed_id, observe, service},
    objects::{Body, Name, Object, Resource},
};

/// What the operator would do now.
#[derive(Debug)]
pub struct Decision {
    pub writes: Vec<Write>,
    /// Wanted objects that match the spec.
    pub wanted: BTreeMap<Name, Body>,
    /// A foreign object has a wanted name.
    pub conflicts: bool,
    /// What the status remembers from now on.
    pub remembers: Known,
}

/// Everything that a decision depends on.
type View = (Resource, Known, BTreeMap<Name, Object>, bool, bool);

/// What the objects are built from: the resource with what its status remembers, and UIDs of the claim and of the schedule.
type Sources = (Resource, Known, [Option<String>; 2]);

/// The operator. It caches its decisions, which depend only on what it sees.
pub struct Operator {
    pub flaw: Option<Flaw>,
    /// The objects of this world: fewer make it smaller.
    names: &'static [Name],
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    decisions: HashMap<View, Arc<Decision>>,
    builds: HashMap<Sources, Arc<Built>>,
    bodies: Bodies,
    lives: HashMap<(Name, Object), Live>,
}

struct Built {
    service: Validated,
    prepared: Prepared,
    inputs: Inputs,
}

impl Operator {
    pub fn new(names: &'static [Name], flaw: Option<Flaw>) -> Self {
        Self {
            flaw,
            names,
            memory: Mutex::default(),
        }
    }

    /// What a pass that has read `resource` decides when it reads the rest now.
    pub fn decide(&self, resource: Resource, state: &State) -> Arc<Decision> {
        self.decide_seeing(resource, state, state.migrations() > 0)
    }

    /// The same of a pass that has seen whether a pod of a migration runs at another moment.
    pub fn decide_seeing(
        &self,
        resource: Resource,
        state: &State,
        migrating: bool,
    ) -> Arc<Decision> {
        let view = (
            resource,
            state.known(),
            state.visible(),
            migrating,
            state.routes_served,
        );
        let mut memory = self.memory.lock().unwrap();
        if let Some(decision) = memory.decisions.get(&view) {
            return Arc::clone(decision);
        }
        let decision = Arc::new(self.look(resource, state, migrating, &mut memory));
        memory.decisions.insert(view, Arc::clone(&decision));
        decision
    }

    fn look(
        &self,
        resource: Resource,
        state: &State,
        migrating: bool,
        memory: &mut Memory,
    ) -> Decision {
        let observed = observe(state, migrating, &memory.bodies, &mut memory.lives);
        let claim = ChildId::new(
            Kind::PersistentVolumeClaim,
            names::data_claim(INSTANCE, &DataVersion::default()),
        );
        let identity = living_uid(observed.children.get(&claim));
        let schedule = observed.children.get(&fixed_id(Name::BackupJob));
        let own = |live: &&Live| {
            let owner = controller(live.object());
            owner.is_some_and(|owner| owner.uid == resource.uid.to_string())
        };
        let schedule = living_uid(schedule.filter(own));
        let key = (resource, state.known(), [identity, schedule]);
        let built = match memory.builds.get(&key) {
            Some(built) => Arc::clone(built),
            None => {
                let built = Arc::new(self.build(&key, &mut memory.bodies));
                memory.builds.insert(key, Arc::clone(&built));
                built
            }
        };
        let live = observed.children.clone();
        let (plan, planned, (run_there, first)) = self.plan(&built, observed);
        let first = bootstrap::remember(&built.service, &live, first);
        let migrated = plan.migration == Migration::Succeeded;
        let remembers = data::remember(&built.service, &live, migrated);
        let name = |id: &ChildId| memory.bodies.name(id);
        let children = built.prepared.children.iter();
        let wanted = children.map(|child| (name(&child.id), Bodies::body(child)));
        let writes = planned.iter().map(|write| Write {
            name: match &write.change {
                Change::Replace(..) => Name::Pod,
                change => name(change.action().child()),
            },
            verb: verb(&write.change),
            same: true,
            claim: state.database().0,
            short: state.short(),
        });
        Decision {
            writes: writes.collect(),
            conflicts: !plan.conflicts.is_empty(),
            remembers: (
                remembers.map_or(0, |data| data.uid.parse().unwrap()),
                state.run_known || run_there,
                first.map(|first| first.phase),
            ),
            wanted: wanted.collect(),
        }
    }

    fn build(&self, sources: &Sources, bodies: &mut Bodies) -> Built {
        let (resource, mut known, [identity, schedule]) = sources.clone();
        known.1 &= self.flaw != Some(Flaw::ForgetsRequests);
        if self.flaw == Some(Flaw::BootstrapsTwice) {
            known.2 = known.2.map(|_| BootstrapPhase::Restoring);
        }
        let images = DefaultImages {
            app: "unused".into(),
            postgres: "postgres:18".into(),
        };
        let mut service = validate(&service(resource, known), &images).unwrap();
        if self.flaw == Some(Flaw::ForgetsRetain) {
            service.kept = Kept::Nothing;
        }
        if self.flaw == Some(Flaw::ForgetsData) {
            service.known_data = KnownData::default();
        }
        let inputs = Inputs {
            database_identity: identity.clone(),
            backup_schedule: schedule,
            ..Inputs::offline()
        };
        let mut prepared = build(&service, &inputs).prepare().unwrap();
        let tracked = |child: &Desired| {
            let mut names = self.names.iter().filter(|name| **name != Name::Pod);
            child.id.kind == Kind::Job || names.any(|name| fixed_id(*name) == child.id)
        };
        prepared.children.retain(tracked);
        for child in &prepared.children {
            bodies.learn(child, resource, identity.as_deref());
        }
        Built {
            service,
            prepared,
            inputs,
        }
    }

    /// The operator's decision; that of a defective operator is composed of the same parts.
    fn plan(&self, built: &Built, observed: Observed) -> (Plan, Vec<Planned>, (bool, Bootstrap)) {
        let Built {
            service,
            prepared,
            inputs,
        } = built;
        let Some(flaw) = self.flaw else {
            let read = Read {
                observed,
                inputs: inputs.clone(),
            };
            let decision = plan::decide(service, prepared, read);
            let facts = &decision.facts;
            let seen = (facts.started_backup().is_some(), facts.bootstrap);
            return (decision.plan, decision.writes, seen);
        };
        let (mut facts, _) = plan::look(service, prepared, &observed, inputs);
        let mut wanted = plan::wanted(prepared);
        let rollout = wanted.iter_mut().find(|child| child.gate == Gate::Migrated);
        match (flaw, rollout) {
            (Flaw::RollsOutAtOnce, Some(app)) => app.gate = Gate::Always,
            (Flaw::DeletesWhatTheSpecDropped, _) => {
                for (id, _) in observed.children.iter() {
                    facts.present.entry(id.clone()).or_insert(Presence::Settled);
                }
            }
            (Flaw::LeansOnForeign, _) => {
                for child in &mut wanted {
                    (child.uses, child.acts_on) = (Vec::new(), Vec::new());
                }
            }
            (Flaw::BacksUpAtOnce, _) => {
                for child in wanted
                    .iter_mut()
                    .filter(|child| child.gate == Gate::Request)
                {
                    child.gate = Gate::Always;
                }
            }
            (Flaw::ReplacesAnyPod, _) => facts.stuck_pod = unready(&observed.pods),
            _ => mislead(flaw, prepared, &mut facts),
        }
        let mut plan = plan(&wanted, &facts);
        misact(flaw, &facts, &mut plan.actions);
        let writes = writes(&plan, &facts, &prepared.children);
        let seen = (facts.started_backup().is_some(), facts.bootstrap);
        (plan, writes, seen)
    }
}

/// What a change does in the model. A Deployment without a number of replicas starts with one pod.
fn verb(change: &Change) -> Verb {
    let pods = |count: i64| u8::try_from(count).unwrap();
    match change {
        Change::Create(desired) => {
            let replicas = desired.body["spec"]["replicas"].as_i64();
            Verb::Create(Bodies::body(desired), pods(replicas.unwrap_or(1)))
        }
        Change::Update(desired) => Verb::Update(Bodies::body(desired)),
        Change::Delete(_) => Verb::Delete,
        Change::Scale(_, replicas) => Verb::Scale(pods((*replicas).into())),
        Change::Release(_) => Verb::Release,
        Change::Replace(..) => Verb::ReplacePod,
        Change::Forget(_) => Verb::Forget,
    }
}

/// A server's pod that is not ready, whatever keeps it from that.
fn unready(pods: &[Pod]) -> Option<SeenPod> {
    let is_unready = |pod: &&Pod| {
        let conditions = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        Component::from_labels(pod.labels()) == Some(Component::Database)
            && !conditions
                .into_iter()
                .any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let pod = pods.iter().find(is_unready)?;
    Some(SeenPod {
        name: pod.name_any(),
        uid: pod.uid()?,
        resource_version: pod.resource_version()?,
    })
}
