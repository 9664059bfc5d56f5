//! Kubernetes events: one for each transition of a condition, and one for each child that was restored.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use hello_crds::{ConditionType, HelloServiceStatus};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::{
    kubernetes::{api::Cluster, connection::DEADLINE},
    object::{names, owner::Identity},
    service::{
        plan::{action::Action, write_reason::WriteReason},
        report::{conditions::is_ready, reason::Reason, subject::Subject},
    },
};

/// Tasks that publish. The events of one resource stay in one of them, so they keep their order.
const LANES: usize = 4;

/// Events that may wait for one task. More are dropped: the status has the news.
const WAITING: usize = 1024;

/// Publishes events, beside the passes: none waits for the API server to take an event.
#[derive(Clone)]
pub struct Events {
    lanes: Arc<[mpsc::Sender<Publication>]>,
}

/// An event, and what it is about.
struct Publication {
    event: Event,
    about: ObjectReference,
}

impl Events {
    /// Publishes in the name of this process, while it may write. To be called inside a runtime.
    #[must_use]
    pub fn new(cluster: &Cluster, instance: Option<String>) -> Self {
        let reporter = Reporter {
            controller: names::MANAGER.into(),
            instance,
        };
        let recorder = Recorder::new(cluster.client().clone(), reporter);
        let lane = |_| {
            let (lane, publications) = mpsc::channel(WAITING);
            tokio::spawn(publish(recorder.clone(), publications));
            lane
        };
        Self {
            lanes: (0..LANES).map(lane).collect(),
        }
    }

    /// Publishes what changed between the status that the resource had and the new one.
    pub fn transitions(&self, subject: &Subject, new: &HelloServiceStatus) {
        for condition in transitions(subject.status.as_ref(), new) {
            self.send(event(condition), &subject.identity);
        }
    }

    /// Publishes which children another client had changed or deleted. Repeated changes of one child are one event
    /// whose count rises.
    pub fn drift_reverted(&self, subject: &Subject, writes: &[(Action, WriteReason)]) {
        for event in reverted(subject, writes) {
            self.send(event, &subject.identity);
        }
    }

    fn send(&self, event: Event, service: &Identity) {
        let about = reference(service);
        let mut hasher = DefaultHasher::new();
        service.uid.hash(&mut hasher);
        let lane = hasher.finish() % LANES as u64;
        let lane = usize::try_from(lane)
            .ok()
            .and_then(|lane| self.lanes.get(lane));
        let dropped = lane.map(|lane| lane.try_send(Publication { event, about }).is_err());
        if dropped == Some(true) {
            tracing::debug!("event dropped: too many are waiting");
        }
    }
}

/// Publishes one event after the other. Never fails: an event is a courtesy.
async fn publish(recorder: Recorder, mut publications: mpsc::Receiver<Publication>) {
    while let Some(Publication { event, about }) = publications.recv().await {
        let sent = tokio::time::timeout(DEADLINE, recorder.publish(&event, &about)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "event not published"),
            Err(_) => tracing::debug!("event not published in time"),
        }
    }
}

