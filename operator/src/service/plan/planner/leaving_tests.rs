//! What comes before a resource goes.

use super::{
    tests::{converged, job, wanted},
    *,
};
use crate::service::plan::leaving::{Leaving, Order};

fn order() -> ChildId {
    job("demo-backup-last-1")
}

fn app() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

fn claim() -> ChildId {
    ChildId::new(Kind::PersistentVolumeClaim, "demo-backup")
}

/// A resource that is being deleted, whose application is stopped, and whose last backup is due.
fn stopped() -> Facts {
    Facts {
        live_replicas: Some(0),
        wanted_replicas: Some(0),
        leaving: Some(Leaving {
            backup: Some(Order {
                job: order(),
                claim: claim(),
                proved: false,
                retry: false,
            }),
            serving: false,
            migration_runs: false,
            data_is_settled: true,
        }),
        ..converged()
    }
}

fn leaving(facts: &mut Facts) -> &mut Leaving {
    facts.leaving.as_mut().unwrap()
}

fn backup(facts: &mut Facts) -> &mut Order {
    leaving(facts).backup.as_mut().unwrap()
}

fn decided(facts: &Facts) -> Plan {
    let mut wanted = wanted("new");
    wanted.push(Wanted::new(order(), Gate::LastBackup));
    plan(&wanted, facts)
}

#[test]
fn the_application_is_stopped_first_and_its_autoscaler_removed_before() {
    let mut facts = stopped();
    (facts.live_replicas, leaving(&mut facts).serving) = (Some(3), true);
    let autoscaler = ChildId::new(Kind::HorizontalPodAutoscaler, "demo");
    facts.present.insert(autoscaler.clone(), Presence::Settled);
    facts.present.insert(app(), Presence::Drifted);
    let expected = [Action::Delete(autoscaler), Action::Scale(app(), 0)];
    assert_eq!(decided(&facts).actions, expected);
    // Nothing brings it back, and it is not created.
    facts = stopped();
    facts.present.remove(&app());
    facts.live_replicas = None;
    assert_eq!(decided(&facts).actions, [Action::Create(order())]);
}

#[test]
fn the_last_backup_waits_for_all_that_writes_or_reads_for_long() {
    assert_eq!(decided(&stopped()).actions, [Action::Create(order())]);
    type Change = fn(&mut Facts);
    let waits: [(&str, Change); 8] = [
        ("application", |facts| leaving(facts).serving = true),
        ("database", |facts| facts.database_ready = false),
        ("backup", |facts| facts.backing_up = true),
        ("restore", |facts| facts.restoring = true),
        ("pod of a migration", |facts| facts.migrating = true),
        ("migration", |facts| {
            leaving(facts).migration_runs = true;
            facts.jobs.insert(job("new"), JobPhase::Active);
        }),
        ("claim", |facts| {
            facts.present.insert(claim(), Presence::Deleting);
        }),
        ("pause", |facts| facts.paused = true),
    ];
    for (what, change) in waits {
        let mut facts = stopped();
        change(&mut facts);
        let plan = decided(&facts);
        assert_eq!(plan.actions, [], "{what}");
        assert_eq!(plan.finalizer, Finalizer::Unchanged, "{what}");
    }
    for presence in [Presence::Settled, Presence::Deleting, Presence::Foreign] {
        let mut facts = stopped();
        facts.present.insert(order(), presence);
        assert_eq!(decided(&facts).actions, [], "{presence:?}");
    }
}

#[test]
fn no_migration_starts_and_one_that_does_not_get_to_work_is_removed() {
    let mut facts = stopped();
    facts.present.remove(&job("new"));
    facts.jobs.clear();
    assert_eq!(decided(&facts).actions, [Action::Create(order())]);
    let mut facts = stopped();
    facts.jobs.insert(job("new"), JobPhase::Active);
    assert_eq!(decided(&facts).actions, [Action::Delete(job("new"))]);
    for phase in [JobPhase::Failed, JobPhase::Interrupted] {
        facts.jobs.insert(job("new"), phase);
        assert_eq!(decided(&facts).actions, [Action::Create(order())]);
    }
}

#[test]
fn one_that_failed_is_made_again_when_it_is_time_or_the_spec_has_changed() {
    let mut facts = stopped();
    facts.present.insert(order(), Presence::Settled);
    facts.last_backups.insert(order(), JobPhase::Failed);
    assert_eq!(decided(&facts).actions, []);
    backup(&mut facts).retry = true;
    assert_eq!(decided(&facts).actions, [Action::Delete(order())]);
    backup(&mut facts).retry = false;
    facts.present.insert(order(), Presence::Drifted);
    facts.outdated.insert(order());
    assert_eq!(decided(&facts).actions, [Action::Delete(order())]);
    // What is proved is never made again.
    backup(&mut facts).proved = true;
    leaving(&mut facts).data_is_settled = false;
    assert_eq!(decided(&facts).actions, []);
}

#[test]
fn one_of_an_earlier_stop_does_not_count() {
    let mut facts = stopped();
    let earlier = job("demo-backup-last-0");
    facts
        .last_backups
        .insert(earlier.clone(), JobPhase::Succeeded);
    facts.present.insert(earlier.clone(), Presence::Settled);
    let plan = decided(&facts);
    assert!(!facts.is_migration(&earlier) && !facts.is_migration(&order()));
    let both = [Action::Create(order()), Action::Delete(earlier)];
    assert_eq!(plan.actions, both);
    assert_eq!(plan.finalizer, Finalizer::Unchanged);
}

#[test]
fn the_resource_goes_once_the_backup_is_proved_and_the_data_is_released() {
    let gone = |facts: &Facts| {
        let plan = decided(facts);
        assert!(plan.finalizer == Finalizer::Unchanged || plan.actions.is_empty());
        plan.finalizer == Finalizer::Remove
    };
    let mut facts = stopped();
    assert!(!gone(&facts));
    backup(&mut facts).proved = true;
    assert!(gone(&facts));
    type Change = fn(&mut Facts);
    let waits: [Change; 3] = [
        |facts| leaving(facts).data_is_settled = false,
        |facts| leaving(facts).serving = true,
        |facts| facts.paused = true,
    ];
    for change in waits {
        let mut facts = facts.clone();
        change(&mut facts);
        assert!(!gone(&facts), "{facts:?}");
    }
}

#[test]
fn without_a_backup_only_the_owner_of_the_data_is_written() {
    let credentials = ChildId::new(Kind::Secret, "demo-credentials");
    let mut facts = stopped();
    leaving(&mut facts).backup = None;
    facts.live_replicas = Some(3);
    // Also while it is paused: the pause holds up nothing that writes nothing.
    facts.paused = true;
    let plan = decided(&facts);
    assert_eq!((plan.finalizer, plan.actions), (Finalizer::Remove, vec![]));
    facts.paused = false;
    facts.present.insert(credentials.clone(), Presence::Drifted);
    facts.present.insert(app(), Presence::Drifted);
    leaving(&mut facts).data_is_settled = false;
    let mut wanted = wanted("new");
    wanted.push(Wanted::new(credentials.clone(), Gate::Always));
    let plan = super::plan(&wanted, &facts);
    assert_eq!(plan.actions, [Action::Update(credentials)]);
    assert_eq!(plan.finalizer, Finalizer::Unchanged);
}
