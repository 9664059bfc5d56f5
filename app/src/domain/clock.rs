//! Today's date, in a time zone and by a clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, NaiveDate, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A source of the current instant.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
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

    /// Moves the clock, forwards or backwards.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.0.store(instant.timestamp(), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::SeqCst), 0).unwrap_or_default()
    }
}

/// A span of time with one date, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Span {
    date: NaiveDate,
    from: i64,
    until: i64,
}

/// Today's date in one time zone.
#[derive(Clone)]
pub struct Calendar {
    clock: Arc<dyn Clock>,
    zone: TimeZone,
    /// The last result, which is valid until midnight.
    last: Arc<RwLock<Option<Span>>>,
}

impl Calendar {
    /// A calendar for `zone`, read from `clock`.
    pub fn new(clock: Arc<dyn Clock>, zone: TimeZone) -> Self {
        Self {
            clock,
            zone,
            last: Arc::default(),
        }
    }

    /// Today in the calendar's zone.
    pub fn today(&self) -> NaiveDate {
        let now = self.clock.now().timestamp();
        let last = *self.last.read().unwrap_or_else(PoisonError::into_inner);
        match last {
            Some(span) if (span.from..span.until).contains(&now) => span.date,
            _ => {
                let span = self.span(now);
                *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(span);
                span.date
            }
        }
    }

    /// The rest of the day from `now` on. A zone may go back over midnight, or skip a day, so every
    /// change of its offset counts.
    fn span(&self, now: i64) -> Span {
        const DAY: i64 = 24 * 60 * 60;
        let day_number = |at: i64, offset: i64| (at + offset).div_euclid(DAY);
        // Fails only for years beyond 9999, where no zone is known to differ.
        let start = Timestamp::from_second(now).ok();
        let mut offset = start.map_or(0, |at| i64::from(self.zone.to_offset(at).seconds()));
        let today = day_number(now, offset);
        let mut until = (today + 1) * DAY - offset;
        for change in start.into_iter().flat_map(|at| self.zone.following(at)) {
            let at = change.timestamp().as_second();
            if at > until {
                break;
            }
            offset = change.offset().seconds().into();
            if day_number(at, offset) != today {
                until = at;
                break;
            }
            until = (today + 1) * DAY - offset;
        }
        let date = DateTime::from_timestamp(today * DAY, 0).unwrap_or_default();
        Span {
            date: date.date_naive(),
            from: now,
            until,
        }
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

    #[test]
    fn a_day_ends_at_midnight_of_the_zone_whatever_the_clocks_do() {
        for (zone, now, today, left) in [
            ("UTC", "2026-11-21T00:00:00Z", "2026-11-21", 86_399),
            ("UTC", "2026-11-21T23:59:59Z", "2026-11-21", 0),
            (
                "Pacific/Kiritimati",
                "2026-11-21T09:59:50Z",
                "2026-11-21",
                9,
            ),
            ("Etc/GMT+12", "2026-11-21T11:59:50Z", "2026-11-20", 9),
            // A day of 23 hours, and one of 25.
            (
                "Europe/Berlin",
                "2026-03-28T23:00:00Z",
                "2026-03-29",
                82_799,
            ),
            (
                "Europe/Berlin",
                "2026-10-24T22:00:00Z",
                "2026-10-25",
                89_999,
            ),
            // Set back at midnight: the hour before it comes twice.
            (
                "America/Sao_Paulo",
                "2018-02-18T01:00:00Z",
                "2018-02-17",
                7_199,
            ),
            // Set forward at midnight: the day begins at one o'clock.
            ("America/Sao_Paulo", "2018-11-04T02:59:50Z", "2018-11-03", 9),
            // Set back a minute past midnight: a minute of tomorrow, then today again.
            ("America/St_Johns", "2006-10-29T02:30:30Z", "2006-10-29", 29),
            (
                "America/St_Johns",
                "2006-10-29T02:31:00Z",
                "2006-10-28",
                3_539,
            ),
            // The 30th was left out.
            ("Pacific/Apia", "2011-12-30T09:59:50Z", "2011-12-29", 9),
            ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", 86_399),
        ] {
            let clock = Arc::new(FixedClock::new(instant(now)));
            let calendar = Calendar::new(clock.clone(), TimeZone::get(zone).unwrap());
            assert_eq!(calendar.today().to_string(), today, "{zone} {now}");
            let remembered = calendar.last.read().unwrap().unwrap();
            let end = instant(now).timestamp() + left + 1;
            assert_eq!(remembered.until, end, "{zone} {now}");
            // These are remembered from the first: to the last second of the day, and no longer.
            clock.set(instant(now) + chrono::TimeDelta::seconds(left));
            assert_eq!(calendar.today().to_string(), today, "{zone} {now}");
            clock.set(instant(now) + chrono::TimeDelta::seconds(left + 1));
            assert_ne!(calendar.today().to_string(), today, "{zone} {now}");
        }
    }

    #[test]
    fn a_day_that_is_remembered_is_not_computed_again() {
        let now = instant("2026-11-21T11:30:00Z");
        let calendar = Calendar::new(Arc::new(FixedClock::new(now)), TimeZone::UTC);
        let date = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for (until, today) in [(1, "1970-01-01"), (0, "2026-11-21")] {
            let (from, until) = (now.timestamp(), now.timestamp() + until);
            *calendar.last.write().unwrap() = Some(Span { date, from, until });
            assert_eq!(calendar.today().to_string(), today);
        }
    }

    #[test]
    fn what_is_remembered_agrees_with_the_zone_at_every_hour_of_four_years() {
        for name in ["America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"] {
            let zone = TimeZone::get(name).unwrap();
            let clock = Arc::new(FixedClock::new(instant("2009-01-01T00:00:00Z")));
            let calendar = Calendar::new(clock.clone(), zone.clone());
            for hour in 0..4 * 366 * 24_i64 {
                let now = instant("2009-01-01T00:00:30Z") + chrono::TimeDelta::hours(hour);
                clock.set(now);
                let at = Timestamp::from_second(now.timestamp()).unwrap();
                let expected = zone.to_datetime(at).date().to_string();
                assert_eq!(calendar.today().to_string(), expected, "{name} {now}");
            }
        }
    }
}
