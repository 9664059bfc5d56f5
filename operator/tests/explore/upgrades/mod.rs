//! Changes of the data's version: every interleaving of passes, servers, Jobs, restores, users and faults, with the operator's
//! real decision.
//!
//! The model is the rest: a StatefulSet controller that learns late that a claim is to be kept, a server that starts and stops
//! later than it is told, backups that fail, restores at work in whatever server runs, an operator that may crash after any
//! write, and users who want another version at any time, start the application by hand, and delete the status.

mod decide;
mod shown;
mod state;

use std::{collections::HashMap, sync::Mutex, time::Instant};

use stateright::{Checker, Model, Property};

use decide::{Operator, initial};
use state::{Breach, Budget, Claim, Pass, State, Version};

/// An operator that is wrong in one place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// Counts pods as gone that still run.
    BacksUpWhileServing,
    /// Goes on with a backup after which the application may have run.
    BelievesAnyBackup,
    /// Deletes the server while it owns its claim.
    TakesTheClaimAlong,
    /// Takes a new volume for complete.
    StartsEarly,
    /// Goes back to former data although nobody has accepted the loss.
    NeedsNoConsent,
    /// Changes the server while a step of a restore is at work.
    OverlooksTheRestore,
    /// Starts what the status does not know.
    TrustsAnyServer,
    NeverRetries,
}

const LOST: &str = "no acknowledged write is lost without consent";
const COMPLETE: &str = "the application serves nothing but complete data";
const KEPT: &str = "no claim is deleted whose data has served";
const REST: &str = "once faults stop, the service serves again";

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Event {
    Read,
    Plan,
    Write,
    StartPods,
    StopPods,
    LearnPolicy,
    OwnClaim,
    StartServer,
    StopServer,
    EndJob(bool),
    VanishJob,
    BeginRestore,
    EndRestore,
    VanishRestore,
    // Users and faults.
    Client,
    Wish,
    Consent,
    Crash,
    Scale,
    Wipe,
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
        match &state.pass {
            Pass::Idle => {
                let (writes, status) = self.operator.decide(state, &state.resource);
                if !writes.is_empty() || status != state.resource.status {
                    events.push(Event::Read);
                }
            }
            Pass::Read(..) => events.push(Event::Plan),
            Pass::Writing(..) => events.push(Event::Write),
        }
        match (state.app.replicas > 0, state.pods) {
            (true, false) => events.push(Event::StartPods),
            (false, true) => events.push(Event::StopPods),
            _ => {}
        }
        let wanted = state.server.map(|server| server.version);
        if let Some(server) = state.server {
            if !server.seen {
                events.push(Event::LearnPolicy);
            }
            let claim = state.claims.get(&server.version);
            if server.seen && claim.is_some_and(|claim| claim.owned == server.retains) {
                events.push(Event::OwnClaim);
            }
        }
        match state.server_pod {
            None if wanted.is_some() => events.push(Event::StartServer),
            Some(runs) if wanted != Some(runs) => events.push(Event::StopServer),
            _ => {}
        }
        let mut jobs = state.jobs.values();
        if jobs.any(|job| job.deleting) {
            events.push(Event::VanishJob);
        } else if state.jobs.values().any(|job| job.end.is_none()) {
            events.push(Event::EndJob(true));
        }
        if let Some(restore) = &state.restore {
            if restore.deleting {
                events.push(Event::VanishRestore);
            }
            // Its deletion may come too late for a step that is at work.
            if restore.works && state.server_pod.is_some() {
                events.push(Event::EndRestore);
            } else if !restore.deleting
                && !restore.done
                && !restore.works
                && shown::may_restore(state)
            {
                events.push(Event::BeginRestore);
            }
        }
        events
    }

    fn disturbances(state: &State) -> Vec<Event> {
        let mut events = Vec::new();
        if state.left.writes > 0 && state.pods && state.server_pod.is_some() {
            events.push(Event::Client);
        }
        if state.left.edits > 0 {
            events.push(Event::Wish);
        }
        if shown::asks_for_consent(state) && !state.resource.consent {
            events.push(Event::Consent);
        }
        if state.left.faults == 0 {
            return events;
        }
        if state.pass != Pass::Idle {
            events.push(Event::Crash);
        }
        if shown::may_scale(state) {
            events.push(Event::Scale);
        }
        if state.resource.status != "{}" {
            events.push(Event::Wipe);
        }
        if state.jobs.values().any(|job| job.end.is_none()) {
            events.push(Event::EndJob(false));
        }
        events
    }

    fn after(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Read => next.pass = Pass::Read(next.resource.clone()),
            Event::Plan => {
                let Pass::Read(resource) = &state.pass else {
                    return None;
                };
                let (writes, status) = self.operator.decide(state, resource);
                next.pass = Pass::Writing(writes, status);
            }
            Event::Write => write(&mut next),
            Event::StartPods => next.pods = true,
            Event::StopPods => next.pods = false,
            Event::LearnPolicy => next.server.as_mut()?.seen = true,
            Event::OwnClaim => {
                let server = next.server?;
                next.claims.get_mut(&server.version)?.owned = !server.retains;
            }
            Event::StartServer => {
                let server = next.server?;
                next.server_pod = Some(server.version);
                next.claims.entry(server.version).or_insert(Claim {
                    owned: false,
                    data: 0,
                    complete: false,
                    note: server.notes.then_some(false),
                    served: false,
                });
            }
            Event::StopServer => next.server_pod = None,
            Event::EndJob(proved) => {
                let mut jobs = next.jobs.values_mut();
                jobs.find(|job| job.end.is_none())?.end = Some(proved);
                next.left.faults -= u8::from(!proved);
            }
            Event::VanishJob => next.jobs.retain(|_, job| !job.deleting),
            Event::BeginRestore => next.restore.as_mut()?.works = true,
            Event::EndRestore => {
                let restore = next.restore.as_mut()?;
                (restore.works, restore.done) = (false, true);
                let claim = next.claims.get_mut(&next.server_pod?)?;
                (claim.data, claim.complete) = (restore.data, true);
            }
            Event::VanishRestore => next.restore = None,
            _ => disturb(&mut next, event)?,
        }
        next.serve();
        (next != *state).then_some(next)
    }

    /// Whether every path without further disturbance ends, and ends well.
    fn ends_well(&self, state: &State, known: &mut HashMap<State, Option<bool>>) -> bool {
        if let Some(known) = known.get(state) {
            return known.unwrap_or(false);
        }
        known.insert(state.clone(), None);
        let events = self.events(state);
        let well = match events.is_empty() {
            true => shown::is_good_end(state),
            false => events
                .into_iter()
                .filter_map(|event| self.after(state, event))
                .all(|next| self.ends_well(&next, known)),
        };
        known.insert(state.clone(), Some(well));
        well
    }
}

