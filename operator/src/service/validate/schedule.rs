//! Schedules of backups, by the rules of Kubernetes' CronJob, which are those of the Go library robfig/cron: a value that
//! the API server would refuse is known before it is applied, and a run that was missed can be told from one that is not due.

use std::ops::RangeInclusive;

use jiff::{
    Timestamp,
    civil::{Date, Time, date},
    tz::{AmbiguousOffset, TimeZone},
};

/// Days to look for a start, back or ahead: no schedule that fires at all pauses for longer.
const LONGEST_PAUSE: i64 = 8 * 366;

/// A cron schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    times: Times,
}

/// When a schedule fires: a bit for each value of each field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Times {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The values of one field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether it was given as `*` or `?`, so that it does not restrict anything.
    any: bool,
}

/// What a field is called, its values, and the names of its first values.
struct Values {
    field: &'static str,
    range: RangeInclusive<u8>,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const fn values(
    field: &'static str,
    first: u8,
    last: u8,
    names: &'static [&'static str],
) -> Values {
    Values {
        field,
        range: first..=last,
        names,
    }
}

const FIELDS: [Values; 5] = [
    values("minute", 0, 59, &[]),
    values("hour", 0, 23, &[]),
    values("day of month", 1, 31, &[]),
    values("month", 1, 12, &MONTHS),
    values("day of week", 0, 6, &WEEKDAYS),
];

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = match text {
            "@yearly" | "@annually" => vec!["0", "0", "1", "1", "*"],
            "@monthly" => vec!["0", "0", "1", "*", "*"],
            "@weekly" => vec!["0", "0", "*", "*", "0"],
            "@daily" | "@midnight" => vec!["0", "0", "*", "*", "*"],
            "@hourly" => vec!["0", "*", "*", "*", "*"],
            _ => text.split_whitespace().collect(),
        };
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!(
                "{text:?} is not a cron schedule: use five fields, or @daily"
            ));
        };
        let [of_minutes, of_hours, of_days, of_months, of_weekdays] = &FIELDS;
        let times = Times {
            minutes: Field::parse(minutes, of_minutes)?,
            hours: Field::parse(hours, of_hours)?,
            days: Field::parse(days, of_days)?,
            months: Field::parse(months, of_months)?,
            weekdays: Field::parse(weekdays, of_weekdays)?,
        };
        if !times.fire() {
            return Err(format!("{text:?} never fires: it names no day that exists"));
        }
        let text = text.to_owned();
        Ok(Self { text, times })
    }

    /// The schedule as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When the schedule fired last, at this time or before. As in Kubernetes, a time that a change of the clock skips does
    /// not fire, and one that it repeats fires twice.
    #[must_use]
    pub fn last(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.first_day(now, zone, Date::yesterday, |starts| {
            starts.filter(|start| *start <= now).max()
        })
    }

    /// When the schedule fires next, after this time.
    #[must_use]
    pub fn next(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.first_day(now, zone, Date::tomorrow, |starts| {
            starts.filter(|start| *start > now).min()
        })
    }

    /// What `pick` finds among the starts of the first day, from today on, on which it finds any.
    fn first_day(
        &self,
        now: Timestamp,
        zone: &TimeZone,
        step: fn(Date) -> Result<Date, jiff::Error>,
        pick: impl Fn(&mut dyn Iterator<Item = Timestamp>) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        let mut day = Some(now.to_zoned(zone.clone()).date());
        let mut days = 0;
        while let Some(date) = day.filter(|_| days < LONGEST_PAUSE) {
            if self.times.on(date)
                && let Some(found) = pick(&mut self.times.of(date, zone))
            {
                return Some(found);
            }
            day = step(date).ok();
            days += 1;
        }
        None
    }
}

impl Times {
    /// Whether the schedule fires on this day.
    fn on(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let days = match self.days.any || self.weekdays.any {
            true => day && weekday,
            false => day || weekday,
        };
        days && self.months.has(date.month())
    }

    /// Whether there is a day and a time at which it fires.
    fn fire(&self) -> bool {
        let cycle = date(2000, 1, 1)
            .series(jiff::Span::new().days(1))
            .take(366 * 4);
        self.minutes.bits != 0 && self.hours.bits != 0 && cycle.into_iter().any(|day| self.on(day))
    }

