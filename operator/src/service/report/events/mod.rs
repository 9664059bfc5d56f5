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
        report::{conditions::is_ready, reason::Reason, status::VERSION, subject::Subject},
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
            let reason = Reason::from_name(&condition.reason);
            let warn = reason.is_some_and(Reason::needs_action);
            self.send(event(condition, warn), &subject.identity);
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
        self.publish(event, reference(hello_crds::KIND, service));
    }

    /// Publishes a condition of a HelloRestore; `warn`: a person has to act.
    pub fn restore_condition(&self, restore: &Identity, condition: &Condition, warn: bool) {
        let about = reference(hello_crds::RESTORE_KIND, restore);
        self.publish(event(condition, warn), about);
    }

    fn publish(&self, event: Event, about: ObjectReference) {
        let mut hasher = DefaultHasher::new();
        about.uid.hash(&mut hasher);
        let lane = hasher.finish() % LANES as u64;
        let lane = usize::try_from(lane)
            .ok()
            .and_then(|lane| self.lanes.get(lane));
        if let Some(lane) = lane
            && lane.try_send(Publication { event, about }).is_err()
        {
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

fn reference(kind: &str, resource: &Identity) -> ObjectReference {
    ObjectReference {
        api_version: Some(hello_crds::API_VERSION.into()),
        kind: Some(kind.into()),
        namespace: Some(resource.namespace.clone()),
        name: Some(resource.name.clone()),
        uid: Some(resource.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Longest note that the API takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// As much of a message as fits into an event.
fn note(message: &str) -> String {
    message[..message.floor_char_boundary(LONGEST_NOTE)].to_owned()
}

fn event(condition: &Condition, warn: bool) -> Event {
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

/// Children that another client changed or deleted. Until the service was ready for this generation, and with this version
/// of the operator, a missing child is one that is created for the first time; after that, it is one that was deleted.
fn reverted(subject: &Subject, writes: &[(Action, WriteReason)]) -> impl Iterator<Item = Event> {
    let was_ready = subject.status.as_ref().is_some_and(|status| {
        is_ready(status)
            && status.observed_generation == Some(subject.identity.generation)
            && status.operator_version.as_deref() == Some(VERSION)
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
            || is(condition, ConditionType::BackupVerified)
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
        // A service that has never had backups is as it was.
        let never = c.reason == Reason::Disabled.as_str()
            && !before.iter().any(|(type_, ..)| *type_ == c.type_);
        reported
            && !repeated
            && !never
            && !before.contains(&(c.type_.clone(), c.status.clone(), c.reason.clone()))
    })
}

#[cfg(test)]
mod tests;
