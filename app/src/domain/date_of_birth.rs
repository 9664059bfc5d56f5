//! Dates of birth: exactly `YYYY-MM-DD`, a real day, from 1900 to yesterday.

use chrono::NaiveDate;

/// The earliest year of a date of birth.
const FIRST_YEAR: i32 = 1900;

/// A valid date of birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateOfBirth(NaiveDate);

/// Why a text is not a date of birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDate {
    /// Not ten characters `YYYY-MM-DD` in ASCII digits.
    #[error("must be a date written YYYY-MM-DD")]
    Format,
    /// In the right form, but the calendar has no such day.
    #[error("must be a day that exists in the calendar")]
    NoSuchDay,
    /// Before 1900-01-01.
    #[error("must not be before 1900-01-01")]
    TooEarly,
    /// Today or later.
    #[error("must be before today")]
    NotInThePast,
}

impl DateOfBirth {
    /// Reads `YYYY-MM-DD`, accepting days from 1900-01-01 to the day before `today`.
    ///
    /// # Errors
    /// The first rule of [`InvalidDate`] that `text` breaks.
    pub fn parse(text: &str, today: NaiveDate) -> Result<Self, InvalidDate> {
        // The calendar library also accepts blanks, signs and missing zeros.
        let bytes: &[u8; 10] = text
            .as_bytes()
            .try_into()
            .map_err(|_| InvalidDate::Format)?;
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *bytes else {
            return Err(InvalidDate::Format);
        };
        let (year, month, day) = (
            number(&[y1, y2, y3, y4])?,
            number(&[m1, m2])?,
            number(&[d1, d2])?,
        );
        let year = i32::try_from(year).map_err(|_| InvalidDate::Format)?;
        let date = NaiveDate::from_ymd_opt(year, month, day).ok_or(InvalidDate::NoSuchDay)?;
        if year < FIRST_YEAR {
            return Err(InvalidDate::TooEarly);
        }
        if date >= today {
            return Err(InvalidDate::NotInThePast);
        }
        Ok(Self(date))
    }

    /// A date from the store, which was parsed before it was stored.
    pub fn from_stored(date: NaiveDate) -> Self {
        Self(date)
    }

    /// The date itself.
    pub fn as_date(self) -> NaiveDate {
        self.0
    }
}

/// Reads ASCII digits only.
fn number(digits: &[u8]) -> Result<u32, InvalidDate> {
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Ok(value * 10 + u32::from(digit - b'0')),
        _ => Err(InvalidDate::Format),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
    }

    #[test]
    fn accepts_real_days_in_the_range() {
        for text in ["1900-01-01", "2000-02-29", "2026-11-20", "1999-12-31"] {
            let date = DateOfBirth::parse(text, today()).unwrap();
            assert_eq!(date.as_date().to_string(), text);
        }
    }

    #[test]
    fn names_the_rule_that_is_broken() {
        for (text, error) in [
            ("", InvalidDate::Format),
            ("1990-1-1", InvalidDate::Format),
            (" 1990-01-01", InvalidDate::Format),
            ("1990-01-01 ", InvalidDate::Format),
            (" 990-01-01", InvalidDate::Format),
            ("+990-01-01", InvalidDate::Format),
            ("-001-01-01", InvalidDate::Format),
            ("-0001-01-01", InvalidDate::Format),
            ("19900101", InvalidDate::Format),
            ("1990/01/01", InvalidDate::Format),
            ("1990-01-01T00:00:00Z", InvalidDate::Format),
            ("١٩٩٠-٠١-٠١", InvalidDate::Format),
            ("١٩٩٠-1", InvalidDate::Format),
            ("0000-01-01", InvalidDate::TooEarly),
            ("1899-12-31", InvalidDate::TooEarly),
            ("1900-02-29", InvalidDate::NoSuchDay),
            ("2023-02-29", InvalidDate::NoSuchDay),
            ("1990-00-10", InvalidDate::NoSuchDay),
            ("1990-13-10", InvalidDate::NoSuchDay),
            ("1990-04-31", InvalidDate::NoSuchDay),
            ("1990-04-00", InvalidDate::NoSuchDay),
            ("2026-11-21", InvalidDate::NotInThePast),
            ("2026-11-22", InvalidDate::NotInThePast),
            ("9999-12-31", InvalidDate::NotInThePast),
        ] {
            assert_eq!(DateOfBirth::parse(text, today()), Err(error), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_panics_and_prints_back_what_it_read(text in "\\PC{0,12}|[0-9+ -]{10}") {
            if let Ok(date) = DateOfBirth::parse(&text, today()) {
                prop_assert_eq!(date.as_date().to_string(), text);
            }
        }

        #[test]
        fn accepts_every_day_of_the_range(days in 0_i64..46_345) {
            let first = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap();
            let date = first + chrono::TimeDelta::days(days);
            let accepted = DateOfBirth::parse(&date.to_string(), today()).is_ok();
            prop_assert_eq!(accepted, date < today());
        }
    }
}
