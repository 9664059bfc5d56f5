//! Where the next page of a list begins: opaque to clients, and a place rather than a count, so
//! that what is added or removed meanwhile shifts nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;

use super::{Problem, query};
use crate::domain::{MonthDay, Username, UsernameRule};

/// A place behind an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// In a list in the order of names.
    Name(Username),
    /// In a list of birthdays.
    Birthday(BirthdayPlace),
}

/// A place in a list of birthdays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthdayPlace {
    /// The day on which the list was begun: it goes on as of that day, also over midnight.
    pub today: NaiveDate,
    /// The last entry's birthday.
    pub birthday: MonthDay,
    /// The last entry's name.
    pub username: Username,
}

impl Cursor {
    /// As clients get it.
    pub fn encode(&self) -> String {
        let text = match self {
            Self::Name(username) => format!("n {}", username.as_str()),
            Self::Birthday(place) => format!(
                "b {} {} {}",
                place.today,
                place.birthday.number(),
                place.username.as_str()
            ),
        };
        URL_SAFE_NO_PAD.encode(text)
    }

    fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let name = |text| Username::parse(text, UsernameRule::Unicode).ok();
        let parts: Vec<&str> = text.split(' ').collect();
        match *parts.as_slice() {
            ["n", username] => Some(Self::Name(name(username)?)),
            ["b", today, birthday, username] => Some(Self::Birthday(BirthdayPlace {
                today: today.parse().ok().filter(is_plausible)?,
                birthday: MonthDay::from_number(birthday.parse().ok()?)?,
                username: name(username)?,
            })),
            _ => None,
        }
    }

    /// Reads the parameter `cursor` of a list in the order of names.
    ///
    /// # Errors
    /// 400 when it did not come from such a list.
    pub fn name(query: &query::Query) -> Result<Option<Username>, Problem> {
        match Self::read(query)? {
            None => Ok(None),
            Some(Self::Name(username)) => Ok(Some(username)),
            Some(Self::Birthday(_)) => Err(foreign()),
        }
    }

    /// Reads the parameter `cursor` of a list of birthdays.
    ///
    /// # Errors
    /// 400 when it did not come from such a list.
    pub fn birthday(query: &query::Query) -> Result<Option<BirthdayPlace>, Problem> {
        match Self::read(query)? {
            None => Ok(None),
            Some(Self::Birthday(place)) => Ok(Some(place)),
            Some(Self::Name(_)) => Err(foreign()),
        }
    }

    fn read(query: &query::Query) -> Result<Option<Self>, Problem> {
        query
            .get("cursor")
            .map(|text| Self::decode(text).ok_or_else(foreign))
            .transpose()
    }
}

fn foreign() -> Problem {
    query::invalid("cursor", "is not a cursor that this list has given out")
}

/// Whether a day is one that lists may have been begun on: far from the calendar's own ends.
fn is_plausible(day: &NaiveDate) -> bool {
    use chrono::Datelike;
    (2000..10_000).contains(&day.year())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Username {
        Username::parse(text, UsernameRule::Unicode).unwrap()
    }

    #[test]
    fn comes_back_as_it_went_out() {
        for cursor in [
            Cursor::Name(name("José")),
            Cursor::Birthday(BirthdayPlace {
                today: "2026-11-21".parse().unwrap(),
                birthday: MonthDay::of("2000-02-29".parse().unwrap()),
                username: name("𠀀"),
            }),
        ] {
            let text = cursor.encode();
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
            assert_eq!(Cursor::decode(&text), Some(cursor));
        }
    }

    #[test]
    fn refuses_what_it_has_not_given_out() {
        for text in [
            "n ",
            "n a1",
            "n a b",
            "b 2026-11-21 1301 a",
            "b 2026-11-21 230 a",
            "b 2026-11-21 -101 a",
            "b +262142-12-31 101 a",
            "b 2026-13-21 101 a",
            "x a",
            "",
        ] {
            assert_eq!(
                Cursor::decode(&URL_SAFE_NO_PAD.encode(text)),
                None,
                "{text}"
            );
        }
        assert_eq!(Cursor::decode("n alice"), None);
        assert_eq!(Cursor::decode("===="), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_panics(text in "\\PC{0,40}|[a-zA-Z0-9_-]{0,40}") {
            let _ = Cursor::decode(&text);
        }
    }
}
