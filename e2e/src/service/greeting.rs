//! The exact texts of the greeting, computed on their own so that the app's arithmetic is checked and not repeated.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::http;

/// A common year, so that no birthday falls on 29 February.
const YEAR: i16 = 1990;
const DAYS: usize = 365;

/// Today in UTC, the default time zone of a `HelloService`.
pub fn utc_today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// The `number`th birthday of a series in which neighbours differ; it repeats after 365.
pub fn birthday(number: usize) -> Date {
    let days = i64::try_from(number % DAYS).unwrap_or(0);
    Date::constant(YEAR, 1, 1).saturating_add(days.days())
}

/// A date of birth whose birthday is `days` after today.
pub fn born_in(days: i64) -> Date {
    let day = utc_today().saturating_add(days.days());
    // 29 February moves to the 28th here: callers ask for days that are not near it, or compute the text from the date.
    day.with()
        .year(YEAR)
        .build()
        .unwrap_or_else(|_| Date::constant(YEAR, 2, 28))
}

/// The message of `GET /hello/{user}` on the day `today` for a date of birth, which is not a 29 February.
pub fn text(user: &str, born: Date, today: Date) -> String {
    match days_until(born, today) {
        0 => format!("Hello, {user}! Happy birthday!"),
        days => format!("Hello, {user}! Your birthday is in {days} day(s)"),
    }
}

/// The birthday that a greeting computed on the day `today` is about, as a date of the series; `None` when it is about none of them.
pub fn birthday_in(body: &str, user: &str, today: Date) -> Option<Date> {
    let message = http::message(body).ok()?;
    (0..DAYS)
        .map(birthday)
        .find(|born| text(user, *born, today) == message)
}

fn days_until(born: Date, today: Date) -> i32 {
    let in_year = |year| Date::new(year, born.month(), born.day()).unwrap_or(born);
    let this_year = in_year(today.year());
    let next = if this_year < today {
        in_year(today.year() + 1)
    } else {
        this_year
    };
    today.until(next).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 21);

    #[test]
    fn the_texts() {
        let on = |month, day| text("alice", Date::constant(1990, month, day), TODAY);
        assert_eq!(on(11, 21), "Hello, alice! Happy birthday!");
        assert_eq!(on(11, 26), "Hello, alice! Your birthday is in 5 day(s)");
        assert_eq!(on(11, 20), "Hello, alice! Your birthday is in 364 day(s)");
        assert_eq!(on(1, 1), "Hello, alice! Your birthday is in 41 day(s)");
    }

    #[test]
    fn every_birthday_is_found_in_its_own_greeting() {
        for today in [
            TODAY,
            Date::constant(2027, 12, 31),
            Date::constant(2028, 2, 28),
        ] {
            for born in (0..DAYS).map(birthday) {
                let body = format!(r#"{{"message":"{}"}}"#, text("a", born, today));
                assert_eq!(birthday_in(&body, "a", today), Some(born));
            }
        }
    }

    #[test]
    fn another_users_greeting_is_none() {
        let body = format!(r#"{{"message":"{}"}}"#, text("b", birthday(1), TODAY));
        assert_eq!(birthday_in(&body, "a", TODAY), None);
    }

    #[test]
    fn the_series_repeats_after_a_year() {
        assert_eq!(birthday(0), birthday(DAYS));
        assert_ne!(birthday(0), birthday(1));
    }
}
