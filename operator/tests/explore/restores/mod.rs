//! Restores: every interleaving of passes, Jobs, users and faults, with the operator's real decision.
//!
//! The model is the rest: two HelloRestores of one service, what the commands make of the database, writes, migrations,
//! deletions, and an operator that may crash between any two writes. The end of a Job may be lost after its work was done.

mod state;
mod steps;

use std::{collections::HashMap, sync::Mutex, time::Instant};

use hello_crds::RestorePhase;
use hello_operator::restore::reason::Reason;
use stateright::{Checker, Model, Property};

use state::{Breach, Budget, Database, Made, RESTORES, Restore, State};
use steps::Event;

/// An operator that is wrong in one place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    AlwaysAccepts,
    DropsAtOnce,
    UndoesAtOnce,
    IgnoresOthers,
    ForgetsDeletion,
    NeverHolds,
    TakesGivenUpAsEnd,
    RetriesNothing,
    ForgetsWhatItDid,
}

const LOST: &str = "nothing that was written is lost without consent";
const DROPPED: &str = "data is removed only on request";
const UNDONE: &str = "the former data comes back only on request";
const TOGETHER: &str = "never two steps at once";
const BESIDE: &str = "no step starts beside a migration";
const AGAIN: &str = "a restore that was swapped is not staged again";
const REST: &str = "once faults stop, every path ends with a status that is true";

struct World {
    restores: usize,
    budget: Budget,
    flaw: Option<Flaw>,
    only: Option<&'static str>,
    calm: Mutex<HashMap<State, Option<bool>>>,
}

impl World {
    fn new(restores: usize, budget: Budget, flaw: Option<Flaw>) -> Self {
        Self {
            restores,
            budget,
            flaw,
            only: None,
            calm: Mutex::default(),
        }
    }

    /// Whether every path without further disturbance ends, and ends well.
    fn ends_well(&self, state: &State, known: &mut HashMap<State, Option<bool>>) -> bool {
        if let Some(known) = known.get(state) {
            // Back at a state that is being looked at: a path without an end.
            return known.unwrap_or(false);
        }
        known.insert(state.clone(), None);
        let events = state.events(self.flaw);
        let well = match events.is_empty() {
            true => is_true(state),
            false => events
                .into_iter()
                .all(|event| self.ends_well(&state.after(event, self.flaw), known)),
        };
        known.insert(state.clone(), Some(well));
        well
    }
}

/// Whether nothing is left to do, and what is reported is so.
fn is_true(state: &State) -> bool {
    (0..RESTORES).all(|who| {
        let made = state.database.made[who];
        let Some(restore) = &state.restores[who] else {
            return !state.service || made != Made::Staged;
        };
        let status = &restore.status;
        let asked = match (restore.undo, restore.drop) {
            (Some(_), _) => matches!(
                status.reason,
                Reason::LossNotAccepted | Reason::NothingToUndo | Reason::Refused
            ),
            (None, true) => !state.database.former[who] && !status.previous,
            (None, false) => true,
        };
        let is_first = |other: &Restore| other.status.phase == RestorePhase::WaitingForConsent;
        match status.phase {
            _ if restore.deleting => false,
            // Whatever was left undone is.
            _ if !state.service => true,
            RestorePhase::Completed => made == Made::Swapped && !restore.held && asked,
            RestorePhase::Undone => made == Made::Undone && !restore.held,
            RestorePhase::WaitingForConsent => made == Made::Staged && !restore.consent,
            RestorePhase::Refused | RestorePhase::Failed => {
                matches!(made, Made::Nothing | Made::Staged)
            }
            RestorePhase::Pending => state.restores.iter().flatten().any(is_first),
            RestorePhase::Staging | RestorePhase::Swapping | RestorePhase::Undoing => false,
        }
    })
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let restores = std::array::from_fn(|who| (who < self.restores).then(Restore::new));
        vec![State {
            restores,
            jobs: Default::default(),
            strays: Vec::new(),
            database: Database::default(),
            migrating: false,
            service: true,
            pass: None,
            breach: None,
            left: self.budget,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Event>) {
        if state.breach.is_none() {
            actions.extend(state.events(self.flaw));
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        Some(state.after(event, self.flaw))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn kept(state: &State, breach: Breach) -> bool {
            state.breach != Some(breach)
        }
        let all = [
            Property::always(LOST, |_, state| kept(state, Breach::LostUnasked)),
            Property::always(DROPPED, |_, state| kept(state, Breach::DroppedUnasked)),
            Property::always(UNDONE, |_, state| kept(state, Breach::UndoneUnasked)),
            Property::always(TOGETHER, |_, state| kept(state, Breach::Together)),
            Property::always(BESIDE, |_, state| kept(state, Breach::Beside)),
            Property::always(AGAIN, |_, state| kept(state, Breach::Again)),
            Property::always(REST, |world: &World, state: &State| {
                let mut calm = state.clone();
                calm.left = Budget::default();
                world.ends_well(&calm, &mut world.calm.lock().unwrap())
            }),
        ];
        let wanted = |property: &Property<Self>| self.only.is_none_or(|only| only == property.name);
        all.into_iter().filter(wanted).collect()
    }
}

/// One restore, with everything that can happen to it.
const ONE: Budget = Budget {
    faults: 1,
    edits: 2,
    deletions: 1,
    writes: 2,
    migrations: 1,
};

/// Two restores of one service.
const TWO: Budget = Budget {
    faults: 1,
    edits: 1,
    deletions: 1,
    writes: 1,
    migrations: 0,
};

fn explore(restores: usize, budget: Budget, least: usize) {
    let start = Instant::now();
    let checker = World::new(restores, budget, None)
        .checker()
        .spawn_bfs()
        .join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    eprintln!("{states} states in {:?}", start.elapsed());
    assert!(states >= least, "{states} states");
}

#[test]
fn a_restore_ends_as_it_says_whatever_happens_to_it() {
    explore(1, ONE, 100_000);
}

#[test]
fn two_restores_of_a_service_do_not_disturb_each_other() {
    explore(RESTORES, TWO, 5_000);
}

/// Each promise is broken by an operator with one flaw, so none is kept by accident.
#[test]
fn every_flaw_of_restores_is_noticed() {
    for (flaw, restores, promise) in [
        (Flaw::AlwaysAccepts, 1, LOST),
        (Flaw::DropsAtOnce, 1, DROPPED),
        (Flaw::UndoesAtOnce, 1, UNDONE),
        (Flaw::IgnoresOthers, 2, TOGETHER),
        (Flaw::IgnoresOthers, 1, BESIDE),
        (Flaw::ForgetsDeletion, 1, REST),
        (Flaw::NeverHolds, 1, REST),
        (Flaw::TakesGivenUpAsEnd, 1, REST),
        (Flaw::RetriesNothing, 1, REST),
        (Flaw::ForgetsWhatItDid, 1, AGAIN),
    ] {
        let budget = if restores == 1 { ONE } else { TWO };
        let mut world = World::new(restores, budget, Some(flaw));
        world.only = Some(promise);
        let checker = world.checker().spawn_bfs().join();
        let noticed = checker.discovery(promise).is_some();
        assert!(noticed, "{flaw:?} goes unnoticed: {promise}");
    }
}
