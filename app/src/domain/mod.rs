//! Names, dates of birth, greetings and friendships. Pure: no input or output.

mod birthday;
mod birthday_window;
mod clock;
mod date_of_birth;
mod friendship;
mod name_range;
mod username;

pub use birthday::{LeapDay, days_until_birthday};
pub use birthday_window::{BirthdayWindow, MAX_DAYS_AHEAD, MonthDay};
pub use clock::{Calendar, Clock, FixedClock, SystemClock};
pub use date_of_birth::{DateOfBirth, InvalidDate};
pub use friendship::{Friendship, Pair};
pub use name_range::{NameRange, PrefixTooLong, following};
pub use username::{InvalidUsername, MAX_USERNAME_LENGTH, Username, UsernameRule, percent_decode};

use std::fmt::Write as _;

/// The JSON body that greets `username` with `days` left until the birthday (0 on the day itself).
///
/// Written by hand because it is on the hot path. A [`Username`] has letters only, so it needs no
/// escaping in JSON.
pub fn greeting_json(username: &Username, days: u32) -> String {
    let name = username.as_str();
    let mut body = String::with_capacity(name.len() + 64);
    body.push_str(r#"{"message":"Hello, "#);
    body.push_str(name);
    if days == 0 {
        body.push_str(r#"! Happy birthday!"}"#);
    } else {
        // Writing into a String cannot fail.
        let _ = write!(body, r#"! Your birthday is in {days} day(s)"}}"#);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_with_the_exact_texts() {
        let alice = Username::parse("alice", UsernameRule::Unicode).unwrap();
        assert_eq!(
            greeting_json(&alice, 0),
            r#"{"message":"Hello, alice! Happy birthday!"}"#
        );
        assert_eq!(
            greeting_json(&alice, 5),
            r#"{"message":"Hello, alice! Your birthday is in 5 day(s)"}"#
        );
    }
}
