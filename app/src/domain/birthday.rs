//! Days until the next birthday, with a rule for people born on 29 February.

use chrono::{Datelike, NaiveDate};
use strum::{EnumString, IntoStaticStr};

use super::DateOfBirth;

/// When people born on 29 February celebrate in a year without that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(
    serialize_all = "lowercase",
    parse_err_ty = String,
    parse_err_fn = unknown_leap_day
)]
pub enum LeapDay {
    /// On 28 February.
    #[default]
    Feb28,
    /// On 1 March.
    Mar1,
}

fn unknown_leap_day(text: &str) -> String {
    format!("`{text}` is neither `feb28` nor `mar1`")
}

/// Whole days from `today` to the next birthday, 0 on the birthday itself and at most 366.
pub fn days_until_birthday(born: DateOfBirth, today: NaiveDate, leap_day: LeapDay) -> u32 {
    let this_year = birthday_in(today.year(), born, leap_day);
    let next = if this_year >= today {
        this_year
    } else {
        birthday_in(today.year() + 1, born, leap_day)
    };
    u32::try_from(next.signed_duration_since(today).num_days()).unwrap_or(0)
}

/// The day on which the birthday is celebrated in `year`.
fn birthday_in(year: i32, born: DateOfBirth, leap_day: LeapDay) -> NaiveDate {
    let born = born.as_date();
    let (month, day) = match leap_day {
        // Only 29 February is missing from some years.
        _ if NaiveDate::from_ymd_opt(year, born.month(), born.day()).is_some() => {
            (born.month(), born.day())
        }
        LeapDay::Feb28 => (2, 28),
        LeapDay::Mar1 => (3, 1),
    };
    // Fails only after the calendar's last year, 262142.
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn is_leap(year: i32) -> bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    /// Walks day by day until it meets the birthday: slow, and obviously right.
    fn oracle(born: NaiveDate, today: NaiveDate, leap_day: LeapDay) -> u32 {
        let mut day = today;
        let mut count = 0;
        loop {
            let (month, number) = (day.month(), day.day());
            let same_day = (month, number) == (born.month(), born.day());
            let stand_in = (born.month(), born.day()) == (2, 29)
                && !is_leap(day.year())
                && match leap_day {
                    LeapDay::Feb28 => (month, number) == (2, 28),
                    LeapDay::Mar1 => (month, number) == (3, 1),
                };
            if same_day || stand_in {
                return count;
            }
            day = day.succ_opt().unwrap();
            count += 1;
        }
    }

    #[test]
    fn agrees_with_the_oracle_on_every_day_of_seven_years() {
        let mut checked = 0_u32;
        for birth_year in [1999, 2000] {
            let first = NaiveDate::from_ymd_opt(birth_year, 1, 1).unwrap();
            for born in first.iter_days().take_while(|day| day.year() == birth_year) {
                let typed = DateOfBirth::from_stored(born);
                let first_today = NaiveDate::from_ymd_opt(2023, 1, 1).unwrap();
                for leap_day in [LeapDay::Feb28, LeapDay::Mar1] {
                    // The walk is quadratic; its answer for a day is one less than the day before's.
                    let mut expected = oracle(born, first_today, leap_day);
                    for today in first_today.iter_days().take_while(|day| day.year() <= 2029) {
                        let days = days_until_birthday(typed, today, leap_day);
                        assert_eq!(days, expected, "born {born}, today {today}, {leap_day:?}");
                        assert!(days <= 366);
                        checked += 1;
                        expected = match expected {
                            0 => 1 + oracle(born, today.succ_opt().unwrap(), leap_day),
                            days => days,
                        } - 1;
                    }
                }
            }
        }
        assert_eq!(checked, (365 + 366) * 2 * (5 * 365 + 2 * 366));
    }

    #[test]
    fn leap_day_rules_differ_only_in_common_years() {
        let born = DateOfBirth::from_stored(date("2000-02-29"));
        for (today, feb28, mar1) in [
            ("2023-02-27", 1, 2),
            ("2023-02-28", 0, 1),
            ("2023-03-01", 365, 0),
            ("2023-03-02", 364, 364),
            ("2024-02-28", 1, 1),
            ("2024-02-29", 0, 0),
            ("2024-03-01", 364, 365),
            ("2100-02-28", 0, 1),
        ] {
            assert_eq!(
                days_until_birthday(born, date(today), LeapDay::Feb28),
                feb28,
                "{today}"
            );
            assert_eq!(
                days_until_birthday(born, date(today), LeapDay::Mar1),
                mar1,
                "{today}"
            );
        }
    }

    #[test]
    fn crosses_the_end_of_the_year() {
        let born = DateOfBirth::from_stored(date("1990-01-01"));
        assert_eq!(
            days_until_birthday(born, date("2026-12-31"), LeapDay::Feb28),
            1
        );
        assert_eq!(
            days_until_birthday(born, date("2027-01-01"), LeapDay::Feb28),
            0
        );
        assert_eq!(
            days_until_birthday(born, date("2027-01-02"), LeapDay::Feb28),
            364
        );
    }

    #[test]
    fn a_clock_that_stepped_back_before_the_birth_does_not_panic() {
        let born = DateOfBirth::from_stored(date("2026-05-02"));
        assert_eq!(
            days_until_birthday(born, date("2026-05-01"), LeapDay::Feb28),
            1
        );
        assert_eq!(days_until_birthday(born, NaiveDate::MAX, LeapDay::Feb28), 0);
    }

    #[test]
    fn another_leap_day_is_refused_with_those_that_there_are() {
        assert_eq!("mar1".parse(), Ok(LeapDay::Mar1));
        let problem = "feb30".parse::<LeapDay>().unwrap_err();
        assert_eq!(problem, "`feb30` is neither `feb28` nor `mar1`");
    }
}
