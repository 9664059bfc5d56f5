//! Every interleaving of a small world, explored with the real planning function.
//!
//! The world has two versions of the spec, an operator that may crash after any single write and
//! that may decide on what it saw some time ago, Jobs that may fail, a garbage collector, an
//! administrator who edits, and somebody else who deletes and changes children.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use std::collections::BTreeMap;

use hello_operator::{
    child::{ChildId, Gate, Kind},
    plan::{Action, Facts, JobPhase, Presence, Wanted, plan},
};
use stateright::{Checker, Model, Property};

/// What the cluster holds. The version of an object is the version of the spec it was written for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cluster {
    /// Version of the spec: 1 or 2.
    spec: u8,
    edits_left: u8,
    faults_left: u8,
    /// Version of the database's object, and whether the server runs it.
    database: Option<(u8, bool)>,
    /// Jobs by version.
    jobs: BTreeMap<u8, Job>,
    /// Version that the pods run.
    deployment: Option<u8>,
    replicas: Option<i32>,
    /// Whether the operator holds the number, so that an update takes it away.
    held: bool,
    /// The claim with the data; its loss is what may never happen.
    data: bool,
    /// Version that was migrated last, as the database knows it.
    schema: Option<u8>,
    /// Set when the pods got a version that the schema was not migrated for.
    too_early: bool,
    /// Set when an update took the number of pods away.
    dipped: bool,
    /// Writes that a planned pass still has to do; a crash forgets them.
    pass: Vec<Action>,
    /// Version of the spec that the pass was planned for.
    pass_for: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Job {
    phase: JobPhase,
    deleting: bool,
    /// Whether a pod of it may be changing the schema.
    running: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Plan,
    Write,
    Crash,
    DatabaseUp,
    JobEnds(u8, bool),
    JobGone(u8),
    Edit,
    DeleteDeployment,
    DeleteJob(u8),
    ChangeDatabase,
    Scale,
}

const REPLICAS: i32 = 2;

fn job_id(version: u8) -> ChildId {
    ChildId::new(Kind::Job, format!("demo-migrate-{version}"))
}

