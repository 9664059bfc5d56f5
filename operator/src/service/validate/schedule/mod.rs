//! Schedules of backups, by the rules of Kubernetes' CronJob, which are those of the Go library robfig/cron: a value that
//! the API server would refuse is known before it is applied, and a run that was missed differs from one that is not due.

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
        let mut date = now.to_zoned(zone.clone()).date();
        for _ in 0..LONGEST_PAUSE {
            if self.times.on(date)
                && let Some(found) = pick(&mut self.times.of(date, zone))
            {
                return Some(found);
            }
            date = step(date).ok()?;
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
        // Every date, and with each month every day of the week.
        let mut leap_year = date(2000, 1, 1).series(jiff::Span::new().days(1)).take(366);
        self.minutes.bits != 0 && self.hours.bits != 0 && leap_year.any(|day| self.on(day))
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
            bits: bits.sum(),
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
mod tests;
