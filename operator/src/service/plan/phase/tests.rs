//! Which phase follows. Every interleaving is in `operator/tests/explore/upgrades`.

use hello_crds::UpgradePhase::{
    self, BackingUp, Restoring, Reverting, Starting, Stopping, Switching,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    object::live::{Live, LiveObjects},
    service::{
        plan::{facts::Facts, leaving::Order},
        validate::{DefaultImages, validate},
    },
};

const FILE: &str = "hello-20260101T000000Z";
const JOB: &str = "demo-backup-last-1";

fn service(wish: Option<&str>, database: &Value) -> Validated {
    let mut known = json!({"kind": "managed", "data": {"uid": "old"}, "image": "postgres:16"});
    for (field, value) in database.as_object().into_iter().flatten() {
        known[field] = value.clone();
    }
    let service = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "u"},
        "spec": {"database": {"managed": {"dataVersion": wish}}, "backup": {"schedule": "@daily"}},
        "status": {"database": known, "backup": {"ordered": {"job": JOB, "file": FILE}}}});
    let images = DefaultImages::of_tests();
    validate(&serde_json::from_value(service).unwrap(), &images).unwrap()
}

fn at(phase: UpgradePhase) -> Value {
    let late = matches!(phase, Switching | Restoring | Reverting);
    let upgrade = json!({"to": "18", "phase": phase, "since": "2026-01-01T00:00:00Z", "job": JOB,
        "backup": late.then_some(FILE), "restore": late.then_some("demo-1-upgrade"),
        "claim": (phase == Restoring).then_some("new")});
    json!({"upgrade": upgrade})
}

fn claims() -> LiveObjects {
    let mut live = LiveObjects::default();
    let owner = json!([{"apiVersion": "v1", "kind": "HelloService", "name": "demo", "uid": "u", "controller": true}]);
    let set = json!({"metadata": {"name": "demo-db", "uid": "set", "ownerReferences": owner}});
    let claim = |name: &str, uid: &str| json!({"metadata": {"name": name, "uid": uid}});
    for (kind, object) in [
        (Kind::StatefulSet, set),
        (Kind::PersistentVolumeClaim, claim("data-demo-db-0", "old")),
        (
            Kind::PersistentVolumeClaim,
            claim("data-18-demo-db-0", "new"),
        ),
    ] {
        let id = ChildId::new(kind, object["metadata"]["name"].as_str().unwrap());
        let object = Live::parse(kind, serde_json::from_value(object).unwrap());
        live.insert(id, object.unwrap());
    }
    live
}

fn facts(phase: UpgradePhase) -> Facts {
    let claim = |name: &str| ChildId::new(Kind::PersistentVolumeClaim, name);
    let set = ChildId::new(Kind::StatefulSet, "demo-db");
    let mut facts = Facts {
        database_ready: true,
        upgrade: Some(Upgrade {
            phase,
            backup: Some(Order {
                job: ChildId::new(Kind::Job, JOB),
                claim: claim("demo-backup"),
                proved: true,
                retry: false,
            }),
            returns: false,
            same_state: true,
            serving: false,
            migration_runs: false,
            detached: true,
            restore_rests: true,
        }),
        ..Facts::default()
    };
    facts.present.insert(set, Presence::Settled);
    facts
}

fn remembered(service: &Validated, facts: &Facts, live: &LiveObjects) -> Remembered {
    let found = Found {
        facts,
        live,
        ready: true,
        migration: Migration::Succeeded,
        now: "2026-01-01T01:00:00Z".parse().unwrap(),
    };
    remember(service, &found)
}

fn follows(
    wish: Option<&str>,
    phase: UpgradePhase,
    change: impl Fn(&mut Facts),
) -> Option<UpgradePhase> {
    let service = service(wish, &at(phase));
    let phase = service.data.upgrade.as_ref().unwrap().phase;
    let mut facts = facts(phase);
    change(&mut facts);
    let after = remembered(&service, &facts, &claims());
    after.upgrade.map(|upgrade| upgrade.phase)
}

#[test]
fn each_phase_follows_once_what_it_waits_for_is_read() {
    let done = |facts: &mut Facts| facts.bootstrap = Bootstrap::Done;
    let gone = |facts: &mut Facts| facts.present.clear();
    let new = Some("18");
    assert_eq!(follows(new, Stopping, |_| {}), Some(BackingUp));
    assert_eq!(follows(new, BackingUp, |_| {}), Some(Switching));
    assert_eq!(follows(new, Switching, |_| {}), Some(Switching));
    assert_eq!(follows(new, Switching, gone), Some(Restoring));
    assert_eq!(follows(new, Restoring, |_| {}), Some(Restoring));
    assert_eq!(follows(new, Restoring, done), Some(Starting));
    assert_eq!(follows(new, Starting, |_| {}), None);
}

