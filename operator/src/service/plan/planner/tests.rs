use std::collections::BTreeSet;

use super::*;
use crate::object::pod::SeenPod;

fn deployment() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

pub(super) fn job(name: &str) -> ChildId {
    ChildId::new(Kind::Job, name)
}

fn service() -> ChildId {
    ChildId::new(Kind::Service, "demo")
}

pub(super) fn wanted(job_name: &str) -> Vec<Wanted> {
    [
        (service(), Gate::Always),
        (job(job_name), Gate::Migration),
        (deployment(), Gate::Migrated),
    ]
    .map(|(id, gate)| Wanted::new(id, gate))
    .into()
}

/// A cluster in which `new` has been migrated and rolled out.
pub(super) fn converged() -> Facts {
    Facts {
        present: [service(), job("new"), deployment()]
            .map(|id| (id, Presence::Settled))
            .into(),
        jobs: [(job("new"), JobPhase::Succeeded)].into(),
        outdated: BTreeSet::new(),
        data_replaced: false,
        data_claim: None,
        other_server: false,
        incomplete: false,
        upgrade: None,
        database_ready: true,
        accepts_migration: true,
        unusable_address: None,
        migrating: false,
        stuck_pod: None,
        stuck_runs: BTreeSet::new(),
        backing_up: false,
        restoring: false,
        bootstrap: Bootstrap::Over,
        requested_backup: None,
        last_backups: [].into(),
        leaving: None,
        finalizer: Finalizer::Unchanged,
        recorded: None,
        live_replicas: Some(2),
        wanted_replicas: Some(2),
        initial_replicas: 2,
        least_replicas: None,
        holds_replicas: false,
        missing: BTreeSet::new(),
        paused: false,
    }
}

#[test]
fn nothing_is_written_at_rest() {
    let plan = plan(&wanted("new"), &converged());
    assert_eq!(plan.actions, []);
    assert_eq!(plan.migration, Migration::Succeeded);
}

#[test]
fn a_first_start_waits_for_the_database_then_migrates_then_rolls_out() {
    let mut facts = Facts {
        initial_replicas: 3,
        wanted_replicas: Some(3),
        ..Facts::default()
    };
    let first = plan(&wanted("new"), &facts);
    assert_eq!(first.actions, [Action::Create(service())]);
    assert_eq!(first.migration, Migration::Pending);

    facts.present.insert(service(), Presence::Settled);
    facts.accepts_migration = true;
    let second = plan(&wanted("new"), &facts);
    assert_eq!(second.actions, [Action::Create(job("new"))]);
    assert_eq!(second.migration, Migration::Running);

    facts.present.insert(job("new"), Presence::Settled);
    facts.jobs.insert(job("new"), JobPhase::Active);
    assert_eq!(plan(&wanted("new"), &facts).actions, []);

    facts.jobs.insert(job("new"), JobPhase::Succeeded);
    let last = plan(&wanted("new"), &facts);
    assert_eq!(
        last.actions,
        [Action::Create(deployment()), Action::Release(deployment())]
    );
}

#[test]
fn a_failed_migration_leaves_the_old_pods_and_does_not_loop() {
    let mut facts = converged();
    facts.jobs.insert(job("new"), JobPhase::Failed);
    facts.present.insert(deployment(), Presence::Drifted);
    let plan = plan(&wanted("new"), &facts);
    assert_eq!(plan.actions, []);
    assert_eq!(plan.migration, Migration::Failed);
}

#[test]
fn the_number_of_pods_follows_also_while_a_migration_failed() {
    let mut facts = converged();
    facts.jobs.insert(job("new"), JobPhase::Failed);
    facts.present.insert(deployment(), Presence::Drifted);
    facts.wanted_replicas = Some(5);
    let plan = plan(&wanted("new"), &facts);
    assert_eq!(plan.actions, [Action::Scale(deployment(), 5)]);
}

#[test]
fn another_migration_must_be_gone_before_the_next_starts() {
    for phase in [JobPhase::Active, JobPhase::Succeeded, JobPhase::Failed] {
        let mut facts = converged();
        facts.jobs = [(job("old"), phase)].into();
        facts.present.remove(&job("new"));
        facts.present.insert(job("old"), Presence::Settled);
        facts.present.insert(deployment(), Presence::Drifted);
        let first = plan(&wanted("new"), &facts);
        assert_eq!(first.actions, [Action::Delete(job("old"))], "{phase:?}");

        facts.present.insert(job("old"), Presence::Deleting);
        let second = plan(&wanted("new"), &facts);
        assert_eq!(second.actions, [], "{phase:?}");
        assert_eq!(second.migration, Migration::Pending);
    }
}

