//! The surroundings of the operator: everything that can happen next.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use hello_operator::service::plan::job_phase::JobPhase;
use stateright::{Model, Property};

use crate::{
    cluster::{Pass, State},
    decide::Operator,
    flaws::Flaw,
    objects::{Name, Object, PodState, Resource, Spec, Status},
    promises::promises,
    scope::Scope,
    steps::SCALED,
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    // The operator.
    Read,
    Plan,
    Write,
    /// The status is written.
    Report,
    // Kubernetes.
    MakeClaim,
    OwnClaim,
    StartServer,
    /// The pod of a Job starts.
    StartJob(Name),
    EndJob(Name, JobPhase),
    /// The requested backup ends.
    EndRun,
    /// The restored data begins to serve.
    Swap,
    /// The pod of a Job that is being deleted stops where it is.
    StopJob(Name),
    /// A pod whose Job is gone stops, with its work finished or not.
    EndStray(u8, bool),
    Vanish(Name),
    Collect(Name),
    MakePod,
    /// A pod becomes ready, or it turns out that it cannot.
    StartPod,
    /// The controller of the StatefulSet replaces a pod that is ready.
    RollPod,
    // Users and faults.
    Crash,
    Edit(Edit),
    DeleteResource,
    RecreateResource,
    Delete(Name),
    DeleteJobInForeground(Name),
    Change(Name),
    CrashServer,
    /// The status is lost.
    Wipe,
    Scale(u8),
    ServeRoutes(bool),
    CreateForeign(Name),
    DeleteForeign(Name),
}

/// An edit of the spec; a second one reverts the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edit {
    Version,
    Policy,
    Pause,
    Autoscaling,
    Backup,
    Request,
    Route,
    Setting,
    /// Whether the service starts from a backup.
    Bootstrap,
    /// Which of two.
    Source,
}

impl Edit {
    pub fn apply(self, spec: &mut Spec) {
        match self {
            Self::Version => spec.version = 3 - spec.version,
            Self::Policy => spec.retain = !spec.retain,
            Self::Pause => spec.paused = !spec.paused,
            Self::Autoscaling => spec.autoscaled = !spec.autoscaled,
            Self::Backup => spec.backup = !spec.backup,
            Self::Request => spec.requested = !spec.requested,
            Self::Route => spec.route = !spec.route,
            Self::Setting => spec.broken = !spec.broken,
            Self::Bootstrap => spec.bootstrap = u8::from(spec.bootstrap == 0),
            Self::Source if spec.bootstrap != 0 => spec.bootstrap = 3 - spec.bootstrap,
            Self::Source => {}
        }
    }
}

pub struct World {
    pub scope: Scope,
    pub operator: Operator,
    /// The only promise to check, instead of all.
    pub only: Option<&'static str>,
    /// States without further disturbance, and whether every path from them ends well; `None` while
    /// that is computed.
    pub calm: Mutex<HashMap<State, Option<bool>>>,
}

impl World {
    pub fn new(scope: Scope, flaw: Option<Flaw>) -> Self {
        Self {
            scope,
            operator: Operator::new(scope.objects, flaw),
            only: None,
            calm: Mutex::default(),
        }
    }

    /// Number of states without further disturbance that were followed to their ends.
    pub fn calm_states(&self) -> usize {
        self.calm.lock().unwrap().len()
    }