#[test]
fn nothing_follows_while_something_may_write() {
    let serving = |facts: &mut Facts| facts.upgrade.as_mut().unwrap().serving = true;
    for phase in [Stopping, Restoring] {
        let found = follows(Some("18"), phase, |facts| {
            facts.bootstrap = Bootstrap::Done;
            serving(facts);
        });
        assert_eq!(found, Some(phase));
    }
    let late = |facts: &mut Facts| facts.upgrade.as_mut().unwrap().same_state = false;
    assert_eq!(follows(Some("18"), Switching, late), Some(BackingUp));
    let found = follows(Some("18"), Restoring, |facts| {
        facts.bootstrap = Bootstrap::Done;
        late(facts);
    });
    assert_eq!(found, Some(Restoring));
}

#[test]
fn another_wish_goes_back_and_what_served_is_still_known() {
    for phase in [Stopping, BackingUp, Switching, Restoring] {
        let other = follows(None, phase, |facts| facts.other_server = true);
        assert_eq!(other, Some(Reverting), "{phase:?}");
        assert_eq!(follows(None, phase, |_| {}), Some(Starting), "{phase:?}");
        let service = service(None, &at(phase));
        let after = remembered(&service, &facts(Reverting), &claims());
        assert_eq!(after.data.unwrap().uid, "old");
        assert_eq!(after.serving, DataVersion(None));
        assert_eq!(after.former, []);
    }
}

#[test]
fn what_has_served_is_remembered_with_its_claim() {
    let service = service(Some("18"), &at(Restoring));
    let mut facts = facts(Restoring);
    facts.bootstrap = Bootstrap::Done;
    let after = remembered(&service, &facts, &claims());
    assert_eq!(after.serving, DataVersion(Some("18".into())));
    assert_eq!(after.data.unwrap().uid, "new");
    assert_eq!(after.image.as_deref(), Some("postgres:18"));
    let former = &after.former[0];
    assert_eq!((&*former.claim, &*former.uid), ("data-demo-db-0", "old"));
    assert_eq!(former.image.as_deref(), Some("postgres:16"));
}

#[test]
fn a_claim_that_was_replaced_is_never_complete() {
    let mut known = at(Restoring);
    known["upgrade"]["claim"] = "before".into();
    let service = service(Some("18"), &known);
    let mut facts = facts(Restoring);
    facts.bootstrap = Bootstrap::Done;
    let after = remembered(&service, &facts, &claims());
    assert_eq!(after.upgrade.unwrap().phase, Restoring);
}

#[test]
fn former_data_comes_back_only_by_the_consent_of_this_time() {
    let former = json!({"dataVersion": "18", "claim": "data-18-demo-db-0", "uid": "new", "until": "2026-01-01T00:30:00Z"});
    for (accepted, begins) in [
        (None, false),
        (Some("new"), false),
        (Some("new@2026-01-01T00:00:00Z"), false),
        (Some("new@2026-01-01T00:30:00Z"), true),
    ] {
        let mut service = service(Some("18"), &json!({"former": [former]}));
        service.known_data.accepted = accepted.map(str::to_owned);
        let mut facts = facts(Stopping);
        facts.upgrade = None;
        let after = remembered(&service, &facts, &claims());
        assert_eq!(after.upgrade.is_some(), begins, "{accepted:?}");
        assert_eq!(obstacle(&service, &claims()).is_none(), begins);
        let claim = after.upgrade.and_then(|upgrade| upgrade.claim);
        assert_eq!(claim.as_deref(), begins.then_some("new"));
    }
}

#[test]
fn a_volume_that_is_there_is_not_used_unless_it_has_served() {
    let service = service(Some("18"), &json!({}));
    let words = obstacle(&service, &claims()).unwrap();
    assert!(words.contains("not known to be complete"), "{words}");
    let mut live = claims();
    live.remove(&ChildId::new(
        Kind::PersistentVolumeClaim,
        "data-18-demo-db-0",
    ));
    assert_eq!(obstacle(&service, &live), None);
    let mut facts = facts(Stopping);
    facts.upgrade = None;
    let after = remembered(&service, &facts, &live);
    assert_eq!(after.upgrade.unwrap().phase, Stopping);
    facts.data_replaced = true;
    assert_eq!(remembered(&service, &facts, &live).upgrade, None);
}