fn reference(service: &Identity) -> ObjectReference {
    ObjectReference {
        api_version: Some(hello_crds::API_VERSION.into()),
        kind: Some(hello_crds::KIND.into()),
        namespace: Some(service.namespace.clone()),
        name: Some(service.name.clone()),
        uid: Some(service.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Longest note that the API takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// As much of a message as fits into an event.
fn note(message: &str) -> String {
    message[..message.floor_char_boundary(LONGEST_NOTE)].to_owned()
}

fn event(condition: &Condition) -> Event {
    let warn = Reason::from_name(&condition.reason).is_some_and(Reason::needs_action);
    Event {
        type_: if warn {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: condition.reason.clone(),
        note: Some(note(&condition.message)),
        action: condition.type_.clone(),
        secondary: None,
    }
}

/// Children that another client changed or deleted. Until the service was ready for this generation, a missing child is
/// one that is created for the first time; after that, it is one that was deleted.
fn reverted(subject: &Subject, writes: &[(Action, WriteReason)]) -> impl Iterator<Item = Event> {
    let was_ready = subject.status.as_ref().is_some_and(|status| {
        is_ready(status) && status.observed_generation == Some(subject.identity.generation)
    });
    writes.iter().filter_map(move |(action, cause)| {
        let what = match (action, cause) {
            (Action::Update(_), WriteReason::Drift) => "was changed by another client: restored",
            (Action::Create(_), WriteReason::Missing) if was_ready => "was missing: created again",
            (Action::Scale(..), WriteReason::Replicas) if was_ready => {
                "was scaled by another client: restored"
            }
            _ => return None,
        };
        let id = action.child();
        let resource = id.kind.resource();
        Some(Event {
            type_: EventType::Normal,
            reason: Reason::DriftReverted.to_string(),
            note: Some(format!("{id} {what}")),
            action: action.verb().into(),
            secondary: Some(ObjectReference {
                api_version: Some(resource.api_version),
                kind: Some(resource.kind),
                name: Some(id.name.clone()),
                namespace: Some(subject.identity.namespace.clone()),
                ..ObjectReference::default()
            }),
        })
    })
}

/// Conditions whose status or reason changed. Progressing only repeats what others report; so does Degraded, unless it
/// reports what is in no other condition.
fn transitions<'a>(
    old: Option<&HelloServiceStatus>,
    new: &'a HelloServiceStatus,
) -> impl Iterator<Item = &'a Condition> {
    let before: Vec<(String, String, String)> = old
        .into_iter()
        .flat_map(|old| &old.conditions)
        .map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone()))
        .collect();
    let is = |condition: &Condition, type_: ConditionType| condition.type_ == type_.as_str();
    let is_component = move |condition: &Condition| {
        is(condition, ConditionType::DatabaseReady)
            || is(condition, ConditionType::Migrated)
            || is(condition, ConditionType::BackupSucceeded)
    };
    new.conditions.iter().filter(move |c| {
        let own = |other: &Condition| {
            (is_component(other) || is(other, ConditionType::Ready)) && other.reason == c.reason
        };
        let reported = is_component(c)
            || is(c, ConditionType::Ready)
            || (is(c, ConditionType::Degraded)
                && c.status == "True"
                && !new.conditions.iter().any(own));
        // Ready repeats the reason of the component that holds it back.
        let repeated = is(c, ConditionType::Ready)
            && c.status == "False"
            && new
                .conditions
                .iter()
                .any(|other| is_component(other) && other.reason == c.reason);
        reported
            && !repeated
            && !before.contains(&(c.type_.clone(), c.status.clone(), c.reason.clone()))
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use http_body_util::BodyExt;
    use kube::{Client, client::Body};

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
        assert_eq!(event(&nearly_full.conditions[1]).type_, EventType::Warning);
        assert_eq!(
            reasons(Some(&nearly_full), &nearly_full),
            Vec::<String>::new()
        );
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
        let notes = |ready: &str, generation: i64| -> Vec<String> {
            let mut status = status(&[("Ready", ready, "")]);
            status.observed_generation = Some(generation);
            reverted(&subject(Some(status)), &writes)
                .map(|event| event.note.unwrap())
                .collect()
        };
        let changed = "Service demo was changed by another client: restored";
        assert_eq!(
            notes("True", 2),
            [
                "Ingress demo was missing: created again",
                changed,
                "Deployment demo was scaled by another client: restored"
            ]
        );
        assert_eq!(notes("False", 2), [changed]);
        assert_eq!(notes("True", 1), [changed]);
    }

    /// The notes of the events that the API server was asked to take. `answers`: whether it ever answers.
    async fn published(
        fence: Fence,
        answers: bool,
        statuses: &[HelloServiceStatus],
    ) -> Vec<String> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let notes = Arc::clone(&notes);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let note = event["note"].as_str().unwrap().to_owned();
                notes.lock().unwrap().push(note);
                if !answers {
                    std::future::pending::<()>().await;
                }
                let body = http_body_util::Full::new(body);
                Ok::<_, Infallible>(http::Response::new(body))
            }
        });
        let client = Client::new(server, "default");
        let cluster = Cluster::new(client, Arc::default(), fence);
        let events = Events::new(&cluster, None);
        let mut subject = subject(None);
        for status in statuses {
            // This returns although nothing has been sent yet.
            events.transitions(&subject, status);
            subject.status = Some(status.clone());
        }
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        asked.lock().unwrap().clone()
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
}
