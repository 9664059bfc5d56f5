//! How single values are checked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

/// The `accepts` of durations.
pub const DURATION: &str = "a duration such as 500ms, 5s or 1m";
/// The `accepts` of addresses to listen on.
pub const ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:8080 or [::]:8080";
/// The `accepts` of numbers that must not be zero.
pub const FROM_ONE: &str = "a whole number from 1";

/// Anything that is read by [`FromStr`].
pub fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// One of a few words; what they are is in the option's `accepts`.
pub fn choice<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not accepted"))
}

/// A duration with its unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// A time zone of the IANA database.
pub fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|error| error.to_string())
}

/// A text that is not empty.
pub fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    Ok(text.to_owned())
}

/// A text without spaces.
pub fn word(text: &str) -> Result<String, String> {
    if text.contains(' ') {
        return Err("holds a space".into());
    }
    Ok(text.to_owned())
}
