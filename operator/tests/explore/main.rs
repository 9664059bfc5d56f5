//! Every interleaving of small worlds, explored with the operator's real decision.
//!
//! `validate`, `build`, `facts` and `plan` are the operator's own, over the objects as an API server
//! would show them. The model is the rest: an API server with preconditions, the garbage collector,
//! the controllers of Kubernetes, users who edit, delete and create objects, and an operator that may
//! crash after any single write and may carry out an old plan. Each promise is also broken on
//! purpose: a defective operator must be noticed.

// A panic is how a test fails, and the number of states is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod checks;
mod cluster;
mod decide;
mod deletions;
mod ends;
mod flaws;
mod live;
mod model;
mod objects;
mod promises;
mod restores;
mod scope;
mod scopes;
mod steps;
mod upgrades;

use std::time::Instant;

use stateright::{Checker, Model};

use flaws::Flaw;
use model::World;
use promises::{
    AGAIN, BESIDE, DATA, EMPTY, FIRST, FOREIGN, ONCE, PAUSED, PODS, REST, ROLLOUT, SERVED, SERVER,
    TWO,
};
use scope::Scope;
use scopes::{BOOTSTRAP, CONFLICTS, DELETION, LEANING, MIGRATIONS, REQUESTS, SCALING, SETTINGS};

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

#[test]
fn a_service_starts_with_its_backup_once() {
    explore(BOOTSTRAP, 2_000);
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
        (Flaw::ServesEmpty, BOOTSTRAP, FIRST),
        (Flaw::BootstrapsTwice, BOOTSTRAP, SERVED),
        (Flaw::KeepsTheFirstOrder, BOOTSTRAP, REST),
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
