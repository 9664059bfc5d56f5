//! Scheduled backups.

use std::time::Duration;

use bech32::{Bech32, primitives::decode::CheckedHrpstring};
use hello_crds::{BackupFormat, HelloService, Retention};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{
    destination::Destination, image::Image, resources::quantity, schedule::Schedule,
    time_zone::TimeZone,
};
use crate::{
    error::{Error, Result},
    object::{child, names, owner::Identity, quantity::Quantity},
};

/// Scheduled backups.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// When they are made, or what is wrong with it: a wrong schedule must not hold up the rest of the service.
    pub schedule: Result<Schedule, String>,
    /// Time zone of the schedule.
    pub time_zone: TimeZone,
    /// Formats of the files.
    pub formats: Vec<BackupFormat>,
    /// Which are kept.
    pub retention: Retention,
    /// Where they are kept.
    pub destination: Destination,
    /// Whom they are encrypted to; none: they are not encrypted.
    pub recipients: Vec<String>,
    /// Most that the throw-away server may use, when given.
    pub scratch: Option<Quantity>,
    /// Image with PostgreSQL's programs, when given.
    pub image: Option<Image>,
    /// Whether no new ones are made.
    pub suspend: bool,
    /// Job of the backup that a person requests, unless an earlier pass knows that it was started.
    pub request: Option<String>,
}

impl Backup {
    /// A backup that has not started so long after its time does not start any more; it is missed.
    pub const START_WITHIN: SignedDuration = SignedDuration::from_mins(10);
    /// Longest time a backup may take.
    pub const DEADLINE: SignedDuration = SignedDuration::from_hours(4);

    /// When the schedule was due last; `None` for one that is not valid.
    #[must_use]
    pub fn last_due(&self, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule.as_ref().ok()?;
        schedule.last(now, self.time_zone.rules())
    }

    /// When the schedule was due last, of the backups that would have started by now.
    #[must_use]
    pub fn last_started(&self, now: Timestamp) -> Option<Timestamp> {
        self.last_due(now.checked_sub(Self::START_WITHIN).ok()?)
    }

    /// When the schedule starts the next one.
    #[must_use]
    pub fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule.as_ref().ok().filter(|_| !self.suspend)?;
        schedule.next(now, self.time_zone.rules())
    }

    /// The same when that is within this time from now on.
    #[must_use]
    pub fn next_due(&self, now: Timestamp, within: Duration) -> Option<Timestamp> {
        let end = now.checked_add(within).ok()?;
        self.next_start(now).filter(|due| *due <= end)
    }

    /// What a restore reads a backup of another service with, where the service makes none of its own.
    #[must_use]
    pub fn of_others(destination: Destination) -> Self {
        Self {
            schedule: Err("no backups are made".into()),
            time_zone: TimeZone::utc(),
            formats: Vec::new(),
            recipients: Vec::new(),
            retention: Retention::default(),
            destination,
            scratch: None,
            image: None,
            suspend: true,
            request: None,
        }
    }

    pub(super) fn parse(
        identity: &Identity,
        service: &HelloService,
        spec: &hello_crds::Backup,
    ) -> Result<Self> {
        let scratch = spec.verify.scratch.size.as_ref();
        let image = spec.image.as_ref();
        Ok(Self {
            schedule: match &spec.schedule {
                Some(text) => Schedule::parse(text),
                None => Schedule::parse(&nightly(identity)),
            },
            time_zone: TimeZone::parse("spec.backup.timeZone", &spec.time_zone)?,
            formats: spec.formats.clone(),
            retention: spec.retention.clone(),
            destination: Destination::parse(identity, &spec.destination)?,
            recipients: recipients(spec)?,
            scratch: scratch
                .map(|size| quantity("spec.backup.verify.scratch.size", size))
                .transpose()?,
            image: image
                .map(|image| Image::parse("spec.backup.image", image))
                .transpose()?,
            suspend: spec.suspend,
            request: request(service),
        })
    }
}

