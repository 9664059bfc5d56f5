use std::{convert::Infallible, sync::Mutex};

use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::fence::Fence,
    object::{child::ChildId, kind::Kind},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn status(conditions: &[(&str, &str, &str)]) -> HelloServiceStatus {
    HelloServiceStatus {
        conditions: conditions
            .iter()
            .map(|(type_, status, reason)| Condition {
                type_: (*type_).into(),
                status: (*status).into(),
                reason: (*reason).into(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            })
            .collect(),
        ..HelloServiceStatus::default()
    }
}

fn subject(status: Option<HelloServiceStatus>) -> Subject {
    Subject {
        identity: Identity {
            namespace: "ns".into(),
            name: "demo".into(),
            uid: "u".into(),
            generation: 2,
        },
        status,
    }
}

fn reasons(old: Option<&HelloServiceStatus>, new: &HelloServiceStatus) -> Vec<String> {
    transitions(old, new).map(|c| c.reason.clone()).collect()
}

#[test]
fn a_transition_is_reported_once_and_by_the_component_it_concerns() {
    let waiting = status(&[
        ("Ready", "False", "DatabaseStarting"),
        ("Progressing", "True", "DatabaseStarting"),
        ("DatabaseReady", "False", "DatabaseStarting"),
    ]);
    assert_eq!(reasons(None, &waiting), ["DatabaseStarting"]);
    assert_eq!(reasons(Some(&waiting), &waiting), Vec::<String>::new());
    let ready = status(&[
        ("Ready", "True", "Serving"),
        ("DatabaseReady", "True", "DatabaseServing"),
    ]);
    assert_eq!(
        reasons(Some(&waiting), &ready),
        ["Serving", "DatabaseServing"]
    );
    let nearly_full = status(&[
        ("Ready", "True", "Serving"),
        ("Degraded", "True", "VolumeNearlyFull"),
        ("DatabaseReady", "True", "DatabaseServing"),
    ]);
    assert_eq!(reasons(Some(&ready), &nearly_full), ["VolumeNearlyFull"]);
    assert_eq!(
        event(&nearly_full.conditions[1], true).type_,
        EventType::Warning
    );
    assert_eq!(
        reasons(Some(&nearly_full), &nearly_full),
        Vec::<String>::new()
    );
    // That there are no backups is news only where there were some.
    let backups = |reason: &str| status(&[("BackupVerified", "False", reason)]);
    let disabled = backups("Disabled");
    assert_eq!(reasons(None, &disabled), Vec::<String>::new());
    assert_eq!(reasons(Some(&backups("NeverRun")), &disabled), ["Disabled"]);
}

#[test]
fn a_note_is_as_long_as_the_api_takes_it_in_bytes() {
    assert_eq!(note("short"), "short");
    for (letter, longest) in [
        ("x", 1024),
        ("\u{e4}", 1024),
        ("\u{20ac}", 1023),
        ("\u{1f600}", 1024),
    ] {
        let note = note(&letter.repeat(2000));
        assert_eq!(note.len(), longest, "{letter}");
        assert!(note.chars().all(|c| letter.starts_with(c)));
    }
}

#[test]
fn changes_by_other_clients_are_reported_and_the_steps_of_a_change_are_not() {
    let id = |kind| ChildId::new(kind, "demo");
    let writes = [
        (Action::Create(id(Kind::Ingress)), WriteReason::Missing),
        (Action::Update(id(Kind::Service)), WriteReason::Drift),
        (
            Action::Update(id(Kind::CronJob)),
            WriteReason::WantedChanged,
        ),
        (
            Action::Delete(id(Kind::NetworkPolicy)),
            WriteReason::Unwanted,
        ),
        (
            Action::Scale(id(Kind::Deployment), 2),
            WriteReason::Replicas,
        ),
        // A part of its creation, a hand-over, and a step of a migration.
        (Action::Release(id(Kind::Deployment)), WriteReason::Missing),
        (Action::Release(id(Kind::Deployment)), WriteReason::Replicas),
        (Action::Create(id(Kind::Job)), WriteReason::MigrationDue),
    ];
    let notes = |ready: &str, generation: i64, version: Option<&str>| -> Vec<String> {
        let mut status = status(&[("Ready", ready, "")]);
        status.observed_generation = Some(generation);
        status.operator_version = version.map(str::to_owned);
        reverted(&subject(Some(status)), &writes)
            .map(|event| event.note.unwrap())
            .collect()
    };
    let changed = "Service demo was changed by another client: restored";
    assert_eq!(
        notes("True", 2, Some(VERSION)),
        [
            "Ingress demo was missing: created again",
            changed,
            "Deployment demo was scaled by another client: restored"
        ]
    );
    assert_eq!(notes("False", 2, Some(VERSION)), [changed]);
    assert_eq!(notes("True", 1, Some(VERSION)), [changed]);
    // Another version may want children that nobody has ever made.
    for version in [None, Some("0.0.0-earlier")] {
        assert_eq!(notes("True", 2, version), [changed], "{version:?}");
    }
}

/// The events that the API server was asked to take. `answers`: whether it ever answers.
async fn asked(fence: Fence, answers: bool, send: impl FnOnce(&Events)) -> Vec<Value> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&asked);
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let events = Arc::clone(&events);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let event = serde_json::from_slice(&body).unwrap();
            events.lock().unwrap().push(event);
            if !answers {
                std::future::pending::<()>().await;
            }
            let body = http_body_util::Full::new(body);
            Ok::<_, Infallible>(http::Response::new(body))
        }
    });
    let client = Client::new(server, "default");
    let cluster = Cluster::new(client, Arc::default(), fence);
    // This returns although nothing has been sent yet.
    send(&Events::new(&cluster, None));
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    asked.lock().unwrap().clone()
}

