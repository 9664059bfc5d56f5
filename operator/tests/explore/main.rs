//! Every interleaving of small worlds, explored with the operator's real decision.
//!
//! `validate`, `build`, `facts` and `plan` are the operator's own, over the objects as an API server
//! would show them. The model is the rest: an API server with preconditions, the garbage collector,
//! the controllers of Kubernetes, users who edit, delete and create objects, and an operator that may
//! crash after any single write and may carry out an old plan. Each promise is also broken on
//! purpose: a defective operator must be noticed.

// A panic is how a test fails, and the number of states is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod cluster;
mod decide;
mod ends;
mod live;
mod model;
mod objects;
mod promises;
mod restores;
mod scope;
mod steps;

use std::time::Instant;

use stateright::{Checker, Model};

use cluster::{Budget, Pass};
use decide::Flaw;
use model::{Edit, World};
use objects::{ClaimOwner, Name, Object, PodState, Spec, Status};
use promises::{
    AGAIN, BESIDE, DATA, EMPTY, FOREIGN, ONCE, PAUSED, PODS, REST, ROLLOUT, SERVER, TWO,
};
use scope::Scope;
use steps::SCALED;

const START: Spec = Spec {
    version: 1,
    retain: true,
    paused: false,
    autoscaled: false,
    backup: false,
    requested: false,
    route: false,
    broken: false,
};

const QUIET: Budget = Budget {
    edits: 0,
    faults: 0,
    deletions: 0,
    foreign: 0,
};

/// Two versions, edited back and forth; migrations fail and are deleted, children are changed.
const MIGRATIONS: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::App],
    start: START,
    budget: Budget {
        edits: 3,
        faults: 3,
        ..QUIET
    },
    edits: &[Edit::Version],
    disturbed: &[Name::Server, Name::App],
    foreign: &[],
    reached: &[
        ("a migration fails", World::is_failed),
        ("the second version serves", |world, state| {
            state.resource.spec.version == 2 && world.is_converged(state)
        }),
        ("the first version is back", |world, state| {
            let spec = state.resource.spec;
            state.left.edits == 1 && spec.version == 1 && world.is_converged(state)
        }),
        ("a pod outlives its Job", |_, state| {
            !state.strays.is_empty()
        }),
        ("a migration is recorded without its Job", |world, state| {
            !state.objects.keys().any(|name| name.is_job()) && world.is_converged(state)
        }),
        ("every fault is recovered from", |world, state| {
            state.left.faults == 0 && world.is_converged(state)
        }),
    ],
};

/// The resource is deleted under both policies, and created again.
const DELETION: Scope = Scope {
    objects: &[Name::Credentials, Name::Claim, Name::Server, Name::App],
    start: START,
    budget: Budget {
        edits: 1,
        faults: 1,
        deletions: 2,
        ..QUIET
    },
    edits: &[Edit::Policy, Edit::Version],
    disturbed: &[Name::Server, Name::App],
    foreign: &[],
    reached: &[
        ("data is adopted by a new resource", |world, state| {
            state.resource.uid == 2 && state.database().0 == 1 && world.is_converged(state)
        }),
        ("data is deleted with its resource", |world, state| {
            state.resource.uid == 2 && state.database().0 == 2 && world.is_converged(state)
        }),
        ("other data waits to be accepted", |world, state| {
            world.is_replaced(state)
        }),
        ("a claim outlives its server", |_, state| {
            matches!(
                state.get(Name::Claim).map(|claim| claim.status),
                Some(Status::Claim {
                    owner: ClaimOwner::Gone,
                    ..
                })
            )
        }),
        (
            "a pass writes for a resource that is gone",
            |_, state| matches!(&state.pass, Pass::Writing(resource, _) if resource.uid < state.resource.uid),
        ),
    ],
};

