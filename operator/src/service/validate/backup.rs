//! Scheduled backups.

use std::time::Duration;

use hello_crds::BackupFormat;
use jiff::{SignedDuration, Timestamp};

use super::{schedule::Schedule, time_zone::TimeZone, volume::Volume};
use crate::error::Result;

/// Scheduled backups.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// When they are made, or what is wrong with it: a wrong schedule must not hold up the rest of the service.
    pub schedule: Result<Schedule, String>,
    /// Time zone of the schedule.
    pub time_zone: TimeZone,
    /// Formats of the files.
    pub formats: Vec<BackupFormat>,
    /// How many are kept.
    pub keep_last: i32,
    /// Volume for the files.
    pub volume: Volume,
    /// Whether no new ones are made.
    pub suspend: bool,
}

impl Backup {
    /// A backup that has not started so long after its time does not start any more; it is missed.
    pub const START_WITHIN: SignedDuration = SignedDuration::from_mins(10);

    /// When the schedule was due last; `None` for one that is not valid.
    #[must_use]
    pub fn last_due(&self, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule.as_ref().ok()?;
        schedule.last(now, self.time_zone.rules())
    }

    /// When the schedule is due first within this time from now on.
    #[must_use]
    pub fn next_due(&self, now: Timestamp, within: Duration) -> Option<Timestamp> {
        let mut due = None;
        let mut end = now.checked_add(within).ok()?;
        while let Some(earlier) = self.last_due(end).filter(|earlier| *earlier > now) {
            due = Some(earlier);
            end = earlier.checked_sub(SignedDuration::from_secs(1)).ok()?;
        }
        due.filter(|_| !self.suspend)
    }

    pub(super) fn parse(spec: &hello_crds::Backup) -> Result<Self> {
        Ok(Self {
            schedule: Schedule::parse(&spec.schedule),
            time_zone: TimeZone::parse("spec.backup.timeZone", &spec.time_zone)?,
            formats: spec.formats.clone(),
            keep_last: spec.retention.keep_last,
            volume: Volume::parse("spec.backup.destination.volume", &spec.destination.volume)?,
            suspend: spec.suspend,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_start_is_the_first_one_within_the_time() {
        let next = |schedule: &str, suspend: bool, seconds: u64| {
            let spec = json!({"schedule": schedule, "suspend": suspend});
            let backup = Backup::parse(&serde_json::from_value(spec).unwrap()).unwrap();
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
}
