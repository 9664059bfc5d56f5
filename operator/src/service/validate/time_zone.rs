//! Time zones.

use jiff::tz::{TimeZone as Rules, TimeZoneDatabase};

use crate::error::{Error, Result};

/// An IANA time zone that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone {
    name: String,
    rules: Rules,
}

impl TimeZone {
    /// Checks the value of `field`.
    pub(super) fn parse(field: &str, name: &str) -> Result<Self> {
        // The built-in list gives the same answer on every machine, also where no zone files are installed.
        let Ok(rules) = TimeZoneDatabase::bundled().get(name) else {
            let problem = format!("{name:?} is not a known IANA time zone");
            return Err(Error::invalid(field, problem));
        };
        // The list ignores the case. A CronJob does not, and neither do other programs that read the name.
        match rules.iana_name() {
            Some(exact) if exact != name => {
                let problem = format!("{name:?} is not a known IANA time zone: write {exact:?}");
                Err(Error::invalid(field, problem))
            }
            _ => Ok(Self {
                name: name.to_owned(),
                rules,
            }),
        }
    }

    /// That of everybody.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: "Etc/UTC".into(),
            rules: Rules::UTC,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// How its clocks go.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_matched_with_its_case() {
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+5",
            "GMT0",
        ] {
            assert_eq!(TimeZone::parse("f", name).unwrap().as_str(), name);
        }
        for (name, words) in [
            ("europe/berlin", "write \"Europe/Berlin\""),
            ("utc", "write \"UTC\""),
            ("Mars/Olympus", "not a known"),
            ("Local", "not a known"),
        ] {
            let error = TimeZone::parse("f", name).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
