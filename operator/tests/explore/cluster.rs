//! The cluster of the model: what it holds, and what one write of the operator does to it.
//!
//! Only what the operator does not decide is described here: the API server's preconditions, the
//! garbage collector and the controllers of Kubernetes.

use std::collections::BTreeMap;

use hello_crds::BootstrapPhase;
use hello_operator::service::plan::job_phase::JobPhase;

use crate::objects::{Body, ClaimOwner, Holder, Name, Object, PodState, Resource, Status};

/// One write of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    pub name: Name,
    pub verb: Verb,
    /// Whether the object is still the one that the pass saw; stands for a comparison of UIDs.
    pub same: bool,
    /// UID of the claim that the pass saw; 0: none.
    pub claim: u8,
    /// Whether the pass saw a Deployment without pods.
    pub short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Creates with this number of pods.
    Create(Body, u8),
    Update(Body),
    Delete,
    Scale(u8),
    Release,
    ReplacePod,
    Forget,
}

/// What the operator is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    Idle,
    /// It has read the resource and the Jobs, and nothing else yet. The last value is for an operator that reads the pods
    /// before the Jobs: whether a pod of a migration runs.
    Read(Resource, BTreeMap<Name, Object>, bool),
    /// It has planned; these writes are left.
    Writing(Resource, Vec<Write>),
}

impl Pass {
    /// A pass with these writes left.
    pub fn writing(resource: Resource, writes: Vec<Write>) -> Self {
        match writes.is_empty() {
            true => Self::Idle,
            false => Self::Writing(resource, writes),
        }
    }
}

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    RolledOutUnmigrated,
    DataLost,
    ForeignTouched,
    PausedWritten,
    PodsMiscounted,
    EmptyInPlace,
    ServerStopped,
    MigratedAgain,
    BackedUpAgain,
    BackedUpBeside,
    ServedEmpty,
    RestoredOver,
}

/// How often each kind of disturbance may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub edits: u8,
    pub faults: u8,
    pub deletions: u8,
    pub foreign: u8,
}

/// What the status remembers: UID of the claim with the data (0: none), whether the requested backup was made, and how far
/// the backup is that the service starts from.
pub type Known = (u8, bool, Option<BootstrapPhase>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub left: Budget,
    /// The resource, or the last one if there is none.
    pub resource: Resource,
    pub exists: bool,
    pub objects: BTreeMap<Name, Object>,
    /// Versions of migration pods whose Job is gone.
    pub strays: Vec<u8>,
    /// Whether the cluster serves the kind of [`Name::Route`].
    pub routes_served: bool,
    pub pass: Pass,
    /// UID of the newest claim.
    pub last_claim: u8,
    /// UID of the claim that the resource's status remembers; 0: none.
    pub remembered: u8,
    /// Whether the status remembers that the requested backup was started.
    pub run_known: bool,
    /// What the status knows of the backup that the service starts from.
    pub bootstrap: Option<BootstrapPhase>,
    /// Whether its data has begun to serve.
    pub brought: bool,
    /// Whether there was an application, or could have been: the schema was there before anybody asked for a backup.
    pub served: bool,
    /// Whether the policy was `Delete` at some time since all objects last matched `Retain`.
    pub deletable: bool,
    pub breach: Option<Breach>,
}

impl State {
    /// What the status remembers.
    pub fn known(&self) -> Known {
        (self.remembered, self.run_known, self.bootstrap)
    }

    /// Whether the status alone tells that the data has served.
    pub fn tells_of_service(&self) -> bool {
        match self.bootstrap {
            None => self.remembered != 0,
            Some(phase) => phase != BootstrapPhase::Restoring,
        }
    }

    pub fn get(&self, name: Name) -> Option<&Object> {
        self.objects.get(&name)
    }

    /// The objects without what an API server does not show.
    pub fn visible(&self) -> BTreeMap<Name, Object> {
        let mut objects = self.objects.clone();
        for object in objects.values_mut() {
            object.given_up = false;
            match &mut object.status {
                Status::Claim { schema, .. } => *schema = 0,
                Status::Job { running, .. } => *running = false,
                _ => {}
            }
        }
        objects
    }

