//! Time zones.

use crate::error::{Error, Result};

/// The name of an IANA time zone that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(String);

impl TimeZone {
    /// Checks the value of `field`.
    pub(super) fn parse(field: &str, name: &str) -> Result<Self> {
        // The built-in list gives the same answer on every machine, also where no zone files are installed.
        match jiff::tz::TimeZoneDatabase::bundled().get(name) {
            Ok(_) => Ok(Self(name.to_owned())),
            Err(_) => {
                let problem = format!("{name:?} is not a known IANA time zone");
                Err(Error::invalid(field, problem))
            }
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