/// Foreign objects are created with wanted names, an API is installed and removed, and the resource is paused.
const CONFLICTS: Scope = Scope {
    objects: &[
        Name::Credentials,
        Name::Claim,
        Name::Server,
        Name::App,
        Name::BackupClaim,
        Name::BackupJob,
        Name::Route,
    ],
    start: Spec {
        backup: true,
        route: true,
        ..START
    },
    budget: Budget {
        edits: 1,
        faults: 1,
        foreign: 2,
        ..QUIET
    },
    edits: &[Edit::Backup, Edit::Pause, Edit::Version, Edit::Route],
    disturbed: &[Name::BackupJob],
    foreign: &[Name::Claim, Name::Server, Name::App, Name::BackupJob],
    reached: &[
        ("a name is taken", |world, state| {
            world.operator.decide(state.resource, state).conflicts
        }),
        ("a name is free again", |world, state| {
            state.left.foreign == 0 && state.routes_served && world.is_converged(state)
        }),
        ("an API is missing", |world, state| {
            !state.routes_served && world.is_converged(state)
        }),
        ("a backup volume is kept", |world, state| {
            !state.resource.spec.backup
                && state.get(Name::BackupClaim).is_some()
                && world.is_converged(state)
        }),
    ],
};

/// A setting keeps the server from starting, and is corrected.
const SETTINGS: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::Pod, Name::App],
    start: START,
    budget: Budget {
        edits: 3,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Setting],
    disturbed: &[Name::Server],
    foreign: &[],
    reached: &[
        (
            "a pod cannot start",
            |_, state| matches!(state.get(Name::Pod), Some(pod) if pod.status == Status::Pod(PodState::Broken)),
        ),
        (
            "a server recovers",
            |_, state| matches!(state.get(Name::Pod), Some(pod) if pod.status == Status::Pod(PodState::Recovering)),
        ),
        ("the setting is corrected", |world, state| {
            state.left.edits == 1 && world.is_converged(state)
        }),
    ],
};

/// A foreign Deployment takes the place of ours, beside our autoscaler.
const LEANING: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::App, Name::Autoscaler],
    start: Spec {
        autoscaled: true,
        ..START
    },
    budget: Budget {
        edits: 1,
        faults: 2,
        foreign: 2,
        ..QUIET
    },
    edits: &[Edit::Autoscaling],
    disturbed: &[Name::App, Name::Autoscaler],
    foreign: &[Name::App],
    reached: &[
        ("the Deployment is foreign", |_, state| {
            state.get(Name::App).is_some_and(Object::is_foreign)
        }),
        ("the name is free again", |world, state| {
            state.left.foreign == 0 && world.is_converged(state)
        }),
    ],
};

/// The number of pods goes from the spec to the autoscaler and back.
const SCALING: Scope = Scope {
    objects: &[Name::Claim, Name::Server, Name::App, Name::Autoscaler],
    start: START,
    budget: Budget {
        edits: 2,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Autoscaling],
    disturbed: &[Name::App, Name::Autoscaler],
    foreign: &[],
    reached: &[
        ("the autoscaler's number stays", |world, state| {
            matches!(
                state.get(Name::App).map(|app| app.status),
                Some(Status::App {
                    replicas: SCALED,
                    ..
                })
            ) && world.is_converged(state)
        }),
        ("the spec's number is back", |world, state| {
            state.left.edits == 0 && !state.resource.spec.autoscaled && world.is_converged(state)
        }),
    ],
};

/// A backup is requested beside migrations and pauses; its Job and the schedule are deleted.
const REQUESTS: Scope = Scope {
    objects: &[
        Name::Claim,
        Name::Server,
        Name::App,
        Name::BackupClaim,
        Name::BackupJob,
    ],
    start: Spec {
        backup: true,
        ..START
    },
    budget: Budget {
        edits: 2,
        faults: 2,
        ..QUIET
    },
    edits: &[Edit::Request, Edit::Version, Edit::Pause],
    disturbed: &[Name::BackupJob],
    foreign: &[],
    reached: &[
        (
            "a requested backup is known when it is gone",
            |world, state| {
                state.run_known && state.get(Name::Run).is_none() && world.is_converged(state)
            },
        ),
        ("it is made with another version, too", |world, state| {
            state.run_known && state.resource.spec.version == 2 && world.is_converged(state)
        }),
    ],
};

