//! The backup that comes before a deletion with `deletionPolicy: Snapshot`, or before a change of the data's version: which
//! one it is, and how far.

use std::time::Duration;

use hello_crds::{BootstrapPhase, DeletionPolicy, UpgradePhase};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job};

use crate::{
    object::{
        child, names,
        time::{after, created},
    },
    service::{dereference::observed::Observed, validate::Validated},
};

/// A backup that failed is tried again after half of the time that the deletion, or the change, has taken, and within these
/// bounds.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(30 * 60);

/// The backup before a deletion, or before a change of the data's version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LastBackup {
    /// Name of its Job.
    pub job: String,
    /// Name of the backup, once the status knows that it is proved.
    pub proved: Option<String>,
    /// When one that has failed is tried again.
    pub retry_at: Option<Timestamp>,
    /// Whether that time has come.
    pub retry: bool,
}

impl LastBackup {
    /// `None` when no such backup is to be made: the resource is not being deleted, its policy is another one, or nobody
    /// can have written anything.
    pub fn read(service: &Validated, observed: &Observed, now: Timestamp) -> Option<Self> {
        let deletion = &service.deletion;
        let since = deletion.since.filter(|_| deletion.is_held())?;
        let app = names::app(&service.identity.name);
        let app = observed.children.typed::<Deployment>(&app);
        if deletion.policy != DeletionPolicy::Snapshot || !(app.is_some() || has_data(service)) {
            return None;
        }
        Some(Self::named(
            name(service, app, ""),
            service,
            observed,
            (since, now),
        ))
    }

    /// `None` when no change of the data's version needs one.
    pub fn before_upgrade(
        service: &Validated,
        observed: &Observed,
        now: Timestamp,
    ) -> Option<Self> {
        use UpgradePhase::{BackingUp, Restoring, Stopping, Switching};
        let upgrade = service.data.upgrade.as_ref()?;
        if !matches!(upgrade.phase, Stopping | BackingUp | Switching | Restoring) {
            return None;
        }
        let app = names::app(&service.identity.name);
        let app = observed.children.typed::<Deployment>(&app);
        // Another change, also to the same version, needs another backup.
        let to = upgrade.to.as_deref().unwrap_or_default();
        let job = name(service, app, &format!("\n{to}\n{}", upgrade.since));
        let since = upgrade.since.parse().unwrap_or(now);
        Some(Self::named(job, service, observed, (since, now)))
    }

    fn named(
        job: String,
        service: &Validated,
        observed: &Observed,
        (since, now): (Timestamp, Timestamp),
    ) -> Self {
        let known = service.deletion.ordered.as_ref();
        let known = known.filter(|known| known.job == job);
        let ended = observed.children.typed::<Job>(&job).and_then(end);
        let retry_at = ended.map(|ended| after(ended, pause(since, ended)));
        Self {
            proved: known.and_then(|known| known.file.clone()),
            // A clock that is behind tells nothing about how long ago that was.
            retry: retry_at.is_some_and(|time| time <= now || ended > Some(now)),
            retry_at,
            job,
        }
    }
}

/// Whether there is data that the application has written, or could have, although there is no Deployment.
fn has_data(service: &Validated) -> bool {
    let known = &service.known_data;
    let restoring = known.bootstrap.as_ref();
    let restoring = restoring.is_some_and(|known| known.phase == BootstrapPhase::Restoring);
    let deletion = &service.deletion;
    deletion.ordered.is_some() || deletion.has_served || (known.had.is_some() && !restoring)
}

/// Any change of the Deployment's spec, such as a number of pods, makes it another backup: the application may have run in
/// between, and what was proved before is not the last state.
fn name(service: &Validated, app: Option<&Deployment>, occasion: &str) -> String {
    let metadata = app.map(|app| &app.metadata);
    let state = metadata.map(|metadata| (metadata.uid.as_deref(), metadata.generation));
    let identity = &service.identity;
    let hash = child::hash(&format!("{}\n{state:?}{occasion}", identity.uid));
    names::last_backup(&identity.name, &hash[..10])
}

/// When a Job has ended.
fn end(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let is_end = |type_: &str| matches!(type_, "Complete" | "Failed");
    let ended = conditions.find(|c| is_end(&c.type_) && c.status == "True")?;
    let time = ended.last_transition_time.as_ref().map(|time| time.0);
    time.or_else(|| created(&job.metadata))
}

