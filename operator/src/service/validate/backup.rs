//! Scheduled backups.

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