/// Explores all of a world; fewer than `least` states mean that it is smaller than intended.
fn explore(scope: Scope, least: usize) {
    let start = Instant::now();
    let checker = World::new(scope, None).checker().spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.is_done());
    let (states, calm) = (checker.unique_state_count(), checker.model().calm_states());
    eprintln!(
        "{states} states and {calm} calm ones in {:?}",
        start.elapsed()
    );
    assert!(states >= least, "{states} states");
}

#[test]
fn migrations_come_one_by_one_and_before_their_rollout() {
    explore(MIGRATIONS, 20_000);
}

#[test]
fn data_outlives_its_resource_as_the_policy_says() {
    explore(DELETION, 30_000);
}

#[test]
fn foreign_objects_and_missing_apis_are_tolerated() {
    explore(CONFLICTS, 6_000);
}

#[test]
fn the_number_of_pods_moves_between_spec_and_autoscaler() {
    explore(SCALING, 1_500);
}

#[test]
fn a_setting_with_which_the_server_does_not_start_can_be_corrected() {
    explore(SETTINGS, 3_000);
}

#[test]
fn nothing_acts_on_a_foreign_object() {
    explore(LEANING, 1_000);
}

#[test]
fn a_requested_backup_is_made_once_and_beside_no_migration() {
    explore(REQUESTS, 5_000);
}

/// Each promise is broken by an operator with one flaw, so none is kept by accident.
#[test]
fn every_flaw_is_noticed() {
    for (flaw, scope, promise) in [
        (Flaw::RollsOutAtOnce, MIGRATIONS, ROLLOUT),
        (Flaw::BelievesAnyMigration, MIGRATIONS, ROLLOUT),
        (Flaw::ForgetsOtherJobs, MIGRATIONS, TWO),
        (Flaw::ForgetsPodsWithoutJob, MIGRATIONS, TWO),
        (Flaw::DeletesWhatTheSpecDropped, CONFLICTS, DATA),
        (Flaw::ForgetsRetain, DELETION, DATA),
        (Flaw::UsesAnyVolume, DELETION, DATA),
        (Flaw::ForgetsData, DELETION, EMPTY),
        (Flaw::UsesAnyVolume, CONFLICTS, FOREIGN),
        (Flaw::TakesOver, CONFLICTS, FOREIGN),
        (Flaw::WritesWithoutUid, CONFLICTS, FOREIGN),
        (Flaw::IgnoresPause, CONFLICTS, PAUSED),
        (Flaw::FightsTheAutoscaler, SCALING, PODS),
        (Flaw::LeavesNoPods, SCALING, REST),
        (Flaw::NeverReleases, MIGRATIONS, PODS),
        (Flaw::WritesForever, MIGRATIONS, REST),
        (Flaw::NeverRollsOut, MIGRATIONS, REST),
        (Flaw::ReadsPodsFirst, MIGRATIONS, TWO),
        (Flaw::RetriesNothing, MIGRATIONS, REST),
        (Flaw::ForgetsTheRecord, MIGRATIONS, ONCE),
        (Flaw::KeepsTheRecord, MIGRATIONS, REST),
        (Flaw::LeavesStuckPods, SETTINGS, REST),
        (Flaw::ReplacesAnyPod, SETTINGS, SERVER),
        (Flaw::LeansOnForeign, LEANING, REST),
        (Flaw::ForgetsRequests, REQUESTS, AGAIN),
        (Flaw::BacksUpAtOnce, REQUESTS, BESIDE),
        (Flaw::NeverBacksUp, REQUESTS, REST),
    ] {
        let mut world = World::new(scope, Some(flaw));
        world.only = Some(promise);
        let checker = world.checker().spawn_bfs().join();
        assert!(
            checker.discovery(promise).is_some(),
            "{flaw:?} goes unnoticed: {promise}"
        );
    }
}
