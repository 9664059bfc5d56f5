//! The cursor of the next page of a list. It is opaque to clients. It names the last entry rather
//! than a count, so entries that are added or removed between two pages shift nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;

use super::problem::Problem;
use super::query::{self, Query};
use crate::domain::{MonthDay, Username, UsernameRule};

/// The place after an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// In a list ordered by name.
    Name(Username),
    /// In a list of birthdays.
    Birthday(BirthdayPlace),
}

/// A place in a list of birthdays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthdayPlace {
    /// The day of the first page: all pages are as of that day, also after midnight.
    pub today: NaiveDate,
    /// The last entry's birthday.
    pub birthday: MonthDay,
    /// The last entry's name.
    pub username: Username,
}

impl Cursor {
    /// The text for clients.
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

    /// Reads the parameter `cursor` of a list ordered by name.
    ///
    /// # Errors
    /// 400 when it is not from such a list.
    pub fn name(query: &Query) -> Result<Option<Username>, Problem> {
        match Self::read(query)? {
            None => Ok(None),
            Some(Self::Name(username)) => Ok(Some(username)),
            Some(Self::Birthday(_)) => Err(foreign()),
        }
    }

    /// Reads the parameter `cursor` of a list of birthdays.
    ///
    /// # Errors
    /// 400 when it is not from such a list.
    pub fn birthday(query: &Query) -> Result<Option<BirthdayPlace>, Problem> {
        match Self::read(query)? {
            None => Ok(None),
            Some(Self::Birthday(place)) => Ok(Some(place)),
            Some(Self::Name(_)) => Err(foreign()),
        }
    }

    fn read(query: &Query) -> Result<Option<Self>, Problem> {
        query
            .get("cursor")
            .map(|text| Self::decode(text).ok_or_else(foreign))
            .transpose()
    }
}

fn foreign() -> Problem {
    query::invalid("cursor", "is not a cursor of this list")
}

/// Whether a list may have a first page of this day: far from the ends of the calendar library.
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
    fn decodes_what_it_encodes() {
        for cursor in [
            Cursor::Name(name("José")),
            Cursor::Birthday(BirthdayPlace {
                today: "2026-11-21".parse().unwrap(),
                birthday: MonthDay::from_date("2000-02-29".parse().unwrap()),
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
    fn refuses_all_other_texts() {
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
