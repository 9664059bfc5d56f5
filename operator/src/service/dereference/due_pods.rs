//! Pods that are due and do not come: which owners have none, and what the API server answered to their controllers.
//!
//! Only the controller that creates a pod learns why the API server refuses it (a quota, a limit range, an admission
//! policy), and a StatefulSet or a Job reports it in an event only. The events of an owner are listed when its pod is
//! late, and never watched.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        batch::v1::Job,
        core::v1::{Event, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        live::{Live, TypedChild},
        pod::is_owned_by,
        words,
    },
    service::dereference::observed::Observed,
};

/// A pod that does not exist for so long is late. Controllers create one within a moment.
pub const LATE: Duration = Duration::from_secs(3);

/// An owner that has no pod although one is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The owner.
    pub owner: ChildId,
    /// Its UID.
    pub uid: String,
    /// Since when, at the earliest.
    since: Option<Timestamp>,
}

/// Owners without a pod. `changing` is the time at which the service stopped being ready: earlier events of its server
/// are about earlier pods. A Job exists for one run only.
#[must_use]
pub fn waiting(observed: &Observed, changing: Option<Timestamp>) -> Vec<Waiting> {
    let owners = observed.children.iter();
    let without = owners.filter(|(_, live)| wants_pod(live) && !live.is_deleting());
    without
        .filter_map(|(id, live)| {
            let uid = live.uid();
            let pods = || observed.pods.iter().filter(|pod| is_owned_by(pod, &uid));
            if pods().any(is_unfinished) {
                return None;
            }
            let newest = pods().filter_map(|pod| created(&pod.metadata)).max();
            let changing = changing.filter(|_| id.kind == Kind::StatefulSet);
            let times = [created(live.metadata()), newest, changing];
            Some(Waiting {
                owner: id.clone(),
                since: times.into_iter().flatten().max(),
                uid,
            })
        })
        .collect()
}

/// Whether the owner is one whose controller creates pods, and not all of them are there.
fn wants_pod(live: &Live) -> bool {
    if let Some(set) = StatefulSet::from_live(live) {
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
        let ready = set.status.as_ref().and_then(|status| status.ready_replicas);
        return wanted.unwrap_or(1) > ready.unwrap_or(0);
    }
    Job::from_live(live).is_some_and(|job| {
        let status = job.status.as_ref();
        let ended = status.is_some_and(|status| {
            status.succeeded.unwrap_or(0) > 0
                || status
                    .conditions
                    .iter()
                    .flatten()
                    .any(|condition| condition.status == "True")
        });
        let suspended = job.spec.as_ref().and_then(|spec| spec.suspend);
        !ended && suspended != Some(true)
    })
}

fn is_unfinished(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

impl Waiting {
    /// Whether the pod should be there by now.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.since.is_none_or(|since| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|age| age >= LATE)
        })
    }

    /// The API server's words about the pod, from the events of its owner.
    #[must_use]
    pub fn refusal(&self, events: &[Event]) -> Option<String> {
        // The times of events and of objects are rounded to seconds, and two clocks are involved.
        let since = self.since.and_then(|since| since.checked_sub(LATE).ok());
        let recent = events
            .iter()
            .filter_map(|event| Some((happened(event)?, event)));
        let (_, event) = recent
            .filter(|(time, _)| since.is_none_or(|since| *time >= since))
            .max_by_key(|(time, _)| *time)?;
        let message = event.message.as_deref().unwrap_or_default();
        (!message.is_empty()).then(|| words::of_refused_pod(message).to_owned())
    }
}

/// When an event happened last.
fn happened(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref();
    let series = series.and_then(|series| Some(series.last_observed_time.as_ref()?.0));
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series
        .into_iter()
        .chain(last)
        .chain(first)
        .chain(created(&event.metadata))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
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
            !waiting(&observed(kind, object, pods), None).is_empty()
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
        let all = waiting(&observed(Kind::StatefulSet, &set(0), json!([])), None);
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
            let waiting = waiting(&observed, changing.map(at));
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
}
