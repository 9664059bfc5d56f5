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

/// The `accepts` of amounts of memory.
pub const BYTES: &str = "a number of bytes, or one with Ki, Mi or Gi, such as 256Mi";

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

/// An amount of memory.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 3] = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let unit = |(unit, shift)| Some((text.strip_suffix(unit)?, 1_u64 << shift));
    let (number, unit) = UNITS.into_iter().find_map(unit).unwrap_or((text, 1));
    let number: u64 = parse(number)?;
    let amount = number.checked_mul(unit);
    amount.ok_or_else(|| "is too large".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_have_the_units_of_kubernetes() {
        assert_eq!(bytes("5000"), Ok(5000));
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("1Ki").unwrap() << 20, bytes("1Gi").unwrap());
        for wrong in ["", "Mi", "-1", "1.5Gi", "64MB", "99999999999999Gi"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
