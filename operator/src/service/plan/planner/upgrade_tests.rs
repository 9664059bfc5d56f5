//! What is done while the data's version changes.

use hello_crds::UpgradePhase;

use super::{
    tests::{converged, job, wanted},
    *,
};
use crate::service::plan::{leaving::Order, upgrade::Upgrade};

fn order() -> ChildId {
    job("demo-backup-last-1")
}

fn app() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

fn server() -> ChildId {
    ChildId::new(Kind::StatefulSet, "demo-db")
}

/// A stopped application, and a server that may be stopped.
fn changing(phase: UpgradePhase, proved: bool) -> Facts {
    let mut facts = Facts {
        live_replicas: Some(0),
        wanted_replicas: Some(0),
        upgrade: Some(Upgrade {
            phase,
            backup: Some(Order {
                job: order(),
                claim: ChildId::new(Kind::PersistentVolumeClaim, "demo-backup"),
                proved,
                retry: false,
            }),
            returns: false,
            same_state: true,
            serving: false,
            migration_runs: false,
            detached: true,
            restore_rests: true,
        }),
        ..converged()
    };
    facts.present.insert(server(), Presence::Settled);
    facts
}

fn upgrade(facts: &mut Facts) -> &mut Upgrade {
    facts.upgrade.as_mut().unwrap()
}

fn decided(facts: &Facts) -> Vec<Action> {
    let mut wanted = wanted("new");
    wanted.push(Wanted::new(server(), Gate::Always));
    wanted.push(Wanted::new(order(), Gate::LastBackup));
    plan(&wanted, facts).actions
}

#[test]
fn the_application_is_stopped_in_each_phase_but_the_last() {
    for phase in UpgradePhase::ALL {
        let mut facts = changing(phase, true);
        upgrade(&mut facts).serving = true;
        (facts.live_replicas, facts.wanted_replicas) = (Some(2), Some(2));
        let expected: &[Action] = match phase {
            UpgradePhase::Starting => &[],
            _ => &[Action::Scale(app(), 0)],
        };
        assert_eq!(decided(&facts), expected, "{phase:?}");
    }
}

#[test]
fn one_backup_is_made_once_nothing_writes_any_more() {
    let facts = changing(UpgradePhase::BackingUp, false);
    assert_eq!(decided(&facts), [Action::Create(order())]);
    for phase in [UpgradePhase::Stopping, UpgradePhase::Restoring] {
        assert_eq!(decided(&changing(phase, false)), [], "{phase:?}");
    }
    type Change = fn(&mut Facts);
    let waits: [Change; 4] = [
        |facts| upgrade(facts).serving = true,
        |facts| facts.migrating = true,
        |facts| facts.restoring = true,
        |facts| facts.database_ready = false,
    ];
    for change in waits {
        let mut facts = changing(UpgradePhase::BackingUp, false);
        change(&mut facts);
        assert_eq!(decided(&facts), []);
    }
    let mut failed = changing(UpgradePhase::BackingUp, false);
    failed.present.insert(order(), Presence::Settled);
    assert_eq!(decided(&failed), []);
    let backup = upgrade(&mut failed).backup.as_mut().unwrap();
    backup.retry = true;
    assert_eq!(decided(&failed), [Action::Delete(order())]);
}

#[test]
fn the_server_goes_only_with_a_proof_and_without_its_claim() {
    let facts = changing(UpgradePhase::Switching, true);
    assert_eq!(decided(&facts), [Action::Delete(server())]);
    type Change = fn(&mut Facts);
    let kept: [(&str, Change); 8] = [
        ("proof", |facts| {
            upgrade(facts).backup.as_mut().unwrap().proved = false;
        }),
        ("state", |facts| upgrade(facts).same_state = false),
        ("claim", |facts| upgrade(facts).detached = false),
        ("application", |facts| upgrade(facts).serving = true),
        ("migration", |facts| facts.migrating = true),
        ("backup", |facts| facts.backing_up = true),
        ("restore", |facts| facts.restoring = true),
        ("pause", |facts| facts.paused = true),
    ];
    for (what, change) in kept {
        let mut facts = changing(UpgradePhase::Switching, true);
        change(&mut facts);
        assert_eq!(decided(&facts), [], "{what}");
    }
    // Former data that was accepted is in no backup.
    let mut returns = changing(UpgradePhase::Switching, false);
    upgrade(&mut returns).returns = true;
    upgrade(&mut returns).backup = None;
    assert!(decided(&returns).contains(&Action::Delete(server())));
}

#[test]
fn a_server_that_is_gone_comes_back_only_in_another_phase() {
    for (phase, comes) in [
        (UpgradePhase::BackingUp, true),
        (UpgradePhase::Switching, false),
        (UpgradePhase::Restoring, true),
        (UpgradePhase::Reverting, true),
    ] {
        let mut facts = changing(phase, true);
        facts.present.remove(&server());
        let created = decided(&facts).contains(&Action::Create(server()));
        assert_eq!(created, comes, "{phase:?}");
    }
}

#[test]
fn a_server_with_other_data_is_never_changed() {
    let mut facts = changing(UpgradePhase::Reverting, true);
    facts.present.insert(server(), Presence::Drifted);
    assert_eq!(decided(&facts), [Action::Update(server())]);
    facts.other_server = true;
    assert_eq!(decided(&facts), [Action::Delete(server())]);
    upgrade(&mut facts).restore_rests = false;
    assert_eq!(decided(&facts), []);
    // Without a change, nobody knows which data has served.
    facts.upgrade = None;
    assert_eq!(decided(&facts), []);
    (facts.other_server, facts.incomplete) = (false, true);
    facts.present.remove(&server());
    assert_eq!(decided(&facts), []);
}

#[test]
fn a_migration_that_does_not_get_to_work_is_not_waited_for() {
    let mut facts = changing(UpgradePhase::Stopping, false);
    facts.jobs.insert(job("new"), JobPhase::Active);
    facts.present.insert(job("new"), Presence::Settled);
    assert_eq!(decided(&facts), [Action::Delete(job("new"))]);
    upgrade(&mut facts).migration_runs = true;
    assert_eq!(decided(&facts), []);
}