#[test]
fn a_pod_whose_job_is_gone_must_end_before_the_next_migration() {
    let mut facts = converged();
    facts.present.remove(&job("new"));
    facts.jobs.clear();
    facts.migrating = true;
    assert_eq!(plan(&wanted("new"), &facts).actions, []);
    facts.migrating = false;
    // It would swap data of another schema in.
    facts.restoring = true;
    assert_eq!(plan(&wanted("new"), &facts).actions, []);
    facts.restoring = false;
    let actions = plan(&wanted("new"), &facts).actions;
    assert_eq!(actions, [Action::Create(job("new"))]);
}

#[test]
fn an_interrupted_migration_makes_way_for_another_one_of_its_name() {
    let mut facts = converged();
    facts.jobs.insert(job("new"), JobPhase::Interrupted);
    let first = plan(&wanted("new"), &facts);
    assert_eq!(first.actions, [Action::Delete(job("new"))]);
    assert_eq!(first.migration, Migration::Interrupted);
    facts.present.insert(job("new"), Presence::Deleting);
    assert_eq!(plan(&wanted("new"), &facts).actions, []);
    facts.present.remove(&job("new"));
    facts.jobs.clear();
    assert_eq!(
        plan(&wanted("new"), &facts).actions,
        [Action::Create(job("new"))]
    );
}

#[test]
fn a_migration_that_is_recorded_needs_no_job_and_the_record_ends_before_another_one() {
    let mut facts = converged();
    facts.recorded = Some((deployment(), "new".into()));
    facts.present.remove(&job("new"));
    facts.jobs.clear();
    let known = plan(&wanted("new"), &facts);
    assert_eq!(known.actions, []);
    assert_eq!(known.migration, Migration::Succeeded);
    // Somebody is migrating all the same.
    facts.migrating = true;
    assert_eq!(plan(&wanted("new"), &facts).migration, Migration::Pending);
    facts.migrating = false;
    let other = plan(&wanted("other"), &facts);
    let expected = [Action::Forget(deployment()), Action::Create(job("other"))];
    assert_eq!(other.actions, expected);
    // Not while the other one cannot begin yet.
    facts.accepts_migration = false;
    assert_eq!(plan(&wanted("other"), &facts).actions, []);
}

#[test]
fn a_stuck_pod_is_replaced_once_its_template_is_the_wanted_one() {
    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    let wanted = [Wanted::new(server.clone(), Gate::Always)];
    let pod = SeenPod {
        name: "demo-db-0".into(),
        uid: "u".into(),
        resource_version: "1".into(),
    };
    let mut facts = Facts {
        stuck_pod: Some(pod.clone()),
        ..Facts::default()
    };
    facts.present.insert(server.clone(), Presence::Settled);
    assert_eq!(
        plan(&wanted, &facts).actions,
        [Action::Replace(server.clone(), pod)]
    );
    facts.present.insert(server.clone(), Presence::Drifted);
    assert_eq!(plan(&wanted, &facts).actions, [Action::Update(server)]);
    // Of any other child nothing is replaced.
    facts.present = [(service(), Presence::Settled)].into();
    let wanted = [Wanted::new(service(), Gate::Always)];
    assert_eq!(plan(&wanted, &facts).actions, []);
}

#[test]
fn a_server_is_not_made_on_a_volume_that_is_not_its_own() {
    let claim = ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0");
    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    let wanted = [
        (claim.clone(), Gate::IfPresent),
        (server.clone(), Gate::Always),
    ]
    .map(|(id, gate)| Wanted::new(id, gate));
    let actions = |volume: Option<Presence>| {
        let mut facts = Facts {
            data_claim: Some(claim.clone()),
            ..Facts::default()
        };
        facts
            .present
            .extend(volume.map(|presence| (claim.clone(), presence)));
        plan(&wanted, &facts).actions
    };
    for taken in [Presence::Deleting, Presence::Predecessor, Presence::Foreign] {
        assert_eq!(actions(Some(taken)), [], "{taken:?}");
    }
    for free in [None, Some(Presence::Settled)] {
        assert_eq!(actions(free), [Action::Create(server.clone())], "{free:?}");
    }
}

#[test]
fn an_unready_database_starts_no_migration_but_keeps_a_finished_one() {
    let mut facts = converged();
    facts.accepts_migration = false;
    facts.present.insert(deployment(), Presence::Drifted);
    assert_eq!(
        plan(&wanted("new"), &facts).actions,
        [Action::Update(deployment())]
    );
    facts.present.remove(&job("new"));
    facts.jobs.clear();
    assert_eq!(plan(&wanted("new"), &facts).actions, []);
}

