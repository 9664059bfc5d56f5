//! What day it is, where, by which clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A source of the present instant.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is set, for tests.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that shows `instant` (whole seconds).
    pub fn new(instant: DateTime<Utc>) -> Self {
        Self(AtomicI64::new(instant.timestamp()))
    }

    /// Moves the clock, forwards or back.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.0.store(instant.timestamp(), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::SeqCst), 0).unwrap_or_default()
    }
}

/// Tells today's date in one configured time zone.
#[derive(Clone)]
pub struct Calendar {
    clock: Arc<dyn Clock>,
    zone: TimeZone,
}

impl Calendar {
    /// A calendar for `zone`, read from `clock`.
    pub fn new(clock: Arc<dyn Clock>, zone: TimeZone) -> Self {
        Self { clock, zone }
    }

    /// Today in the calendar's zone.
    pub fn today(&self) -> NaiveDate {
        let now = self.clock.now();
        // Fails only for years beyond 9999, where no zone is known to differ.
        let offset = Timestamp::from_second(now.timestamp())
            .map_or(0, |instant| self.zone.to_offset(instant).seconds());
        (now + TimeDelta::seconds(offset.into())).date_naive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn today_depends_on_the_zone() {
        let clock = Arc::new(FixedClock::new(instant("2026-11-21T11:30:00Z")));
        for (zone, today) in [
            ("UTC", "2026-11-21"),
            ("Pacific/Kiritimati", "2026-11-22"), // +14
            ("Etc/GMT+12", "2026-11-20"),         // -12
        ] {
            let calendar = Calendar::new(clock.clone(), TimeZone::get(zone).unwrap());
            assert_eq!(calendar.today().to_string(), today, "{zone}");
        }
    }

    #[test]
    fn midnight_turns_the_day_and_turning_back_undoes_it() {
        let clock = Arc::new(FixedClock::new(instant("2026-12-31T23:59:59Z")));
        let calendar = Calendar::new(clock.clone(), TimeZone::UTC);
        assert_eq!(calendar.today().to_string(), "2026-12-31");
        clock.set(instant("2027-01-01T00:00:00Z"));
        assert_eq!(calendar.today().to_string(), "2027-01-01");
        clock.set(instant("2026-12-31T23:59:58Z"));
        assert_eq!(calendar.today().to_string(), "2026-12-31");
    }
}
