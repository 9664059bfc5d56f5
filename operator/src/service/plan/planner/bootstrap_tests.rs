//! The backup that a service starts from.

use super::{
    tests::{converged, job, wanted},
    *,
};
use crate::service::plan::write_reason::WriteReason;

fn restore() -> ChildId {
    ChildId::new(Kind::HelloRestore, "demo-bootstrap")
}

fn schedule() -> ChildId {
    ChildId::new(Kind::CronJob, "demo-backup")
}

fn request() -> ChildId {
    ChildId::new(Kind::Job, "demo-backup-now-1")
}

/// A service that is migrated and not rolled out.
fn migrated(bootstrap: Bootstrap) -> Facts {
    let mut facts = converged();
    facts.present.retain(|id, _| id.kind != Kind::Deployment);
    facts.live_replicas = None;
    facts.requested_backup = Some(request());
    facts.bootstrap = bootstrap;
    facts
}

/// What is decided of a service that also has a schedule, and of which a backup is requested.
fn decided(facts: &Facts) -> Plan {
    let mut all = wanted("new");
    let gates = [
        (restore(), Gate::Bootstrap),
        (schedule(), Gate::Always),
        (request(), Gate::Request),
    ];
    all.extend(gates.map(|(id, gate)| Wanted::new(id, gate)));
    all.sort_by_key(|child| child.id.clone());
    plan(&all, facts)
}

#[test]
fn nothing_serves_and_nothing_is_dumped_before_the_data_is_there() {
    let mut facts = migrated(Bootstrap::Due);
    assert_eq!(decided(&facts).actions, [Action::Create(restore())]);
    for presence in [
        Presence::Settled,
        Presence::Deleting,
        Presence::Predecessor,
        Presence::Foreign,
    ] {
        facts.present.insert(restore(), presence);
        let plan = decided(&facts);
        assert_eq!(plan.actions, [], "{presence:?}");
        assert_eq!(!plan.conflicts.is_empty(), presence == Presence::Foreign);
    }
    // The status says first that it is there.
    facts.bootstrap = Bootstrap::Done;
    facts.present.insert(restore(), Presence::Settled);
    assert_eq!(decided(&facts).actions, []);
    facts.bootstrap = Bootstrap::Over;
    facts.present.insert(restore(), Presence::Settled);
    let created = [
        request(),
        ChildId::new(Kind::Deployment, "demo"),
        schedule(),
    ];
    let created: Vec<_> = created.into_iter().map(Action::Create).collect();
    let mut actions = decided(&facts).actions;
    actions.retain(|action| !matches!(action, Action::Release(_)));
    assert_eq!(actions, created);
}

#[test]
fn another_source_is_another_order_and_the_first_one_goes_first() {
    let mut facts = migrated(Bootstrap::Due);
    facts.present.insert(restore(), Presence::Drifted);
    facts.outdated.insert(restore());
    let delete = Action::Delete(restore());
    assert_eq!(decided(&facts).actions, std::slice::from_ref(&delete));
    let reason = WriteReason::from_action(&delete, &facts);
    assert_eq!(reason, WriteReason::WantedChanged);
    // What has served is left alone, whatever the spec says now.
    facts.bootstrap = Bootstrap::Over;
    assert!(!decided(&facts).actions.contains(&delete));
}

#[test]
fn an_order_that_is_not_wanted_any_more_is_removed_before_anything_serves() {
    let mut facts = migrated(Bootstrap::Leaving);
    facts.present.insert(restore(), Presence::Settled);
    let actions = plan(&wanted("new"), &facts).actions;
    assert_eq!(actions, [Action::Delete(restore())]);
    facts.present.insert(restore(), Presence::Deleting);
    assert_eq!(plan(&wanted("new"), &facts).actions, []);
}

#[test]
fn an_order_waits_for_the_schema_and_for_the_end_of_a_pause() {
    for phase in [JobPhase::Active, JobPhase::Failed, JobPhase::Interrupted] {
        let mut facts = migrated(Bootstrap::Due);
        facts.jobs.insert(job("new"), phase);
        let create = Action::Create(restore());
        assert!(!decided(&facts).actions.contains(&create), "{phase:?}");
    }
    let mut facts = migrated(Bootstrap::Due);
    facts.paused = true;
    assert_eq!(decided(&facts).actions, []);
}
