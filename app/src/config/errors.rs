//! What is wrong with the configuration, all of it, and how single values are read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::{DatabaseArgs, LogArgs};
use crate::secret::Secret;
use crate::store::DatabaseUrlSource;
use crate::telemetry::LogFormat;

/// Everything that is wrong with the configuration.
#[derive(Debug, Default)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invalid configuration: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// Notes a mistake.
    pub(super) fn note(&mut self, mistake: impl Into<String>) {
        self.0.push(mistake.into());
    }

    /// How many mistakes were noted.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Reads `text`, or notes what is wrong with it.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &str,
        text: &str,
    ) -> Option<T> {
        text.parse()
            .map_err(|error| self.0.push(format!("{name}: {error}")))
            .ok()
    }

    pub(super) fn duration(&mut self, name: &str, text: &str) -> Option<Duration> {
        humantime::parse_duration(text)
            .map_err(|error| {
                self.0
                    .push(format!("{name}: {error} (write 5s, 500ms or 1m)"))
            })
            .ok()
    }

    pub(super) fn zone(&mut self, name: &str, text: &str) -> Option<TimeZone> {
        TimeZone::get(text)
            .map_err(|error| self.0.push(format!("{name}: {error}")))
            .ok()
    }

    pub(super) fn secret(&mut self, name: &str, path: Option<&Path>) -> Option<Secret> {
        let path = non_empty_path(path)?;
        Secret::read(path)
            .map_err(|error| {
                self.0
                    .push(format!("{name}: cannot read {}: {error}", path.display()))
            })
            .ok()
            .filter(|secret| {
                let empty = secret.expose().is_empty();
                if empty {
                    self.0.push(format!("{name}: {} is empty", path.display()));
                }
                !empty
            })
    }

    pub(super) fn database(&mut self, args: &DatabaseArgs) -> Option<DatabaseUrlSource> {
        let value = non_empty(args.database_url.as_deref());
        let file = non_empty_path(args.database_url_file.as_deref());
        let source = match (value, file) {
            (Some(_), Some(_)) => {
                self.0
                    .push("DATABASE_URL and DATABASE_URL_FILE are both given".into());
                return None;
            }
            (Some(text), None) => DatabaseUrlSource::Value(Secret::new(text)),
            (None, Some(path)) => DatabaseUrlSource::File(path.into()),
            (None, None) => return None,
        };
        match source.read() {
            Ok(_) => Some(source),
            Err(error) => {
                self.0.push(format!("DATABASE_URL: {error}"));
                None
            }
        }
    }

    pub(super) fn required_database(&mut self, args: &DatabaseArgs) -> Option<DatabaseUrlSource> {
        let before = self.0.len();
        let source = self.database(args);
        if source.is_none() && self.0.len() == before {
            self.0
                .push("DATABASE_URL or DATABASE_URL_FILE is required".into());
        }
        source
    }

    pub(super) fn log(&mut self, args: &LogArgs) -> Option<(tracing::Level, LogFormat)> {
        let level = self.parse("HELLO_LOG_LEVEL", &args.log_level);
        let format = self.parse("HELLO_LOG_FORMAT", &args.log_format);
        Some((level?, format?))
    }

    /// The checked values, or all mistakes. A value is missing only when a mistake was noted.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

/// An empty variable counts as not set.
pub(super) fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// An empty variable counts as not set.
pub(super) fn non_empty_path(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}