/// The recipients. One that was mistyped would open nothing, which would be seen when the backups are needed.
fn recipients(spec: &hello_crds::Backup) -> Result<Vec<String>> {
    let given = spec.encryption.as_ref();
    let given = given.map_or(&[][..], |encryption| &encryption.recipients);
    for recipient in given {
        let key = CheckedHrpstring::new::<Bech32>(recipient)
            .map_err(|error| error.to_string())
            .and_then(
                |text| match (text.hrp().as_str(), text.byte_iter().count()) {
                    ("age", 32) => Ok(()),
                    _ => Err("it is no key of the kind X25519".to_owned()),
                },
            );
        key.map_err(|problem| {
            let problem = format!("{recipient:?} is no recipient of age: {problem}");
            Error::invalid("spec.backup.encryption.recipients", problem)
        })?;
    }
    Ok(given.to_vec())
}

/// A schedule of every night. Services have different minutes, so that not all of them start at once.
fn nightly(identity: &Identity) -> String {
    const MINUTES: u64 = 3 * 60;
    let hash = child::hash(&format!("{}/{}", identity.namespace, identity.name));
    let minute = u64::from_str_radix(&hash, 16).unwrap_or_default() % MINUTES;
    format!("{} {} * * *", minute % 60, 2 + minute / 60)
}

