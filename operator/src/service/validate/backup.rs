//! Scheduled backups.

use hello_crds::BackupFormat;

use super::{time_zone::TimeZone, volume::Volume};
use crate::error::{Error, Result};

/// Scheduled backups.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// When they are made.
    pub schedule: Schedule,
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
    pub(super) fn parse(spec: &hello_crds::Backup) -> Result<Self> {
        Ok(Self {
            schedule: Schedule::parse("spec.backup.schedule", &spec.schedule)?,
            time_zone: TimeZone::parse("spec.backup.timeZone", &spec.time_zone)?,
            formats: spec.formats.clone(),
            keep_last: spec.retention.keep_last,
            volume: Volume::parse("spec.backup.destination.volume", &spec.destination.volume)?,
            suspend: spec.suspend,
        })
    }
}

/// A cron schedule by its form: a name such as `@daily`, or five fields.
///
/// The values of the fields are left to the API server, which checks those of a CronJob: it refuses that one child, and
/// a wrong schedule must not hold up the rest of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(String);

impl Schedule {
    fn parse(field: &str, text: &str) -> Result<Self> {
        let is_name = text
            .strip_prefix('@')
            .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()));
        if is_name || text.split_whitespace().count() == 5 {
            return Ok(Self(text.to_owned()));
        }
        let problem = format!("{text:?} is not a cron schedule: use five fields, or @daily");
        Err(Error::invalid(field, problem))
    }

    /// The schedule.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_a_name_or_five_fields() {
        // The hour is the API server's to refuse.
        for text in [
            "@daily",
            "@hourly",
            "0 2 * * *",
            "*/5 1-3,5 ? JAN Sun",
            "61 2 * * *",
        ] {
            assert_eq!(Schedule::parse("f", text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "@",
            "daily",
            "@every 1h",
            "0 2 * *",
            "0 0 2 * * *",
            "TZ=UTC 0 2 * * *",
        ] {
            let error = Schedule::parse("spec.backup.schedule", text).unwrap_err();
            assert!(
                error.to_string().starts_with("spec.backup.schedule"),
                "{error}"
            );
        }
    }
}
