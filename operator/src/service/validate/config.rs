//! Settings of the API.

use hello_crds::{AppConfig, LeapDay, LogFormat, LogLevel, RateLimit, Usernames};

use super::time_zone::TimeZone;
use crate::error::Result;

/// Settings of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Time zone of the current date.
    pub time_zone: TimeZone,
    /// Birthday, in years without a 29 February, of users born on that day.
    pub leap_day: LeapDay,
    /// Letters that are allowed in user names.
    pub usernames: Usernames,
    /// Lowest severity of the log messages.
    pub log_level: LogLevel,
    /// Format of the log lines.
    pub log_format: LogFormat,
    /// Limit on the requests of each client, when there is one.
    pub rate_limit: Option<RateLimit>,
}

impl Config {
    pub(super) fn parse(spec: &AppConfig) -> Result<Self> {
        Ok(Self {
            time_zone: TimeZone::parse("spec.config.timeZone", &spec.time_zone)?,
            leap_day: spec.leap_day,
            usernames: spec.usernames,
            log_level: spec.log_level,
            log_format: spec.log_format,
            rate_limit: spec.rate_limit.clone(),
        })
    }
}
