use super::*;
use crate::object::live::LiveObjects;
use serde_json::{Value, json};

const CREATED: &str = "2026-01-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn observed(kind: Kind, object: &Value, pods: Value) -> Observed {
    let mut object = object.clone();
    object["metadata"] = json!({"name": "x", "uid": "u", "creationTimestamp": CREATED});
    let live = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
    let mut observed = Observed {
        pods: serde_json::from_value(pods).unwrap(),
        ..Observed::default()
    };
    observed.children.insert(ChildId::new(kind, "x"), live);
    observed
}

fn pod(owner: &str, phase: &str, created: &str) -> Value {
    json!({"metadata": {"name": "p", "creationTimestamp": created, "ownerReferences":
        [{"apiVersion": "v1", "kind": "Owner", "name": "x", "uid": owner}]}, "status": {"phase": phase}})
}

fn set(ready: i32) -> Value {
    json!({"spec": {"replicas": 1, "selector": {}, "serviceName": "x", "template": {}},
        "status": {"replicas": 0, "readyReplicas": ready}})
}

fn event(message: &str, last: &str) -> Event {
    serde_json::from_value(
        json!({"metadata": {}, "involvedObject": {}, "reason": "FailedCreate",
        "message": message, "lastTimestamp": last}),
    )
    .unwrap()
}

#[test]
fn an_owner_waits_while_none_of_its_own_pods_is_left_to_work() {
    let none = json!([]);
    let waits = |kind, object: &Value, pods: Value| {
        !waiting(&observed(kind, object, pods), Times::default()).is_empty()
    };
    assert!(waits(Kind::StatefulSet, &set(0), none.clone()));
    assert!(!waits(Kind::StatefulSet, &set(1), none.clone()));
    for (owner, phase, expected) in [
        ("u", "Pending", false),
        ("u", "Running", false),
        ("u", "Failed", true),
        ("other", "Running", true),
    ] {
        let pods = json!([pod(owner, phase, CREATED)]);
        let found = waits(Kind::StatefulSet, &set(0), pods);
        assert_eq!(found, expected, "{owner} {phase}");
    }
    let job = |status: Value, suspend: bool| json!({"spec": {"suspend": suspend, "template": {}}, "status": status});
    let ended = json!({"conditions": [{"type": "Failed", "status": "True"}]});
    for (job, expected) in [
        (job(json!({}), false), true),
        (job(json!({"active": 0, "failed": 1}), false), true),
        (job(json!({"succeeded": 1}), false), false),
        (job(ended, false), false),
        (job(json!({}), true), false),
    ] {
        assert_eq!(waits(Kind::Job, &job, none.clone()), expected, "{job}");
    }
}

#[test]
fn a_pod_is_late_after_a_moment() {
    let observed = observed(Kind::StatefulSet, &set(0), json!([]));
    let all = waiting(&observed, Times::default());
    let [waiting] = &all[..] else {
        panic!("{all:?}")
    };
    assert!(!waiting.is_late(at(CREATED)));
    assert!(!waiting.is_late(at("2025-12-31T23:00:00Z")));
    assert!(waiting.is_late(at("2026-01-01T00:00:03Z")));
}

#[test]
fn the_newest_event_about_this_pod_has_the_words() {
    let words = |pods: Value, changing: Option<&str>, events: &[Event]| {
        let observed = observed(Kind::StatefulSet, &set(0), pods);
        let times = Times {
            changing: changing.map(at),
            backup_due: None,
        };
        let waiting = waiting(&observed, times);
        waiting[0].refusal(events)
    };
    let quota = "create Pod x-0 in StatefulSet x failed error: pods \"x-0\" is forbidden: exceeded quota: q";
    let older = event("pods \"x-0\" is forbidden: older", "2026-01-01T00:00:01Z");
    let events = [older, event(quota, "2026-01-01T00:01:00Z")];
    let exceeded = Some("exceeded quota: q".to_owned());
    assert_eq!(words(json!([]), None, &events), exceeded);
    assert_eq!(words(json!([]), None, &[]), None);
    assert_eq!(
        words(json!([]), Some("2026-01-01T00:00:50Z"), &events),
        exceeded
    );
    // The pod that was refused then came, and this one is another.
    let later = json!([pod("u", "Failed", "2026-01-01T01:00:00Z")]);
    assert_eq!(words(later, None, &events), None);
    assert_eq!(
        words(json!([]), Some("2026-01-01T01:00:00Z"), &events),
        None
    );
}

