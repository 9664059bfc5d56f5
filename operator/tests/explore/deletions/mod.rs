//! Deletions that wait for a last backup: every interleaving of passes, Jobs, users and faults, with the operator's real
//! decision.
//!
//! The model is the rest: pods that start and stop later than their Deployment says, Jobs that fail or end late, an operator
//! that may crash after any write and reads at two moments, and users who change the policy, pause, start the application
//! again, and delete objects, the status or the finalizer.

mod decide;
mod state;

use std::{collections::HashMap, sync::Mutex, time::Instant};

use stateright::{Checker, Model, Property};

use decide::{Operator, View};
use state::{App, Breach, Budget, Pass, Policy, State, Stop, Write};

/// An operator that is wrong in one place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// Counts pods as gone that still run.
    BacksUpWhileServing,
    /// Releases the data without a proof.
    NeedsNoProof,
    /// Takes a proof for the last one, whatever ran since.
    BelievesAnyProof,
    /// Lets the resource go before its data has, or has lost, its owner.
    LetsGoEarly,
    /// Removes the finalizer of a resource that has changed since it was read.
    LetsGoBlindly,
    NeverLetsGo,
    NeverRetries,
}

const LOST: &str =
    "data is deleted only with a proved backup of all that was written, or by the policy";
const LEFT: &str = "a resource that goes takes its data along exactly as the policy says";
const STARTED: &str = "the application is not started again";
const PAUSED: &str = "nothing but the finalizer is written in a pause";
const REST: &str = "once faults stop, every deletion ends";

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Event {
    Read,
    Plan,
    Write,
    StartPods,
    StopPods,
    OwnClaim,
    End(Stop, bool),
    Vanish(Stop),
    // Users and faults.
    Delete,
    Policy(Policy),
    Pause,
    Crash,
    Scale,
    DeleteApp,
    DeleteJob(Stop),
    Wipe,
    RemoveFinalizer,
}

struct World {
    budget: Budget,
    operator: Operator,
    only: Option<&'static str>,
    calm: Mutex<HashMap<State, Option<bool>>>,
}

impl World {
    fn new(budget: Budget, flaw: Option<Flaw>) -> Self {
        Self {
            budget,
            operator: Operator::new(flaw),
            only: None,
            calm: Mutex::default(),
        }
    }

    /// What can happen without anybody's doing.
    fn events(&self, state: &State) -> Vec<Event> {
        let mut events = Vec::new();
        if !state.exists {
            return events;
        }
        match &state.pass {
            Pass::Idle => {
                let (writes, known) = self.operator.decide(View::now(state));
                let works = !state.resource.deleting || state.resource.held;
                if works && (!writes.is_empty() || known != state.known) {
                    events.push(Event::Read);
                }
            }
            Pass::Read(..) => events.push(Event::Plan),
            Pass::Writing(..) => events.push(Event::Write),
        }
        let replicas = state.app.map_or(0, |app| app.replicas);
        // A start between the last look and the release cannot be seen.
        if replicas > 0 && !state.pods && !state.is_going() {
            events.push(Event::StartPods);
        }
        if replicas == 0 && state.pods {
            events.push(Event::StopPods);
        }
        if state.claim_owned != state.server_deletes {
            events.push(Event::OwnClaim);
        }
        for (stop, job) in &state.jobs {
            if job.deleting {
                events.push(Event::Vanish(*stop));
            } else if job.end.is_none() {
                events.push(Event::End(*stop, true));
            }
        }
        events
    }

    fn disturbances(state: &State) -> Vec<Event> {
        let mut events = Vec::new();
        if !state.exists {
            return events;
        }
        if state.left.edits > 0 {
            let others = Policy::ALL.into_iter();
            let others = others.filter(|policy| *policy != state.resource.policy);
            events.extend(others.map(Event::Policy));
            events.push(Event::Pause);
        }
        if !state.resource.deleting {
            events.push(Event::Delete);
        }
        if state.left.faults == 0 {
            return events;
        }
        if state.pass != Pass::Idle {
            events.push(Event::Crash);
        }
        if state.app.is_some() && state.resource.deleting {
            events.push(Event::DeleteApp);
            if !state.is_going() {
                events.push(Event::Scale);
            }
        }
        if state.known.is_some() {
            events.push(Event::Wipe);
        }
        if state.resource.deleting && state.resource.held {
            events.push(Event::RemoveFinalizer);
        }
        for (stop, job) in &state.jobs {
            if !job.deleting {
                events.push(Event::DeleteJob(*stop));
            }
            if job.end.is_none() && !job.deleting {
                events.push(Event::End(*stop, false));
            }
        }
        events
    }

