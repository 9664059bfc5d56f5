//! The birthdays of the next days, as ranges of an index over month and day.

use chrono::{Datelike, NaiveDate};

use super::{DateOfBirth, LeapDay, days_until_birthday};

/// The most days until a birthday.
pub const MAX_DAYS_AHEAD: u32 = 366;

/// A day of the year as the number `month * 100 + day`, 29 February included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthDay(i16);

impl MonthDay {
    /// The first day of the year.
    pub const FIRST: Self = Self(101);
    /// The last day of the year.
    pub const LAST: Self = Self(1231);

    /// The day of the year of `date`.
    pub fn from_date(date: NaiveDate) -> Self {
        // At most 1231.
        Self(i16::try_from(date.month() * 100 + date.day()).unwrap_or(i16::MAX))
    }

    /// The day of the year with this number, if there is one.
    pub fn from_number(number: i16) -> Option<Self> {
        let (month, day) = (number.div_euclid(100), number.rem_euclid(100));
        NaiveDate::from_ymd_opt(2000, month.try_into().ok()?, day.try_into().ok()?)
            .map(Self::from_date)
    }

    /// The number, as in the store's index.
    pub fn number(self) -> i16 {
        self.0
    }
}

/// The birthdays of the next days: the days of the year from `first` to `last`, over the end of the
/// year when `last` is the smaller one.
///
/// From `first` on, birthdays are nearest first under either rule for 29 February, also where two
/// days of the year are celebrated on the same date. So the store finds them in the order of its
/// index, without sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BirthdayWindow {
    first: MonthDay,
    last: MonthDay,
}

impl BirthdayWindow {
    /// The birthdays at most `days` away from `today`.
    pub fn new(today: NaiveDate, days: u32, leap_day: LeapDay) -> Self {
        let year = days_of_a_leap_year();
        let away = |index: &usize| {
            let born = DateOfBirth::from_stored(year[index % year.len()]);
            days_until_birthday(born, today, leap_day)
        };
        let today_index = year
            .iter()
            .position(|day| MonthDay::from_date(*day) == MonthDay::from_date(today))
            .unwrap_or_default();
        // On 1 March, 29 February may be celebrated too, and it is the earlier day of the year.
        let previous = (today_index + year.len() - 1) % year.len();
        let first = if away(&previous) == 0 {
            previous
        } else {
            today_index
        };
        let round: Vec<usize> = (first..first + year.len()).collect();
        let count = round.partition_point(|index| away(index) <= days).max(1);
        Self {
            first: MonthDay::from_date(year[first]),
            last: MonthDay::from_date(year[(first + count - 1) % year.len()]),
        }
    }

    /// The window as one or two ranges, both ends included, nearest first. With `from`, only the part
    /// from that day on.
    pub fn ranges(self, from: Option<MonthDay>) -> impl Iterator<Item = (MonthDay, MonthDay)> {
        let (near, far) = if self.first <= self.last {
            ((self.first, self.last), None)
        } else {
            (
                (self.first, MonthDay::LAST),
                Some((MonthDay::FIRST, self.last)),
            )
        };
        let (near, far) = match from {
            None => (Some(near), far),
            Some(from) if from >= self.first => (Some((from, near.1)), far),
            Some(from) => (None, far.map(|(_, last)| (from, last))),
        };
        near.into_iter()
            .chain(far)
            .filter(|(first, last)| first <= last)
    }
}

/// All 366 days, in order.
fn days_of_a_leap_year() -> Vec<NaiveDate> {
    NaiveDate::from_ymd_opt(2000, 1, 1)
        .unwrap_or_default()
        .iter_days()
        .take_while(|day| day.year() == 2000)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// The days of the year that the window's ranges hold, in their order.
    fn inside(window: BirthdayWindow, from: Option<MonthDay>) -> Vec<MonthDay> {
        let year = days_of_a_leap_year();
        window
            .ranges(from)
            .flat_map(|(first, last)| {
                year.iter()
                    .map(|day| MonthDay::from_date(*day))
                    .filter(move |day| (first..=last).contains(day))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn holds_exactly_the_birthdays_within_the_days_and_nearest_first() {
        let year = days_of_a_leap_year();
        let start = date("2023-01-01");
        for today in start.iter_days().take_while(|day| day.year() <= 2025) {
            for leap_day in [LeapDay::Feb28, LeapDay::Mar1] {
                let away = |day: &NaiveDate| {
                    days_until_birthday(DateOfBirth::from_stored(*day), today, leap_day)
                };
                for days in [0, 1, 60, 364, 366] {
                    let mut expected: Vec<NaiveDate> = year
                        .iter()
                        .copied()
                        .filter(|day| away(day) <= days)
                        .collect();
                    // Ties, as on 28 February, in the order of the year.
                    expected.sort_by_key(|day| (away(day), MonthDay::from_date(*day)));
                    let expected: Vec<MonthDay> =
                        expected.into_iter().map(MonthDay::from_date).collect();
                    let window = BirthdayWindow::new(today, days, leap_day);
                    assert_eq!(
                        inside(window, None),
                        expected,
                        "today {today}, {days} days, {leap_day:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn goes_on_from_any_day_inside() {
        for (today, days) in [("2026-12-01", 90), ("2026-03-01", 20), ("2024-02-29", 366)] {
            let window = BirthdayWindow::new(date(today), days, LeapDay::Feb28);
            let all = inside(window, None);
            for (position, from) in all.iter().enumerate() {
                assert_eq!(inside(window, Some(*from)), all[position..], "{from:?}");
            }
        }
    }

    #[test]
    fn nothing_follows_a_day_outside() {
        let window = BirthdayWindow::new(date("2026-11-20"), 5, LeapDay::Feb28);
        let outside = MonthDay::from_date(date("2026-11-26"));
        assert_eq!(window.ranges(Some(outside)).count(), 0);
        let earlier = MonthDay::from_date(date("2026-11-19"));
        assert_eq!(window.ranges(Some(earlier)).count(), 0);
    }
}