    fn kubernetes(&self, state: &State, steps: &mut Vec<Step>) {
        let claim = state.get(Name::Claim);
        if let Some(server) = state.get(Name::Server).filter(|server| !server.deleting) {
            match claim {
                None => steps.push(Step::MakeClaim),
                Some(claim) => {
                    if claim.is_wrongly_owned(server) {
                        steps.push(Step::OwnClaim);
                    }
                    if !claim.deleting {
                        self.server(state, server, steps);
                    }
                }
            }
        }
        for (name, object) in &state.objects {
            if let Status::Job { running: true, .. } = object.status {
                if state.server_ready() {
                    steps.push(Step::EndJob(*name, JobPhase::Succeeded));
                }
                if state.left.faults > 0 {
                    steps.push(Step::EndJob(*name, JobPhase::Failed));
                    steps.push(Step::EndJob(*name, JobPhase::Interrupted));
                }
                if object.deleting {
                    steps.push(Step::StopJob(*name));
                }
            } else if object.deleting && !(*name == Name::Claim && state.server_ready()) {
                steps.push(Step::Vanish(*name));
            }
            let waits = Status::Job {
                phase: JobPhase::Active,
                running: false,
            };
            if object.status == (Status::Run { ended: false }) {
                steps.push(Step::EndRun);
            }
            if object.status == waits && !object.deleting {
                steps.push(Step::StartJob(*name));
            }
            let waits = object.status == (Status::Restore { swapped: false });
            if waits && !object.body.broken && state.server_ready() {
                steps.push(Step::Swap);
            }
            if state.is_garbage(object) && !object.deleting {
                steps.push(Step::Collect(*name));
            }
        }
        for version in &state.strays {
            steps.push(Step::EndStray(*version, false));
            if state.server_ready() {
                steps.push(Step::EndStray(*version, true));
            }
        }
    }

    /// The server becomes ready. In a world with pods, its pod has to.
    fn server(&self, state: &State, server: &Object, steps: &mut Vec<Step>) {
        let waits = server.status == (Status::Server { ready: false });
        if !self.scope.objects.contains(&Name::Pod) {
            steps.extend(waits.then_some(Step::StartServer));
            return;
        }
        let Some(pod) = state.get(Name::Pod) else {
            steps.push(Step::MakePod);
            return;
        };
        match pod.status {
            Status::Pod(PodState::Starting | PodState::Recovering) => steps.push(Step::StartPod),
            Status::Pod(PodState::Ready) if pod.body.hash != server.body.hash => {
                steps.push(Step::RollPod);
            }
            Status::Pod(PodState::Ready) if waits => steps.push(Step::StartServer),
            _ => {}
        }
    }

    fn people(&self, state: &State, steps: &mut Vec<Step>) {
        let left = state.left;
        if state.exists && left.edits > 0 {
            steps.extend(self.scope.edits.iter().map(|edit| Step::Edit(*edit)));
        }
        if left.deletions > 0 {
            steps.push(match state.exists {
                true => Step::DeleteResource,
                false => Step::RecreateResource,
            });
        }
        if left.foreign > 0 {
            self.conflict(state, steps);
        }
        if left.faults == 0 {
            return;
        }
        // Of the Deployment and the status, one tells that the data has served.
        let told = state.get(Name::App).is_some() || !state.served;
        if state.bootstrap.is_some() && left.faults == 1 && told {
            steps.push(Step::Wipe);
        }
        if state.pass != Pass::Idle {
            steps.push(Step::Crash);
        }
        let ready = Status::Pod(PodState::Ready);
        if state.get(Name::Pod).is_some_and(|pod| pod.status == ready) {
            steps.push(Step::CrashServer);
        }
        for (name, object) in &state.objects {
            let ours = !object.is_foreign() && !object.deleting;
            if ours && name.is_job() {
                steps.extend([Step::Delete(*name), Step::DeleteJobInForeground(*name)]);
            } else if ours && *name == Name::Run {
                // By hand, or by the limits of its history.
                steps.push(Step::Delete(*name));
            } else if ours && self.scope.disturbed.contains(name) {
                // Until the status is written, the Deployment alone tells that. Deleting the data itself is intended.
                let tells = *name == Name::App && state.served && !state.tells_of_service();
                if *name == Name::Server || !(name.is_data() || tells) {
                    steps.push(Step::Delete(*name));
                }
                if !object.drifted {
                    steps.push(Step::Change(*name));
                }
            }
            if ours && *name == Name::App && self.scope.edits.contains(&Edit::Autoscaling) {
                steps.extend([Step::Scale(0), Step::Scale(SCALED)]);
            }
        }
    }