/// The notes of the events about these statuses.
async fn published(fence: Fence, answers: bool, statuses: &[HelloServiceStatus]) -> Vec<String> {
    let events = asked(fence, answers, |events| {
        let mut subject = subject(None);
        for status in statuses {
            events.transitions(&subject, status);
            subject.status = Some(status.clone());
        }
    });
    let notes = events.await.into_iter();
    notes
        .map(|event| event["note"].as_str().unwrap().to_owned())
        .collect()
}

/// Statuses whose events have these notes.
fn statuses(notes: &[&str]) -> Vec<HelloServiceStatus> {
    let status = |(index, note): (usize, &&str)| {
        let reason = Reason::ALL[index].as_str();
        let mut status = status(&[("Ready", "True", reason)]);
        status.conditions[0].message = (*note).into();
        status
    };
    notes.iter().enumerate().map(status).collect()
}

#[tokio::test]
async fn an_event_is_a_write() {
    let one = statuses(&["one"]);
    assert_eq!(published(Fence::open(), true, &one).await, ["one"]);
    assert!(published(Fence::closed(), true, &one).await.is_empty());
}

#[tokio::test]
async fn the_events_of_a_resource_keep_their_order_and_none_waits_for_an_answer() {
    let notes = ["a", "b", "c", "d", "e", "f"];
    let all = statuses(&notes);
    assert_eq!(published(Fence::open(), true, &all).await, notes);
    assert_eq!(published(Fence::open(), false, &all).await, ["a"]);
}

#[tokio::test]
async fn an_event_names_the_resource_and_the_child_that_another_client_changed() {
    let service = ChildId::new(Kind::Service, "demo");
    let events = asked(Fence::open(), true, |events| {
        let writes = [(Action::Update(service), WriteReason::Drift)];
        events.drift_reverted(&subject(None), &writes);
    });
    let events = events.await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0]["regarding"],
        json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "namespace": "ns", "name": "demo", "uid": "u"})
    );
    assert_eq!(
        events[0]["related"],
        json!({"apiVersion": "v1", "kind": "Service", "namespace": "ns", "name": "demo"})
    );
}

#[test]
fn what_a_condition_only_repeats_is_not_reported_again() {
    for (conditions, expected) in [
        (&[("DatabaseReady", "True", "A")][..], &["A"][..]),
        (&[("Migrated", "True", "A")], &["A"]),
        (&[("BackupVerified", "False", "A")], &["A"]),
        (&[("Progressing", "True", "A")], &[]),
        (&[("Degraded", "False", "A")], &[]),
        (&[("Degraded", "True", "A")], &["A"]),
        (
            &[("Ready", "False", "A"), ("Degraded", "True", "A")],
            &["A"],
        ),
        (
            &[("Ready", "False", "A"), ("DatabaseReady", "True", "B")],
            &["A", "B"],
        ),
        (
            &[("Ready", "False", "A"), ("Progressing", "True", "A")],
            &["A"],
        ),
    ] {
        assert_eq!(
            reasons(None, &status(conditions)),
            expected,
            "{conditions:?}"
        );
    }
}