/// Job of the backup that the annotation requests. The status remembers the last one, also when its Job is gone.
fn request(service: &HelloService) -> Option<String> {
    let value = service
        .annotations()
        .get(names::BACKUP_REQUEST_ANNOTATION)?;
    let name = names::requested_backup(&service.name_any(), &child::hash(value)[..10]);
    let status = service.status.as_ref();
    let last = status.and_then(|status| status.backup.as_ref()?.last_request.as_ref());
    (last != Some(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    fn parse(service: &serde_json::Value) -> Backup {
        let service: HelloService = serde_json::from_value(service.clone()).unwrap();
        let identity = Identity {
            namespace: "team".into(),
            name: "demo".into(),
            uid: String::new(),
            generation: 1,
        };
        Backup::parse(&identity, &service, &service.spec.wanted_backup().unwrap()).unwrap()
    }

    #[test]
    fn a_recipient_that_was_mistyped_is_refused() {
        let check = |recipient: &str| {
            let spec = json!({"encryption": {"recipients": [RECIPIENT, recipient]}});
            recipients(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(check(RECIPIENT).unwrap(), [RECIPIENT; 2]);
        let swapped = RECIPIENT.replace("t7", "7t");
        let other = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
        for wrong in [&*swapped, other, "age1", ""] {
            let error = check(wrong).unwrap_err().to_string();
            assert!(
                error.contains("spec.backup.encryption.recipients"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_next_start_is_the_first_one_within_the_time() {
        let next = |schedule: &str, suspend: bool, seconds: u64| {
            let spec = json!({"schedule": schedule, "suspend": suspend});
            let backup = parse(&json!({"metadata": {"name": "demo"}, "spec": {"backup": spec}}));
            let now: Timestamp = "2026-01-01T01:00:30Z".parse().unwrap();
            let due = backup.next_due(now, Duration::from_secs(seconds));
            due.map_or_else(String::new, |due| due.to_string())
        };
        assert_eq!(next("* * * * *", false, 600), "2026-01-01T01:01:00Z");
        assert_eq!(next("*/5 * * * *", false, 600), "2026-01-01T01:05:00Z");
        assert_eq!(next("5 1 * * *", false, 600), "2026-01-01T01:05:00Z");
        // It was due a moment ago.
        assert_eq!(next("0 1 * * *", false, 600), "");
        assert_eq!(next("5 1 * * *", false, 60), "");
        assert_eq!(next("* * * * *", true, 600), "");
        assert_eq!(next("never", false, 600), "");
    }

    #[test]
    fn a_schedule_of_every_few_minutes_was_due_also_before_the_last_ones() {
        let due = |schedule: &str| {
            let spec = json!({"schedule": schedule});
            let backup = parse(&json!({"metadata": {"name": "demo"}, "spec": {"backup": spec}}));
            let now: Timestamp = "2026-01-01T01:12:30Z".parse().unwrap();
            backup.last_started(now).unwrap().to_string()
        };
        assert_eq!(due("*/5 * * * *"), "2026-01-01T01:00:00Z");
        assert_eq!(due("5 1 * * *"), "2025-12-31T01:05:00Z");
        assert_eq!(due("1 1 * * *"), "2026-01-01T01:01:00Z");
    }

    #[test]
    fn without_a_schedule_each_service_has_a_time_of_its_own_in_the_night() {
        let schedule = |name: &str| {
            let name = name.into();
            nightly(&Identity {
                namespace: "team".into(),
                name,
                uid: String::new(),
                generation: 1,
            })
        };
        let names = (0..500).map(|number| format!("demo-{number}"));
        let schedules: BTreeSet<String> = names.map(|name| schedule(&name)).collect();
        // Of 180 minutes most are taken.
        assert!(schedules.len() > 140, "{}", schedules.len());
        for text in &schedules {
            let schedule = Schedule::parse(text).unwrap();
            let midnight: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            let next = schedule.next(midnight, &jiff::tz::TimeZone::UTC).unwrap();
            let text = next.to_string();
            assert!(
                ("2026-01-01T02:00:00Z".."2026-01-01T05:00:00Z").contains(&&*text),
                "{text}"
            );
        }
        assert_eq!(schedule("demo"), schedule("demo"));
        let service = json!({"metadata": {"name": "demo"}, "spec": {"backup": {}}});
        assert_eq!(parse(&service).schedule.unwrap().as_str(), schedule("demo"));
    }

    #[test]
    fn a_request_is_known_by_its_value_and_remembered() {
        let request = |value: Option<&str>, last: Option<&str>| {
            let mut service = json!({"metadata": {"name": "demo"}, "spec": {"backup": {"schedule": "@daily"}},
                "status": {"backup": {}}});
            if let Some(value) = value {
                let annotations = json!({names::BACKUP_REQUEST_ANNOTATION: value});
                service["metadata"]["annotations"] = annotations;
            }
            if let Some(last) = last {
                service["status"]["backup"]["lastRequest"] = last.into();
            }
            parse(&service).request
        };
        assert_eq!(request(None, None), None);
        let first = request(Some("1"), None).unwrap();
        assert!(first.starts_with("demo-backup-now-"), "{first}");
        assert_eq!(request(Some("1"), Some(&first)), None);
        let second = request(Some("2"), Some(&first)).unwrap();
        assert_ne!(first, second);
        // Whatever it is, the name is that of an object.
        let long = request(Some(&"Ä\n".repeat(1000)), None).unwrap();
        assert_eq!(long.len(), first.len());
    }

    #[test]
    fn backups_are_in_a_volume_unless_there_is_a_bucket() {
        let destination = |spec: serde_json::Value| {
            let spec = json!({"schedule": "@daily", "destination": spec});
            parse(&json!({"metadata": {"name": "demo"}, "spec": {"backup": spec}})).destination
        };
        let volume = destination(json!({}));
        assert_eq!(volume.volume().unwrap().size.as_str(), "2Gi");
        assert!(volume.bucket().is_none());
        let bucket = destination(json!({"s3": {"bucket": "all"}}));
        assert!(bucket.volume().is_none());
        let bucket = bucket.bucket().unwrap().clone();
        assert_eq!((&*bucket.prefix, bucket.port), ("team/demo", 443));
        assert_eq!((&*bucket.region, bucket.access_key), ("us-east-1", None));
        let other = destination(
            json!({"s3": {"bucket": "all", "prefix": "x", "endpoint": "http://s3.store:9000"}}),
        );
        let other = other.bucket().unwrap().clone();
        assert_eq!((&*other.prefix, other.port), ("x", 9000));
    }
}