    fn conflict(&self, state: &State, steps: &mut Vec<Step>) {
        for name in self.scope.foreign {
            match state.get(*name) {
                Some(object) if object.is_foreign() => steps.push(Step::DeleteForeign(*name)),
                Some(_) => {}
                // The StatefulSet controller uses any claim of the name. A foreign claim that is created
                // after the decision to create the server cannot be protected.
                None if *name == Name::Claim
                    && (state.pass != Pass::Idle || state.get(Name::Server).is_some()) => {}
                None => steps.push(Step::CreateForeign(*name)),
            }
        }
        if self.scope.objects.contains(&Name::Route) {
            steps.push(Step::ServeRoutes(!state.routes_served));
        }
    }

    fn reads_pods_first(&self) -> bool {
        self.operator.flaw == Some(Flaw::ReadsPodsFirst)
    }

    fn operate(&self, next: &mut State, step: Step) -> Option<()> {
        match (step, std::mem::replace(&mut next.pass, Pass::Idle)) {
            (Step::Read, Pass::Idle) => {
                let mut jobs = next.visible();
                jobs.retain(|name, _| name.is_listed_first());
                let migrating = self.reads_pods_first() && next.migrations() > 0;
                next.pass = Pass::Read(next.resource, jobs, migrating);
            }
            (Step::Plan, Pass::Read(resource, jobs, migrating)) => {
                let mut seen = next.clone();
                let decision = if self.reads_pods_first() {
                    self.operator.decide_seeing(resource, &seen, migrating)
                } else {
                    seen.objects.retain(|name, _| !name.is_listed_first());
                    seen.objects.extend(jobs);
                    let migrating = next.migrations() > 0;
                    self.operator.decide_seeing(resource, &seen, migrating)
                };
                let writes = decision.writes.clone();
                next.pass = Pass::writing(resource, writes);
            }
            (Step::Write, Pass::Writing(resource, mut writes)) => {
                let write = writes.remove(0);
                next.pass = Pass::Writing(resource, writes);
                let by_uid = self.operator.flaw != Some(Flaw::WritesWithoutUid);
                let done = next.write(resource, write, by_uid);
                if let Pass::Writing(resource, writes) = &mut next.pass {
                    let left = if done { std::mem::take(writes) } else { vec![] };
                    next.pass = Pass::writing(*resource, left);
                }
            }
            _ => return None,
        }
        Some(())
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            left: self.scope.budget,
            resource: Resource {
                uid: 1,
                spec: self.scope.start,
            },
            exists: true,
            objects: BTreeMap::new(),
            strays: Vec::new(),
            routes_served: true,
            pass: Pass::Idle,
            last_claim: 0,
            remembered: 0,
            run_known: false,
            bootstrap: None,
            brought: false,
            served: false,
            deletable: !self.scope.start.retain,
            breach: None,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        match &state.pass {
            Pass::Idle if !state.exists => {}
            Pass::Idle => {
                let decision = self.operator.decide(state.resource, state);
                if decision.remembers != state.known() {
                    steps.push(Step::Report);
                }
                if !decision.writes.is_empty() {
                    steps.push(Step::Read);
                }
            }
            Pass::Read(..) => steps.push(Step::Plan),
            Pass::Writing(..) => steps.push(Step::Write),
        }
        self.kubernetes(state, steps);
        self.people(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        match step {
            Step::Read | Step::Plan | Step::Write => self.operate(&mut next, step)?,
            Step::Report => {
                let decision = self.operator.decide(last.resource, last);
                (next.remembered, next.run_known, next.bootstrap) = decision.remembers;
                next.served |= next.remembered != 0 && next.bootstrap.is_none();
            }
            Step::MakeClaim
            | Step::OwnClaim
            | Step::StartServer
            | Step::EndJob(..)
            | Step::EndRun
            | Step::Swap
            | Step::StopJob(_)
            | Step::EndStray(..)
            | Step::Vanish(_)
            | Step::Collect(_)
            | Step::StartJob(_)
            | Step::MakePod
            | Step::StartPod
            | Step::RollPod => next.kubernetes_acts(step)?,
            _ => next.people_act(step)?,
        }
        self.protect(&mut next);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let reached = self.scope.reached.iter();
        let reached = reached.map(|(name, condition)| Property::sometimes(name, *condition));
        promises()
            .into_iter()
            .chain(reached)
            .filter(|property| self.only.is_none_or(|only| only == property.name))
            .collect()
    }
}