fn pause(since: Timestamp, ended: Timestamp) -> Duration {
    let taken = Duration::try_from(ended.duration_since(since)).unwrap_or_default();
    (taken / 2).clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        object::{child::ChildId, kind::Kind, live::Live},
        service::validate::{DefaultImages, validate},
    };

    const NOW: &str = "2026-01-01T01:00:00Z";

    fn service(spec: Value, status: Value) -> Validated {
        let service = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "u",
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [names::SNAPSHOT_FINALIZER]},
            "spec": spec, "status": status});
        validate(
            &serde_json::from_value(service).unwrap(),
            &DefaultImages::of_tests(),
        )
        .unwrap()
    }

    fn snapshot(status: Value) -> Validated {
        service(json!({"deletionPolicy": "Snapshot"}), status)
    }

    fn add(observed: &mut Observed, kind: Kind, object: Value) {
        let id = ChildId::new(kind, object["metadata"]["name"].as_str().unwrap());
        let live = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
        observed.children.insert(id, live);
    }

    fn with_app(generation: i64) -> Observed {
        let mut observed = Observed::default();
        let app = json!({"metadata": {"name": "demo", "uid": "a", "generation": generation}});
        add(&mut observed, Kind::Deployment, app);
        observed
    }

    fn read(service: &Validated, observed: &Observed) -> Option<LastBackup> {
        LastBackup::read(service, observed, NOW.parse().unwrap())
    }

    #[test]
    fn there_is_one_for_a_resource_that_is_being_deleted_with_data_and_this_policy() {
        let (app, none) = (with_app(1), Observed::default());
        assert!(read(&snapshot(json!({})), &app).is_some());
        assert_eq!(read(&snapshot(json!({})), &none), None);
        for policy in ["Retain", "Delete"] {
            let other = service(json!({"deletionPolicy": policy}), json!({}));
            assert_eq!(read(&other, &app), None, "{policy}");
        }
        let mut living = snapshot(json!({}));
        living.deletion.since = None;
        assert_eq!(read(&living, &app), None);
        let mut free = snapshot(json!({}));
        free.deletion.finalizers = vec!["example.com/keep".into()];
        assert_eq!(read(&free, &app), None);
        // Each of these tells of data, also when a deletion in the foreground has taken the Deployment first.
        let data = json!({"kind": "managed", "data": {"uid": "c"}});
        let restoring = json!({"phase": "Restoring", "restore": "r"});
        let mut staged = data.clone();
        staged["bootstrap"] = restoring;
        for (status, expected) in [
            (json!({"image": "hello-app:1"}), true),
            (json!({"backup": {"ordered": {"job": "j"}}}), true),
            (json!({"database": data}), true),
            (json!({"database": staged}), false),
        ] {
            assert_eq!(
                read(&snapshot(status.clone()), &none).is_some(),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn what_was_proved_counts_until_the_application_may_have_run_again() {
        let job = read(&snapshot(json!({})), &with_app(3)).unwrap().job;
        assert!(job.starts_with("demo-backup-last-"), "{job}");
        let known = json!({"backup": {"ordered": {"job": job, "file": "hello-1"}}});
        let known = snapshot(known);
        assert_eq!(
            read(&known, &with_app(3)).unwrap().proved.as_deref(),
            Some("hello-1")
        );
        for other in [with_app(4), Observed::default()] {
            let other = read(&known, &other).unwrap();
            assert_ne!(other.job, job);
            assert_eq!(other.proved, None);
        }
        let ordered = snapshot(json!({"backup": {"ordered": {"job": job}}}));
        assert_eq!(read(&ordered, &with_app(3)).unwrap().proved, None);
    }

    #[test]
    fn a_failed_one_is_tried_again_ever_more_seldom() {
        let service = snapshot(json!({}));
        for (ended, again) in [
            ("00:00:30", "00:01:30"),
            ("00:02:00", "00:03:00"),
            ("00:20:00", "00:30:00"),
            ("00:50:00", "01:15:00"),
            ("23:00:00", "23:30:00"),
            // The Job's clock was behind when the resource was deleted.
            ("00:00:00", "00:01:00"),
        ] {
            let mut observed = with_app(1);
            let job = read(&service, &observed).unwrap().job;
            let failed = json!({"type": "Failed", "status": "True", "lastTransitionTime": format!("2026-01-01T{ended}Z")});
            let job = json!({"metadata": {"name": job, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"conditions": [failed]}});
            add(&mut observed, Kind::Job, job);
            let found = read(&service, &observed).unwrap();
            let time: Timestamp = format!("2026-01-01T{again}Z").parse().unwrap();
            assert_eq!(found.retry_at, Some(time), "{ended}");
            // At one o'clock. What lies in the future was written by another clock.
            assert_eq!(
                found.retry,
                again < "01:00:01" || ended > "01:00:00",
                "{ended}"
            );
        }
    }

    #[test]
    fn one_at_work_is_not_tried_again() {
        let service = snapshot(json!({}));
        let mut observed = with_app(1);
        let job = read(&service, &observed).unwrap().job;
        add(
            &mut observed,
            Kind::Job,
            json!({"metadata": {"name": job}, "status": {"active": 1}}),
        );
        let found = read(&service, &observed).unwrap();
        assert_eq!((found.retry_at, found.retry), (None, false));
    }
}
