//! What Kubernetes' controllers should have made and have not: pods, the Jobs of a schedule, the volumes of claims. Which
//! objects wait for it, and why it does not come.
//!
//! Only the controller that creates a pod learns why the API server refuses it (a quota, a limit range, an admission
//! policy), and a StatefulSet, a Job or a CronJob reports it in an event only; so it is with the volume of a claim. The
//! events of an object are listed when what it waits for is late, and never watched.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::{CronJob, Job},
    core::v1::{Event, PersistentVolumeClaim},
};

use crate::{
    object::{
        child::ChildId,
        data_version::claim_of,
        kind::Kind,
        live::{Live, TypedChild},
        pod::{is_owned_by, is_unfinished},
        time::created,
        words,
    },
    service::dereference::observed::Observed,
};

/// A pod that does not exist for so long is late. Controllers create one within a moment.
pub const LATE: Duration = Duration::from_secs(3);

/// A Job that the schedule made due is expected for so long: its controller acts at once.
const EXPECTED: Duration = Duration::from_secs(30);

/// Reasons of the events in which the controllers of volumes report why there is none.
const NO_VOLUME: [&str; 2] = ["ProvisioningFailed", "FailedBinding"];

/// An object whose controller has not made what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The object.
    pub owner: ChildId,
    /// Its UID.
    pub uid: String,
    /// Since when, at the earliest.
    since: Option<Timestamp>,
}

/// When the parts of a service began to wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// When the service stopped being ready: earlier events of its server are about earlier pods.
    pub changing: Option<Timestamp>,
    /// When the schedule of the backups was due last.
    pub backup_due: Option<Timestamp>,
}

/// Everything that waits.
#[must_use]
pub fn waiting(observed: &Observed, times: Times) -> Vec<Waiting> {
    let mut all = owners(observed, times.changing);
    all.extend(times.backup_due.and_then(|due| schedule(observed, due)));
    all.extend(claims(observed));
    all
}

/// The schedule whose Job was due at this time and does not exist.
fn schedule(observed: &Observed, due: Timestamp) -> Option<Waiting> {
    observed.children.iter().find_map(|(id, live)| {
        let job = CronJob::from_live(live).filter(|_| !live.is_deleting())?;
        let status = job.status.as_ref();
        let last = status.and_then(|status| status.last_schedule_time.as_ref());
        let since = last.map(|time| time.0).max(created(live.metadata()));
        let suspended = job.spec.suspend;
        let waits = suspended != Some(true) && since.is_none_or(|since| since < due);
        waits.then(|| Waiting {
            owner: id.clone(),
            uid: live.uid(),
            since: Some(due),
        })
    })
}

/// Claims without a volume. Many classes make one only for a pod, so that is not late by itself. Where a server is ready,
/// there is one.
fn claims(observed: &Observed) -> impl Iterator<Item = Waiting> {
    let in_use = |name: &str| {
        observed.children.all::<StatefulSet>().any(|set| {
            let ready = set.status.as_ref().and_then(|status| status.ready_replicas);
            ready > Some(0) && claim_of(set).as_deref() == Some(name)
        })
    };
    observed.children.iter().filter_map(move |(id, live)| {
        let claim = PersistentVolumeClaim::from_live(live).filter(|_| !live.is_deleting())?;
        let status = claim.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        (phase == Some("Pending") && !in_use(&id.name)).then(|| Waiting {
            owner: id.clone(),
            uid: live.uid(),
            since: created(live.metadata()),
        })
    })
}

/// Owners without a pod. A Job exists for one run only.
fn owners(observed: &Observed, changing: Option<Timestamp>) -> Vec<Waiting> {
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

impl Waiting {
    /// Whether it comes within a moment, unless it is refused.
    #[must_use]
    pub fn is_awaited(&self, now: Timestamp) -> bool {
        match self.owner.kind {
            Kind::PersistentVolumeClaim => false,
            Kind::CronJob => !self.has_lasted(EXPECTED, now),
            _ => true,
        }
    }

    /// The reason of the events that tell why it does not come; `None` when there are several.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        (self.owner.kind != Kind::PersistentVolumeClaim).then_some("FailedCreate")
    }

    /// Whether the pod should be there by now.
    #[must_use]
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.has_lasted(LATE, now)
    }

    fn has_lasted(&self, time: Duration, now: Timestamp) -> bool {
        self.since.is_none_or(|since| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|age| age >= time)
        })
    }

    /// Whether the event reports why it does not come.
    fn is_answered_by(&self, event: &Event) -> bool {
        let reason = event.reason.as_deref().unwrap_or_default();
        match self.reason() {
            Some(wanted) => reason == wanted,
            None => NO_VOLUME.contains(&reason),
        }
    }

    /// Why it does not come, in the words of the API server or of the controller, from the events of the object.
    #[must_use]
    pub fn refusal(&self, events: &[Event]) -> Option<String> {
        // The times of events and of objects are rounded to seconds, and two clocks are involved.
        let since = self.since.and_then(|since| since.checked_sub(LATE).ok());
        let recent = events
            .iter()
            .filter(|event| self.is_answered_by(event))
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
mod tests;