    /// UID of the database's claim, and the version that it was migrated to last.
    pub fn database(&self) -> (u8, u8) {
        match self.get(Name::Claim).map(|claim| claim.status) {
            Some(Status::Claim { uid, schema, .. }) => (uid, schema),
            _ => (0, 0),
        }
    }

    /// A migration has finished.
    pub fn migrated(&mut self, version: u8) {
        if let Some(claim) = self.objects.get_mut(&Name::Claim)
            && let Status::Claim { schema, .. } = &mut claim.status
        {
            *schema = version;
        }
    }

    pub fn server_ready(&self) -> bool {
        self.get(Name::Server)
            .is_some_and(|server| server.status == Status::Server { ready: true })
    }

    /// Whether the Deployment is to have no pods.
    pub fn short(&self) -> bool {
        let app = self.get(Name::App).map(|app| app.status);
        matches!(app, Some(Status::App { replicas: 0, .. }))
    }

    /// Number of migrations that run.
    pub fn migrations(&self) -> usize {
        let jobs = self.objects.values().filter(|object| object.running());
        jobs.count() + self.strays.len()
    }

    /// Whether the resource has had data in another claim than this one.
    pub fn has_other_data(&self, claim: u8) -> bool {
        self.exists && self.remembered != 0 && self.remembered != claim
    }

    pub fn breach(&mut self, breach: Breach) {
        self.breach.get_or_insert(breach);
    }

    /// Whether the garbage collector deletes the object: its owner is gone.
    pub fn is_garbage(&self, object: &Object) -> bool {
        if let Status::Claim { owner, .. } = object.status {
            return owner == ClaimOwner::Gone;
        }
        object.body.owner != 0 && !(self.exists && object.body.owner == self.resource.uid)
    }

    /// Removes an object; its pods and its claims are removed later.
    pub fn remove(&mut self, name: Name) {
        let Some(object) = self.objects.remove(&name) else {
            return;
        };
        if let (Name::Job(version, ..), true) = (name, object.running()) {
            self.strays.push(version);
            self.strays.sort_unstable();
        }
        if name == Name::Server {
            self.objects.remove(&Name::Pod);
        }
        if name == Name::Server
            && let Some(claim) = self.objects.get_mut(&Name::Claim)
            && let Status::Claim { owner, .. } = &mut claim.status
            && *owner == ClaimOwner::Living
        {
            *owner = ClaimOwner::Gone;
        }
        self.changed(name);
    }

    /// An object is not the one any more that a pass has seen.
    pub fn changed(&mut self, name: Name) {
        if let Pass::Writing(_, writes) = &mut self.pass {
            for write in writes.iter_mut().filter(|write| write.name == name) {
                write.same = false;
            }
        }
    }

    /// The garbage collector's step on one object. A claim that a server uses is only marked for deletion.
    pub fn collect(&mut self, name: Name) {
        let Some(object) = self.objects.get_mut(&name) else {
            return;
        };
        if name.is_data() && name != Name::Server && !object.given_up {
            self.breach(Breach::DataLost);
        } else if name == Name::Claim && !object.deleting {
            object.deleting = true;
            return;
        }
        self.remove(name);
    }