    /// The starts of a day.
    fn of(&self, date: Date, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let starts = self.hours.values().flat_map(|hour| {
            let minutes = self.minutes.values();
            minutes.filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        });
        starts.flat_map(move |time| {
            let local = date.to_datetime(time);
            let offsets = match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
                AmbiguousOffset::Gap { .. } => [None, None],
                AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
            };
            let of = move |offset: jiff::tz::Offset| offset.to_timestamp(local).ok();
            offsets.into_iter().flatten().filter_map(of)
        })
    }
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits >> value & 1 == 1)
    }

    fn values(self) -> impl DoubleEndedIterator<Item = i8> {
        (0..60_i8).filter(move |value| self.has(*value))
    }

    fn parse(text: &str, values: &Values) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let one = Self::parse_part(part, values)
                .map_err(|problem| format!("{}: {part:?} {problem}", values.field))?;
            all.bits |= one.bits;
            all.any |= one.any;
        }
        Ok(all)
    }

    /// `*`, `5`, `1-5`, or one of them with a step; with a step, a single value means all from there.
    fn parse_part(part: &str, values: &Values) -> Result<Self, String> {
        let (first, last) = (*values.range.start(), *values.range.end());
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(number(step)?)),
        };
        let (low, high) = match range.split_once('-') {
            None => (range, None),
            Some((low, high)) => (low, Some(high)),
        };
        let any = matches!(low, "*" | "?");
        let (start, end) = if any {
            (first, last)
        } else {
            let start = value(low, values)?;
            let end = match high {
                Some(high) => value(high, values)?,
                None if step.is_some() => last,
                None => start,
            };
            (start, end)
        };
        if start < first || end > last {
            return Err(format!("is not within {first} to {last}"));
        }
        if start > end {
            return Err("ends before it begins".into());
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err("has a step of 0".into());
        }
        let bits = (start..=end).step_by(step.into()).map(|value| 1 << value);
        Ok(Self {
            bits: bits.fold(0, |all, bit: u64| all | bit),
            any: any && step == 1,
        })
    }
}

