//! Kubernetes events: one for each transition of a condition.

use hello_crds::{HelloService, HelloServiceStatus};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{
    api::{Cluster, DEADLINE},
    names,
    reason::Reason,
    status::condition,
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
}