    fn after(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Read => {
                next.pass = Pass::Read(next.resource, next.known, next.visible());
            }
            Event::Plan => {
                let Pass::Read(resource, ..) = &state.pass else {
                    return None;
                };
                let (writes, known) = self.operator.decide(View::now(state));
                next.pass = Pass::Writing(*resource, writes, known);
            }
            Event::Write => self.write(&mut next),
            Event::StartPods => {
                next.pods = true;
                next.saved = false;
                for job in next.jobs.values_mut() {
                    job.clean = false;
                }
            }
            Event::StopPods => next.pods = false,
            Event::OwnClaim => next.claim_owned = next.server_deletes,
            Event::End(stop, proved) => {
                let job = next.jobs.get_mut(&stop)?;
                job.end = Some(proved);
                let saves = proved && job.clean;
                next.left.faults -= u8::from(!proved);
                next.saved |= saves;
                next.was_saved |= saves;
            }
            Event::Vanish(stop) => drop(next.jobs.remove(&stop)),
            _ => next.disturb(event)?,
        }
        (next != *state).then_some(next)
    }

    fn write(&self, next: &mut State) {
        let Pass::Writing(resource, mut writes, known) = next.pass.clone() else {
            return;
        };
        if writes.is_empty() {
            next.known = known;
            next.pass = Pass::Idle;
            return;
        }
        let write = writes.remove(0);
        next.pass = Pass::Writing(resource, writes, known);
        let resource = match write {
            // It goes on with what it has just written.
            Write::Hold(held) => {
                let done = next.write(resource, write, self.operator.flaw);
                if let (true, Pass::Writing(seen, ..)) = (done, &mut next.pass) {
                    seen.held = held;
                }
                done
            }
            _ => next.write(resource, write, self.operator.flaw),
        };
        if !resource {
            next.pass = Pass::Idle;
        }
    }

    /// Whether every path without further disturbance ends, and ends well.
    fn ends_well(&self, state: &State, known: &mut HashMap<State, Option<bool>>) -> bool {
        if let Some(known) = known.get(state) {
            return known.unwrap_or(false);
        }
        known.insert(state.clone(), None);
        let events = self.events(state);
        let well = match events.is_empty() {
            true => is_good_end(state),
            false => events
                .into_iter()
                .filter_map(|event| self.after(state, event))
                .all(|next| self.ends_well(&next, known)),
        };
        known.insert(state.clone(), Some(well));
        well
    }
}

/// The resource is gone, or nobody has deleted it, or a pause holds it.
fn is_good_end(state: &State) -> bool {
    let resource = state.resource;
    let held = resource.policy == Policy::Snapshot;
    !state.exists
        || resource.paused
        || (!resource.deleting && resource.held == held && state.breach.is_none())
}

impl State {
    fn disturb(&mut self, event: Event) -> Option<()> {
        match event {
            Event::Delete => {
                self.resource.deleting = true;
                if !self.resource.held {
                    // Nothing waits, and the data is as it was.
                    self.exists = false;
                }
                return Some(());
            }
            Event::Policy(policy) => {
                self.left.edits -= 1;
                self.resource.policy = policy;
                return Some(());
            }
            Event::Pause => {
                self.left.edits -= 1;
                self.resource.paused = !self.resource.paused;
                return Some(());
            }
            _ => self.left.faults -= 1,
        }
        match event {
            Event::Crash => self.pass = Pass::Idle,
            Event::Scale => {
                let app = self.app?;
                self.app = Some(App {
                    replicas: 1 - app.replicas,
                    generation: app.generation + 1,
                });
            }
            Event::DeleteApp => self.app = None,
            Event::DeleteJob(stop) => self.jobs.get_mut(&stop)?.deleting = true,
            Event::Wipe => self.known = None,
            Event::RemoveFinalizer => {
                self.resource.held = false;
                self.go(true);
            }
            _ => return None,
        }
        Some(())
    }
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.budget)]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        events.extend(self.events(state));
        events.extend(Self::disturbances(state));
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        self.after(last, event)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn kept(state: &State, breach: Breach) -> bool {
            state.breach != Some(breach)
        }
        let all = [
            Property::always(LOST, |_, state: &State| kept(state, Breach::Lost)),
            Property::always(LEFT, |_, state| kept(state, Breach::Left)),
            Property::always(STARTED, |_, state| kept(state, Breach::Started)),
            Property::always(PAUSED, |_, state| kept(state, Breach::Paused)),
            Property::always(REST, |world: &World, state: &State| {
                let mut calm = state.clone();
                calm.left = Budget::default();
                world.ends_well(&calm, &mut world.calm.lock().unwrap())
            }),
            Property::sometimes("data goes after its last backup", |_, state: &State| {
                !state.exists && state.saved && state.claim_owned
            }),
            Property::sometimes(
                "a backup is proved that is not the last",
                |_, state: &State| {
                    state
                        .jobs
                        .values()
                        .any(|job| job.end == Some(true) && !job.clean)
                },
            ),
            Property::sometimes("released data is kept after all", |_, state: &State| {
                let retained = state.resource.policy == Policy::Retain;
                !state.exists && state.was_saved && retained && !state.claim_owned
            }),
        ];
        let wanted = |property: &Property<Self>| self.only.is_none_or(|only| only == property.name);
        all.into_iter().filter(wanted).collect()
    }
}

const USUAL: Budget = Budget {
    edits: 1,
    faults: 2,
};

#[test]
fn data_is_deleted_only_after_a_last_backup() {
    let start = Instant::now();
    let checker = World::new(USUAL, None).checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    eprintln!("{states} states in {:?}", start.elapsed());
    assert!(states >= 20_000, "{states} states");
}

#[test]
fn every_flaw_of_deletions_is_noticed() {
    for (flaw, promise) in [
        (Flaw::BacksUpWhileServing, LOST),
        (Flaw::NeedsNoProof, LOST),
        (Flaw::BelievesAnyProof, LOST),
        (Flaw::LetsGoEarly, LEFT),
        (Flaw::LetsGoBlindly, LEFT),
        (Flaw::NeverLetsGo, REST),
        (Flaw::NeverRetries, REST),
    ] {
        let mut world = World::new(USUAL, Some(flaw));
        world.only = Some(promise);
        let checker = world.checker().spawn_bfs().join();
        assert!(
            checker.discovery(promise).is_some(),
            "{flaw:?} goes unnoticed: {promise}"
        );
    }
}
