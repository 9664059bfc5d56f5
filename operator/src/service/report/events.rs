//! Kubernetes events: one for each transition of a condition, and for each child that was put right.

use hello_crds::{HelloService, HelloServiceStatus};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{
    kubernetes::{api::Cluster, connection::DEADLINE},
    object::names,
    service::{
        plan::{Action, write_reason::Cause},
        report::{self, condition, reason::Reason},
    },
};

/// Publishes transitions.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Publishes in the name of this process, while it may write.
    #[must_use]
    pub fn new(cluster: &Cluster, instance: Option<String>) -> Self {
        let reporter = Reporter {
            controller: names::MANAGER.into(),
            instance,
        };
        Self {
            recorder: Recorder::new(cluster.client().clone(), reporter),
        }
    }

    /// Publishes what changed between two states. Never fails: an event is a courtesy.
    pub async fn publish(
        &self,
        service: &HelloService,
        old: Option<&HelloServiceStatus>,
        new: &HelloServiceStatus,
    ) {
        let reference = service.object_ref(&());
        for change in transitions(old, new) {
            self.send(&event(change), &reference).await;
        }
    }

    /// Publishes which children somebody else had changed or deleted. One that goes on being changed is one event
    /// whose count rises.
    pub async fn put_right(&self, service: &HelloService, writes: &[(Action, Cause)]) {
        let reference = service.object_ref(&());
        for event in undone(service, writes) {
            self.send(&event, &reference).await;
        }
    }

    async fn send(&self, event: &Event, reference: &ObjectReference) {
        let sent = tokio::time::timeout(DEADLINE, self.recorder.publish(event, reference)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "event not published"),
            Err(_) => tracing::debug!("event not published in time"),
        }
    }
}

fn event(condition: &Condition) -> Event {
    let warn = Reason::ALL
        .iter()
        .any(|reason| reason.needs_person() && reason.to_string() == condition.reason);
    Event {
        type_: if warn {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: condition.reason.clone(),
        // The API bounds a note at 1 kB.
        note: Some(condition.message.chars().take(900).collect()),
        action: condition.type_.clone(),
        secondary: None,
    }
}

/// Children that somebody else changed or deleted. While the service is on its way, a missing child is one that it
/// is about to get; once it was ready, it is one that was taken away.
fn undone(service: &HelloService, writes: &[(Action, Cause)]) -> impl Iterator<Item = Event> {
    let arrived = service.status.as_ref().is_some_and(|status| {
        report::is_ready(status) && status.observed_generation == service.metadata.generation
    });
    writes.iter().filter_map(move |(action, cause)| {
        let what = match (action, cause) {
            (Action::Update(_), Cause::Drift) => "was changed by somebody else: put back",
            (Action::Create(_), Cause::Missing) if arrived => "was missing: made again",
            (Action::Scale(..), Cause::Replicas) if arrived => {
                "was scaled by somebody else: put back"
            }
            _ => return None,
        };
        let id = action.child();
        let resource = id.kind.resource();
        Some(Event {
            type_: EventType::Normal,
            reason: Reason::DriftUndone.to_string(),
            note: Some(format!("{id} {what}")),
            action: action.verb().into(),
            secondary: Some(ObjectReference {
                api_version: Some(resource.api_version),
                kind: Some(resource.kind),
                name: Some(id.name.clone()),
                namespace: service.namespace(),
                ..ObjectReference::default()
            }),
        })
    })
}

/// Conditions whose status or reason changed; Progressing only repeats what others say, and Degraded
/// all but that a volume is nearly full.
fn transitions<'a>(
    old: Option<&HelloServiceStatus>,
    new: &'a HelloServiceStatus,
) -> impl Iterator<Item = &'a Condition> {
    let before: Vec<(String, String, String)> = old
        .into_iter()
        .flat_map(|old| &old.conditions)
        .map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone()))
        .collect();
    new.conditions.iter().filter(move |c| {
        let told = matches!(
            c.type_.as_str(),
            condition::DATABASE_READY | condition::MIGRATED | condition::READY
        ) || c.reason == Reason::VolumeNearlyFull.to_string();
        // Ready repeats the reason of the part that holds it back.
        let repeated = c.type_ == condition::READY
            && c.status == "False"
            && new.conditions.iter().any(|other| {
                other.type_ != c.type_
                    && matches!(
                        other.type_.as_str(),
                        condition::DATABASE_READY | condition::MIGRATED
                    )
                    && other.reason == c.reason
            });
        told && !repeated
            && !before.contains(&(c.type_.clone(), c.status.clone(), c.reason.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{child::ChildId, kind::Kind};
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

    fn reasons(old: Option<&HelloServiceStatus>, new: &HelloServiceStatus) -> Vec<String> {
        transitions(old, new).map(|c| c.reason.clone()).collect()
    }

    #[test]
    fn a_transition_is_told_once_and_by_the_part_it_concerns() {
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
    fn what_others_did_to_children_is_told_and_the_way_to_the_wanted_state_is_not() {
        let id = |kind| ChildId::new(kind, "demo");
        let writes = [
            (Action::Create(id(Kind::Ingress)), Cause::Missing),
            (Action::Update(id(Kind::Service)), Cause::Drift),
            (Action::Update(id(Kind::CronJob)), Cause::WantedChanged),
            (Action::Delete(id(Kind::NetworkPolicy)), Cause::Unwanted),
            (Action::Scale(id(Kind::Deployment), 2), Cause::Replicas),
            // What belongs to its creation, a hand-over, and the course of a migration.
            (Action::Release(id(Kind::Deployment)), Cause::Missing),
            (Action::Release(id(Kind::Deployment)), Cause::Replicas),
            (Action::Create(id(Kind::Job)), Cause::MigrationDue),
        ];
        let mut service = HelloService::new("demo", serde_json::from_str("{}").unwrap());
        service.metadata.generation = Some(2);
        let mut told = |ready: &str, generation: i64| -> Vec<String> {
            let mut status = status(&[("Ready", ready, "")]);
            status.observed_generation = Some(generation);
            service.status = Some(status);
            undone(&service, &writes)
                .map(|event| event.note.unwrap())
                .collect()
        };
        let changed = "Service demo was changed by somebody else: put back";
        assert_eq!(
            told("True", 2),
            [
                "Ingress demo was missing: made again",
                changed,
                "Deployment demo was scaled by somebody else: put back"
            ]
        );
        assert_eq!(told("False", 2), [changed]);
        assert_eq!(told("True", 1), [changed]);
    }
}