    /// The API server's side of one write; `false` when it is refused, which ends the pass.
    /// `by_uid`: a write is valid only for the very object that it names; `false` is a flaw.
    pub fn write(&mut self, resource: Resource, write: Write, by_uid: bool) -> bool {
        if resource.spec.paused {
            self.breach(Breach::PausedWritten);
        }
        let refused = match (write.verb, self.get(write.name)) {
            // Their fields differ from ours, and a creation is not forced.
            (Verb::Create(..), there) => there.is_some(),
            // An object that is gone already is no failure.
            (Verb::Delete | Verb::ReplacePod, None) => return true,
            (Verb::Update(_) | Verb::Scale(_) | Verb::Release | Verb::Forget, None) => true,
            (_, Some(_)) => by_uid && !write.same,
        };
        if refused {
            return false;
        }
        if self.get(write.name).is_some_and(Object::is_foreign) {
            self.breach(Breach::ForeignTouched);
        }
        match write.verb {
            Verb::Create(body, pods) => {
                self.check_repetition(resource, write.name);
                self.check_backup(write.name);
                self.check_bootstrap(resource, write.name);
                self.created(resource, write.name, body, pods);
            }
            Verb::Update(body) => self.updated(write.name, body),
            Verb::Delete => self.deleted(write.name),
            Verb::Scale(replicas) => {
                if resource.spec.autoscaled && !write.short {
                    self.breach(Breach::PodsMiscounted);
                }
                self.count(write.name, Some(replicas), Holder::Scale);
            }
            Verb::Release => self.count(write.name, None, Holder::None),
            Verb::ReplacePod => self.replaced(),
            Verb::Forget => self.record(write.name, false),
        }
        self.check_rollout(resource, write);
        true
    }

    /// Sets the field manager of the number of pods, and the number if there is one.
    pub fn count(&mut self, name: Name, number: Option<u8>, by: Holder) {
        if let Some(app) = self.objects.get_mut(&name)
            && let Status::App {
                replicas, holder, ..
            } = &mut app.status
        {
            *replicas = number.unwrap_or(*replicas);
            *holder = by;
        }
    }

    /// Sets whether the name of the last migration is on the object.
    fn record(&mut self, name: Name, now: bool) {
        if let Some(app) = self.objects.get_mut(&name)
            && let Status::App { recorded, .. } = &mut app.status
        {
            *recorded = now;
        }
    }

    /// A server that runs, or is about to, must not be stopped, nor one of the current template.
    fn replaced(&mut self) {
        let current = self.get(Name::Server).map(|server| server.body.hash);
        let broken = |pod: &Object| pod.status == Status::Pod(PodState::Broken);
        if self
            .get(Name::Pod)
            .is_some_and(|pod| !broken(pod) || Some(pod.body.hash) == current)
        {
            self.breach(Breach::ServerStopped);
        }
        self.remove(Name::Pod);
    }

    fn created(&mut self, resource: Resource, name: Name, body: Body, pods: u8) {
        if let Name::Job(_, claim, _) = name
            && self.has_other_data(claim)
        {
            self.breach(Breach::EmptyInPlace);
        }
        let status = match name {
            Name::Server => Status::Server { ready: false },
            Name::Job(..) => Status::Job {
                phase: JobPhase::Active,
                running: false,
            },
            Name::Run => Status::Run { ended: false },
            Name::Restore => Status::Restore { swapped: false },
            Name::App => Status::App {
                replicas: pods,
                holder: Holder::Main,
                recorded: true,
            },
            _ => Status::Plain,
        };
        let mut object = Object::new(body, status);
        object.given_up = !(self.exists && self.resource.uid == resource.uid);
        self.objects.insert(name, object);
        if let Pass::Writing(_, writes) = &mut self.pass {
            for write in writes.iter_mut().filter(|write| write.name == name) {
                write.same = true;
            }
        }
    }

    fn updated(&mut self, name: Name, body: Body) {
        if let Some(Status::App { holder, .. }) = self.get(name).map(|app| app.status)
            && holder == Holder::Main
        {
            self.breach(Breach::PodsMiscounted);
        }
        self.record(name, true);
        if let Some(object) = self.objects.get_mut(&name) {
            object.drifted = false;
            if name != Name::Claim {
                object.body = body;
            }
            if let Status::Server { ready } = &mut object.status {
                *ready = false;
            }
        }
    }

    /// A Job is deleted in the foreground: it stays until its pods are gone.
    fn deleted(&mut self, name: Name) {
        if name.is_data() {
            self.breach(Breach::DataLost);
        }
        match self.objects.get_mut(&name) {
            // It leaves nothing that it has staged.
            Some(object) if name.is_job() || name == Name::Restore => object.deleting = true,
            _ => self.remove(name),
        }
    }
}