#[test]
fn a_schedule_waits_for_the_job_that_is_due_and_for_no_earlier_one() {
    let job = |last: Value, suspend: bool| {
        json!({"spec": {"schedule": "@hourly", "suspend": suspend,
        "jobTemplate": {}}, "status": {"lastScheduleTime": last}})
    };
    let due = "2026-01-01T01:00:00Z";
    for (last, suspend, due, waits) in [
        (json!(null), false, due, true),
        // Before the CronJob existed.
        (json!(null), false, CREATED, false),
        (json!("2026-01-01T00:30:00Z"), false, due, true),
        (json!(due), false, due, false),
        (json!(null), true, due, false),
    ] {
        let observed = observed(Kind::CronJob, &job(last.clone(), suspend), json!([]));
        let times = Times {
            changing: None,
            backup_due: Some(at(due)),
        };
        let found = waiting(&observed, times);
        assert_eq!(!found.is_empty(), waits, "{last} {suspend} {due}");
        // Without its controller nobody asks for it all the time.
        for found in found {
            assert!(found.is_awaited(at("2026-01-01T01:00:29Z")));
            assert!(!found.is_awaited(at("2026-01-01T01:00:30Z")));
            assert_eq!(
                found
                    .refusal(&[event("no", "2026-01-01T01:00:01Z")])
                    .as_deref(),
                Some("no")
            );
            assert_eq!(found.refusal(&[event("no", "2026-01-01T00:59:00Z")]), None);
        }
    }
}

#[test]
fn a_claim_without_a_volume_has_the_words_of_its_provisioner() {
    let claim = |phase: &str| json!({"spec": {}, "status": {"phase": phase}});
    let all = waiting(
        &observed(Kind::PersistentVolumeClaim, &claim("Bound"), json!([])),
        Times::default(),
    );
    assert_eq!(all, []);
    let observed = observed(Kind::PersistentVolumeClaim, &claim("Pending"), json!([]));
    let all = waiting(&observed, Times::default());
    let reported = |reason: &str| {
        let mut event = event("storageclass not found", CREATED);
        event.reason = Some(reason.to_owned());
        all[0].refusal(&[event])
    };
    assert_eq!(
        reported("ProvisioningFailed").as_deref(),
        Some("storageclass not found")
    );
    assert_eq!(
        reported("FailedBinding").as_deref(),
        Some("storageclass not found")
    );
    assert_eq!(reported("WaitForFirstConsumer"), None);
    assert!(!all[0].is_awaited(at(CREATED)));
    // A server on it is ready.
    for (ready, waits) in [(0, true), (1, false)] {
        let mut observed = observed.clone();
        let mut server = set(ready);
        server["metadata"] = json!({"name": "demo-db", "uid": "s"});
        server["spec"] = json!({"selector": {}, "serviceName": "demo-db", "template": {},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}]});
        let mut claim = claim("Pending");
        claim["metadata"] = json!({"name": "data-demo-db-0", "uid": "c"});
        observed.children = LiveObjects::default();
        for (kind, name, object) in [
            (Kind::StatefulSet, "demo-db", server),
            (Kind::PersistentVolumeClaim, "data-demo-db-0", claim),
        ] {
            let live = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
            observed.children.insert(ChildId::new(kind, name), live);
        }
        let found = waiting(&observed, Times::default());
        let claims = found.iter().filter(|found| found.uid == "c").count();
        assert_eq!(claims == 1, waits, "{ready}");
    }
}

#[test]
fn each_form_of_an_event_has_its_time() {
    let time = "2026-01-01T00:00:05Z";
    for fields in [
        json!({"lastTimestamp": time}),
        json!({"eventTime": "2026-01-01T00:00:05.000000Z"}),
        json!({"firstTimestamp": CREATED, "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}}),
        json!({"metadata": {"creationTimestamp": time}}),
    ] {
        let mut event = json!({"metadata": {}, "involvedObject": {}});
        for (key, value) in fields.as_object().unwrap() {
            event[key] = value.clone();
        }
        let event: Event = serde_json::from_value(event).unwrap();
        assert_eq!(happened(&event), Some(at(time)), "{fields}");
    }
}