fn write(next: &mut State) {
    let Pass::Writing(mut writes, status) = next.pass.clone() else {
        return;
    };
    if writes.is_empty() {
        next.clock += u8::from(shown::begins(&next.resource.status, &status));
        next.resource.status = status;
        next.pass = Pass::Idle;
        return;
    }
    let write = writes.remove(0);
    next.pass = match next.write(write) {
        true => Pass::Writing(writes, status),
        false => Pass::Idle,
    };
}

fn disturb(state: &mut State, event: Event) -> Option<()> {
    match event {
        Event::Client => {
            state.left.writes -= 1;
            let bit = 1 << state.left.writes;
            state.claims.get_mut(&state.server_pod?)?.data |= bit;
            state.acknowledged |= bit;
            return Some(());
        }
        Event::Wish => {
            state.left.edits -= 1;
            state.resource.wish = state.resource.wish.other();
            (state.resource.consent, state.forgiven) = (false, None);
            return Some(());
        }
        Event::Consent => {
            state.resource.consent = true;
            state.forgiven = Some(state.resource.wish);
            return Some(());
        }
        _ => state.left.faults -= 1,
    }
    match event {
        Event::Crash => state.pass = Pass::Idle,
        Event::Scale => {
            state.app.replicas = 1;
            state.app.generation += 1;
        }
        Event::Wipe => {
            state.resource.status = "{}".into();
            state.wiped = true;
        }
        _ => return None,
    }
    Some(())
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![initial(self.budget)]
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
            Property::always(COMPLETE, |_, state| kept(state, Breach::Incomplete)),
            Property::always(KEPT, |_, state| kept(state, Breach::Deleted)),
            Property::always(REST, |world: &World, state: &State| {
                let mut calm = state.clone();
                calm.left = Budget::default();
                world.ends_well(&calm, &mut world.calm.lock().unwrap())
            }),
            Property::sometimes("the new version serves all writes", |_, state: &State| {
                let new = state.claims.get(&Version::New);
                new.is_some_and(|claim| claim.served && claim.data != 0)
            }),
            Property::sometimes("former data serves again by consent", |_, state: &State| {
                let new = state.claims.get(&Version::New);
                let old = state.server_pod == Some(Version::Old) && state.pods;
                old && new.is_some_and(|claim| claim.served)
            }),
            Property::sometimes("a change goes back before it ends", |_, state: &State| {
                let new = state.claims.get(&Version::New);
                let old = state.server_pod == Some(Version::Old) && state.pods;
                old && new.is_some_and(|claim| !claim.served)
            }),
        ];
        let wanted = |property: &Property<Self>| self.only.is_none_or(|only| only == property.name);
        all.into_iter().filter(wanted).collect()
    }
}

const USUAL: Budget = Budget {
    edits: 1,
    writes: 1,
    faults: 1,
};

#[test]
fn a_change_of_the_version_loses_nothing() {
    let start = Instant::now();
    let checker = World::new(USUAL, None).checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    eprintln!("{states} states in {:?}", start.elapsed());
    assert!(states >= 20_000, "{states} states");
}

#[test]
fn every_flaw_of_changes_is_noticed() {
    for (flaw, promise) in [
        (Flaw::BacksUpWhileServing, LOST),
        (Flaw::BelievesAnyBackup, LOST),
        (Flaw::TakesTheClaimAlong, KEPT),
        (Flaw::StartsEarly, COMPLETE),
        (Flaw::NeedsNoConsent, LOST),
        (Flaw::OverlooksTheRestore, LOST),
        (Flaw::TrustsAnyServer, COMPLETE),
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