#[test]
fn the_autoscaler_owns_the_number_of_pods() {
    let mut facts = converged();
    facts.wanted_replicas = None;
    facts.live_replicas = Some(7);
    facts.present.insert(deployment(), Presence::Drifted);
    assert_eq!(
        plan(&wanted("new"), &facts).actions,
        [Action::Update(deployment())]
    );
}

#[test]
fn fewer_pods_than_the_autoscaler_may_choose_are_drift() {
    let mut facts = converged();
    facts.wanted_replicas = None;
    facts.least_replicas = Some(2);
    for (live, expected) in [
        (
            0,
            vec![
                Action::Scale(deployment(), 2),
                Action::Release(deployment()),
            ],
        ),
        (
            1,
            vec![
                Action::Scale(deployment(), 2),
                Action::Release(deployment()),
            ],
        ),
        (2, vec![]),
        (9, vec![]),
    ] {
        facts.live_replicas = Some(live);
        assert_eq!(plan(&wanted("new"), &facts).actions, expected, "{live}");
    }
}

#[test]
fn a_number_that_is_held_is_released_before_an_update_takes_it_away() {
    let mut facts = converged();
    facts.holds_replicas = true;
    facts.present.insert(deployment(), Presence::Drifted);
    assert_eq!(
        plan(&wanted("new"), &facts).actions,
        [Action::Release(deployment()), Action::Update(deployment())]
    );
}

#[test]
fn an_autoscaler_is_gone_before_the_number_changes() {
    let mut facts = converged();
    let autoscaler = ChildId::new(Kind::HorizontalPodAutoscaler, "demo");
    facts.live_replicas = Some(7);
    facts.present.insert(autoscaler.clone(), Presence::Settled);
    assert_eq!(
        plan(&wanted("new"), &facts).actions,
        [Action::Delete(autoscaler), Action::Scale(deployment(), 2)]
    );
}

#[test]
fn no_pod_is_made_for_a_foreign_volume() {
    for (kind, name, claim) in [
        (Kind::StatefulSet, "demo-db", "data-demo-db-0"),
        (Kind::CronJob, "demo-backup", "demo-backup"),
    ] {
        let id = ChildId::new(kind, name);
        let claim = ChildId::new(Kind::PersistentVolumeClaim, claim);
        let wanted = [(claim.clone(), Gate::IfPresent), (id.clone(), Gate::Always)]
            .map(|(id, gate)| Wanted::new(id, gate));
        let mut facts = Facts {
            data_claim: Some(claim.clone()),
            ..Facts::default()
        };
        facts.present.insert(claim.clone(), Presence::Foreign);
        assert_eq!(plan(&wanted, &facts).actions, []);
        facts.present.insert(claim, Presence::Settled);
        assert_eq!(plan(&wanted, &facts).actions, [Action::Create(id)]);
    }
}

#[test]
fn a_foreign_object_is_reported_and_never_written() {
    let mut facts = converged();
    for id in [service(), job("new"), deployment()] {
        facts.present.insert(id, Presence::Foreign);
    }
    facts.jobs.clear();
    let plan = plan(&wanted("new"), &facts);
    assert_eq!(plan.actions, []);
    assert_eq!(plan.conflicts, [service(), job("new"), deployment()]);
}

#[test]
fn unwanted_children_are_deleted_once() {
    let mut facts = converged();
    let orphan = ChildId::new(Kind::Ingress, "demo");
    facts.present.insert(orphan.clone(), Presence::Settled);
    assert_eq!(
        plan(&wanted("new"), &facts).actions,
        [Action::Delete(orphan.clone())]
    );
    facts.present.insert(orphan, Presence::Deleting);
    assert_eq!(plan(&wanted("new"), &facts).actions, []);
}

#[test]
fn paused_writes_nothing_but_still_sees() {
    let mut facts = converged();
    facts.paused = true;
    facts.present.insert(service(), Presence::Drifted);
    let plan = plan(&wanted("new"), &facts);
    assert_eq!(plan.actions, []);
    assert_eq!(plan.migration, Migration::Succeeded);
}

#[test]
fn what_the_cluster_does_not_serve_is_left_out_and_named() {
    let cluster = ChildId::new(Kind::Cluster, "demo-db");
    let wanted = [(cluster.clone(), Gate::Always), (service(), Gate::Always)]
        .map(|(id, gate)| Wanted::new(id, gate));
    let mut facts = Facts {
        missing: [Kind::Cluster].into(),
        ..Facts::default()
    };
    let without = plan(&wanted, &facts);
    assert_eq!(without.actions, [Action::Create(service())]);
    assert_eq!(without.unavailable, std::slice::from_ref(&cluster));
    facts.missing.clear();
    let with = plan(&wanted, &facts);
    assert_eq!(with.actions[0], Action::Create(cluster));
    assert_eq!(with.unavailable, []);
}
