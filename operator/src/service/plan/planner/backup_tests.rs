//! Runs of the backups: those that are stuck, and those that a person requests.

use super::{
    tests::{converged, job, wanted},
    *,
};

#[test]
fn a_run_of_the_backups_that_is_stuck_is_deleted_and_no_migration_is_disturbed() {
    let mut facts = converged();
    facts.stuck_runs.insert(job("demo-backup-1"));
    let plan = plan(&wanted("new"), &facts);
    assert_eq!(plan.actions, [Action::Delete(job("demo-backup-1"))]);
    assert_eq!(plan.migration, Migration::Succeeded);
    facts.paused = true;
    assert_eq!(super::plan(&wanted("new"), &facts).actions, []);
}

fn request() -> ChildId {
    ChildId::new(Kind::Job, "demo-backup-now-1")
}

/// What is decided when a backup is requested.
fn requested(facts: &Facts) -> Plan {
    let mut wanted = wanted("new");
    wanted.push(Wanted::new(request(), Gate::Request));
    let facts = Facts {
        requested_backup: Some(request()),
        ..facts.clone()
    };
    plan(&wanted, &facts)
}

#[test]
fn a_requested_backup_is_made_once() {
    let mut facts = converged();
    assert_eq!(requested(&facts).actions, [Action::Create(request())]);
    for presence in [Presence::Settled, Presence::Deleting, Presence::Foreign] {
        facts.present.insert(request(), presence);
        let plan = requested(&facts);
        assert_eq!(plan.actions, [], "{presence:?}");
        assert_eq!(plan.migration, Migration::Succeeded);
    }
}

#[test]
fn a_requested_backup_waits_for_what_it_would_disturb() {
    let claim = ChildId::new(Kind::PersistentVolumeClaim, "demo-backup");
    let schedule = ChildId::new(Kind::CronJob, "demo-backup");
    type Change = fn(&mut Facts);
    let waits: [(&str, Change); 7] = [
        ("database", |facts| facts.database_ready = false),
        ("backup", |facts| facts.backing_up = true),
        ("restore", |facts| facts.restoring = true),
        ("pod of a migration", |facts| facts.migrating = true),
        ("migration", |facts| {
            facts.jobs.insert(job("new"), JobPhase::Active);
        }),
        ("retry", |facts| {
            facts.jobs.insert(job("new"), JobPhase::Interrupted);
        }),
        ("pause", |facts| facts.paused = true),
    ];
    let is_made = |facts: &Facts| {
        requested(facts)
            .actions
            .contains(&Action::Create(request()))
    };
    for (what, change) in waits {
        let mut facts = converged();
        change(&mut facts);
        assert!(!is_made(&facts), "{what}");
    }
    let mut facts = converged();
    facts.present.insert(schedule, Presence::Settled);
    assert!(is_made(&facts));
    facts.present.insert(claim, Presence::Deleting);
    assert!(!is_made(&facts));
    // The schema rests where its migration failed.
    let mut facts = converged();
    facts.jobs.insert(job("new"), JobPhase::Failed);
    assert!(is_made(&facts));
}

#[test]
fn a_requested_backup_is_no_migration() {
    let facts = Facts {
        requested_backup: Some(request()),
        ..converged()
    };
    assert!(!facts.is_migration(&request()));
    assert!(facts.is_migration(&job("new")));
}