/// A value by its name or number.
fn value(text: &str, values: &Values) -> Result<u8, String> {
    let name = text.to_ascii_lowercase();
    let named = values.names.iter().zip(values.range.clone());
    let mut named = named.filter(|(known, _)| **known == name);
    match named.next() {
        Some((_, value)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u8, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Larger numbers are out of range everywhere.
    match text.trim_start_matches('0') {
        _ if !digits => Err("is not a number".into()),
        "" => Ok(0),
        text => Ok(text.parse().unwrap_or(u8::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(schedule: &str, zone: &str, now: &str) -> String {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let schedule = Schedule::parse(schedule).unwrap();
        let last = schedule.last(now.parse().unwrap(), &zone);
        last.map_or_else(String::new, |last| last.to_string())
    }

    #[test]
    fn what_kubernetes_refuses_is_refused_and_the_field_is_named() {
        for (text, words) in [
            ("", "five fields"),
            ("daily", "five fields"),
            ("@every 1h", "five fields"),
            ("@reboot", "five fields"),
            ("0 2 * *", "five fields"),
            ("0 0 2 * * *", "five fields"),
            ("TZ=UTC 0 2 * * *", "five fields"),
            ("60 2 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day of month"),
            ("0 0 32 * *", "day of month"),
            ("0 0 * 13 *", "month"),
            ("0 0 * foo *", "month"),
            // Sunday is 0 only.
            ("0 0 * * 7", "day of week"),
            ("0 0 * * mon-7", "day of week"),
            ("5-1 * * * *", "ends before it begins"),
            ("*/0 * * * *", "step of 0"),
            ("1-2-3 * * * *", "minute"),
            ("*/5/2 * * * *", "minute"),
            ("-1 * * * *", "minute"),
            ("999 * * * *", "minute"),
            ("0 0 L * *", "day of month"),
            ("0 0 * * 1#2", "day of week"),
            ("0 2 30 2 *", "never fires"),
            ("0 2 31 4,6,9,11 *", "never fires"),
            (", 2 * * *", "never fires"),
        ] {
            let problem = Schedule::parse(text).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn what_kubernetes_takes_is_taken() {
        for text in [
            "@yearly",
            "@annually",
            "@monthly",
            "@weekly",
            "@daily",
            "@midnight",
            "@hourly",
            "0 2 * * *",
            "*/5 1-3,5 ? JAN Sun",
            "5/15 00 01 1 0-6",
            "0 2 29 2 *",
            "0 2 30 2 1",
            "*/90 * * * *",
            ",1 * * * *",
        ] {
            assert_eq!(Schedule::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn the_last_start_is_the_latest_one_that_is_not_in_the_future() {
        let now = "2026-03-04T02:00:00Z"; // a Wednesday
        for (schedule, expected) in [
            ("0 2 * * *", "2026-03-04T02:00:00Z"),
            ("1 2 * * *", "2026-03-03T02:01:00Z"),
            ("*/7 * * * *", "2026-03-04T02:00:00Z"),
            ("*/7 1 * * *", "2026-03-04T01:56:00Z"),
            ("30/10 0 * * *", "2026-03-04T00:50:00Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
            ("@weekly", "2026-03-01T00:00:00Z"),
            ("@monthly", "2026-03-01T00:00:00Z"),
            ("@yearly", "2026-01-01T00:00:00Z"),
            // Both given: one of them is enough.
            ("0 0 2 * fri", "2026-03-02T00:00:00Z"),
            ("0 0 1 * 2", "2026-03-03T00:00:00Z"),
            // With a star, both count. A step takes the star away, except the step 1.
            ("0 0 * * 2", "2026-03-03T00:00:00Z"),
            ("0 0 */1 * 2", "2026-03-03T00:00:00Z"),
            ("0 0 */2 * 2", "2026-03-03T00:00:00Z"),
            ("0 0 */3 * 5", "2026-03-04T00:00:00Z"),
        ] {
            assert_eq!(last(schedule, "UTC", now), expected, "{schedule}");
        }
    }

    #[test]
    fn between_the_last_start_and_the_next_there_is_none() {
        let zone = jiff::tz::TimeZoneDatabase::bundled()
            .get("Europe/Berlin")
            .unwrap();
        for schedule in [
            "0 2 * * *",
            "30 2 * * *",
            "*/7 * * * *",
            "0 0 29 2 *",
            "@weekly",
        ] {
            let schedule = Schedule::parse(schedule).unwrap();
            for now in [
                "2026-03-28T23:59:59Z",
                "2026-03-29T01:30:00Z",
                "2026-10-25T00:30:00Z",
            ] {
                let now = now.parse().unwrap();
                let (last, next) = (schedule.last(now, &zone), schedule.next(now, &zone));
                let next = next.unwrap();
                assert!(next > now, "{schedule:?} {now}");
                assert_eq!(schedule.last(next, &zone), Some(next), "{schedule:?} {now}");
                let before = next
                    .checked_sub(jiff::SignedDuration::from_secs(1))
                    .unwrap();
                assert_eq!(schedule.last(before, &zone), last, "{schedule:?} {now}");
            }
        }
    }

    #[test]
    fn the_clock_of_the_zone_counts_also_when_it_changes() {
        let berlin = |schedule: &str, now: &str| last(schedule, "Europe/Berlin", now);
        assert_eq!(
            berlin("0 2 * * *", "2026-01-10T12:00:00Z"),
            "2026-01-10T01:00:00Z"
        );
        assert_eq!(
            berlin("0 2 * * *", "2026-07-10T12:00:00Z"),
            "2026-07-10T00:00:00Z"
        );
        // On 2026-03-29 there is no 02:30, and on 2026-10-25 there are two.
        assert_eq!(
            berlin("30 2 * * *", "2026-03-29T12:00:00Z"),
            "2026-03-28T01:30:00Z"
        );
        assert_eq!(
            berlin("30 2 * * *", "2026-10-25T12:00:00Z"),
            "2026-10-25T01:30:00Z"
        );
        assert_eq!(
            berlin("30 2 * * *", "2026-10-25T01:00:00Z"),
            "2026-10-25T00:30:00Z"
        );
        // The day of the zone is not that of UTC.
        assert_eq!(
            last("0 1 * * 3", "Pacific/Auckland", "2026-03-03T12:30:00Z"),
            "2026-03-03T12:00:00Z"
        );
    }

    #[test]
    fn a_time_before_all_others_has_no_start() {
        let schedule = Schedule::parse("@daily").unwrap();
        let first = Timestamp::MIN;
        let _ = schedule.last(first, &TimeZone::UTC);
        assert!(schedule.last(Timestamp::MAX, &TimeZone::UTC).is_some());
    }
}