fn version_of(id: &ChildId) -> u8 {
    id.name
        .rsplit('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or_default()
}

fn database_id() -> ChildId {
    ChildId::new(Kind::StatefulSet, "demo-db")
}

fn claim_id() -> ChildId {
    ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0")
}

fn deployment_id() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

fn wanted(version: u8) -> Vec<Wanted> {
    let child = |id, gate| Wanted { id, gate };
    vec![
        child(claim_id(), Gate::IfPresent),
        child(database_id(), Gate::Always),
        child(job_id(version), Gate::Migration),
        child(deployment_id(), Gate::Migrated),
    ]
}

fn presence(matches: bool) -> Presence {
    if matches {
        Presence::Settled
    } else {
        Presence::Drifted
    }
}

impl Cluster {
    fn facts(&self) -> Facts {
        let mut facts = Facts {
            wanted_replicas: Some(REPLICAS),
            initial_replicas: REPLICAS,
            live_replicas: self.deployment.and(self.replicas),
            holds_replicas: self.deployment.is_some() && self.held,
            ..Facts::default()
        };
        if self.data {
            facts.present.insert(claim_id(), Presence::Settled);
        }
        if let Some((version, up)) = self.database {
            facts
                .present
                .insert(database_id(), presence(version == self.spec));
            facts.database_ready = up && version == self.spec;
        }
        for (version, job) in &self.jobs {
            let presence = if job.deleting {
                Presence::Deleting
            } else {
                Presence::Settled
            };
            facts.present.insert(job_id(*version), presence);
            facts.jobs.insert(job_id(*version), job.phase);
        }
        if let Some(version) = self.deployment {
            facts
                .present
                .insert(deployment_id(), presence(version == self.spec));
        }
        facts
    }

    fn plan(&self) -> Vec<Action> {
        plan(&wanted(self.spec), &self.facts()).actions
    }

    /// The API server's side of one write: preconditions hold or the write fails.
    fn write(&mut self, action: &Action) {
        let version = self.pass_for;
        match action {
            Action::Create(id) if *id == database_id() => {
                if self.database.is_none() {
                    self.database = Some((version, false));
                    self.data = true;
                }
            }
            Action::Update(id) if *id == database_id() => {
                if self.database.is_some() {
                    self.database = Some((version, false));
                }
            }
            Action::Create(id) if id.kind == Kind::Job => {
                self.jobs.entry(version_of(id)).or_insert(Job {
                    phase: JobPhase::Active,
                    deleting: false,
                    running: true,
                });
            }
            Action::Delete(id) if id.kind == Kind::Job => {
                if let Some(job) = self.jobs.get_mut(&version_of(id)) {
                    job.deleting = true;
                }
            }
            Action::Create(id) | Action::Update(id) if *id == deployment_id() => {
                if self.deployment.is_none() {
                    self.replicas = Some(REPLICAS);
                    self.held = true;
                } else if std::mem::take(&mut self.held) {
                    self.dipped = true;
                    self.replicas = Some(1);
                }
                self.deployment = Some(version);
                self.too_early |= self.schema.is_none_or(|schema| schema < version);
            }
            Action::Scale(_, replicas) => {
                if self.deployment.is_some() {
                    self.replicas = Some(*replicas);
                }
            }
            Action::Release(_) => self.held = false,
            Action::Delete(id) if *id == claim_id() => self.data = false,
            other => unreachable!("{other:?}"),
        }
    }

    fn converged(&self) -> bool {
        self.deployment == Some(self.spec)
            && self.replicas == Some(REPLICAS)
            && self.database == Some((self.spec, true))
            && self.jobs.len() == 1
            && self
                .jobs
                .get(&self.spec)
                .is_some_and(|job| job.phase == JobPhase::Succeeded && !job.deleting)
    }

    /// A Job that failed is the one state that waits for a person.
    fn failed(&self) -> bool {
        self.jobs
            .get(&self.spec)
            .is_some_and(|job| job.phase == JobPhase::Failed && !job.deleting)
    }
}

struct World;

impl Model for World {
    type State = Cluster;
    type Action = Step;

    fn init_states(&self) -> Vec<Cluster> {
        vec![Cluster {
            spec: 1,
            edits_left: 3,
            faults_left: 3,
            database: None,
            jobs: BTreeMap::new(),
            deployment: None,
            replicas: None,
            held: false,
            dipped: false,
            data: false,
            schema: None,
            too_early: false,
            pass: Vec::new(),
            pass_for: 1,
        }]
    }

    fn actions(&self, state: &Cluster, steps: &mut Vec<Step>) {
        if state.pass.is_empty() {
            if !state.plan().is_empty() {
                steps.push(Step::Plan);
            }
        } else {
            steps.push(Step::Write);
        }
        if state.database.is_some_and(|(_, up)| !up) {
            steps.push(Step::DatabaseUp);
        }
        for (version, job) in &state.jobs {
            if job.running {
                steps.push(Step::JobEnds(*version, true));
                if state.faults_left > 0 {
                    steps.push(Step::JobEnds(*version, false));
                }
            }
            if job.deleting {
                steps.push(Step::JobGone(*version));
            }
        }
        if state.edits_left > 0 {
            steps.push(Step::Edit);
        }
        if state.faults_left > 0 {
            if !state.pass.is_empty() {
                steps.push(Step::Crash);
            }
            if state.deployment.is_some() {
                steps.extend([Step::DeleteDeployment, Step::Scale]);
            }
            if state.database.is_some() {
                steps.push(Step::ChangeDatabase);
            }
            steps.extend(state.jobs.keys().map(|version| Step::DeleteJob(*version)));
        }
    }

    fn next_state(&self, last: &Cluster, step: Step) -> Option<Cluster> {
        let mut next = last.clone();
        let fault = |state: &mut Cluster| state.faults_left -= 1;
        match step {
            Step::Plan => {
                next.pass = next.plan();
                next.pass_for = next.spec;
            }
            Step::Write => {
                let action = next.pass.remove(0);
                next.write(&action);
            }
            Step::Crash => {
                fault(&mut next);
                next.pass.clear();
            }
            Step::DatabaseUp => next.database = next.database.map(|(version, _)| (version, true)),
            Step::JobEnds(version, good) => {
                let job = next.jobs.get_mut(&version)?;
                job.running = false;
                if good {
                    job.phase = JobPhase::Succeeded;
                    next.schema = next.schema.max(Some(version));
                } else {
                    job.phase = JobPhase::Failed;
                    fault(&mut next);
                }
            }
            // Foreground deletion: gone only after its pods.
            Step::JobGone(version) => {
                next.jobs.remove(&version);
            }
            Step::Edit => {
                next.edits_left -= 1;
                next.spec = 3 - next.spec;
            }
            Step::DeleteDeployment => {
                fault(&mut next);
                next.deployment = None;
                next.replicas = None;
                next.held = false;
            }
            Step::DeleteJob(version) => {
                fault(&mut next);
                next.jobs.get_mut(&version)?.deleting = true;
            }
            Step::ChangeDatabase => {
                fault(&mut next);
                next.database = Some((0, false));
            }
            Step::Scale => {
                fault(&mut next);
                next.replicas = Some(9);
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two migrations", |_, state: &Cluster| {
                state.jobs.values().filter(|job| job.running).count() <= 1
            }),
            Property::always(
                "never rolled out before its migration",
                |_, state: &Cluster| !state.too_early,
            ),
            Property::always(
                "an update never changes the number of pods",
                |_, state: &Cluster| !state.dipped,
            ),
            Property::always("data is never deleted", |_, state: &Cluster| {
                state.data || state.database.is_none()
            }),
            Property::always(
                "the end is the wanted state, or a failed migration",
                |model, state: &Cluster| {
                    let mut steps = Vec::new();
                    model.actions(state, &mut steps);
                    let over = steps.iter().all(|step| {
                        matches!(
                            step,
                            Step::Edit
                                | Step::DeleteDeployment
                                | Step::Scale
                                | Step::ChangeDatabase
                                | Step::DeleteJob(_)
                        )
                    });
                    !over || state.converged() || state.failed()
                },
            ),
            Property::sometimes("a migration fails", |_, state: &Cluster| state.failed()),
            Property::sometimes("the second spec is reached", |_, state: &Cluster| {
                state.spec == 2 && state.converged()
            }),
            Property::sometimes(
                "a crash in the middle is recovered from",
                |_, state: &Cluster| state.faults_left == 0 && state.converged(),
            ),
        ]
    }
}

#[test]
fn every_interleaving_ends_well() {
    let checker = World.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(
        checker.unique_state_count() > 10_000,
        "{} states",
        checker.unique_state_count()
    );
}

/// Livelock: from every reachable state, going on without faults reaches the end in few steps.
#[test]
fn the_operator_comes_to_rest() {
    let model = World;
    let mut seen = std::collections::HashSet::new();
    let mut todo = model.init_states();
    while let Some(state) = todo.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        let mut calm = state.clone();
        (calm.edits_left, calm.faults_left) = (0, 0);
        for _ in 0..60 {
            let mut steps = Vec::new();
            model.actions(&calm, &mut steps);
            let Some(step) = steps.into_iter().next() else {
                break;
            };
            calm = model.next_state(&calm, step).unwrap();
        }
        assert!(
            calm.converged() || calm.failed(),
            "{state:?}\nends in {calm:?}"
        );
        if seen.len() > 20_000 {
            break;
        }
        let mut steps = Vec::new();
        model.actions(&state, &mut steps);
        todo.extend(
            steps
                .into_iter()
                .filter_map(|step| model.next_state(&state, step)),
        );
    }
    assert!(seen.len() > 1_000);
}
