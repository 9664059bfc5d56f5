//! Rules that hold for every request, whatever it contains. The targets in `fuzz` search for
//! counter-examples; the tests here apply the rules to good and bad requests.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::from_utf8;

use chrono::NaiveDate;
use serde_json::Value;

use super::cursor::Cursor;
use super::hello::parse_date_of_birth;
use super::query::Query;
use super::routes::{Found, Route};
use crate::domain::{DateOfBirth, InvalidDate, NameRange, Username, UsernameRule, greeting_json};
use crate::telemetry::TraceParent;

/// A path: an accepted name has 1 to 64 letters, is the same however it is escaped, and needs no
/// escaping in JSON.
pub fn path(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let Some(found) = Found::from_path(text).filter(|found| found.route != Route::Problem) else {
        return;
    };
    let given = found
        .parameters
        .iter()
        .filter(|segment| !segment.is_empty());
    for segment in given {
        for rule in [UsernameRule::Unicode, UsernameRule::Ascii] {
            let Ok(name) = Username::from_path_segment(segment, rule) else {
                continue;
            };
            assert!((1..=64).contains(&name.as_str().chars().count()));
            assert!(name.as_str().chars().all(char::is_alphabetic));
            let mut escaped = String::new();
            for byte in name.as_str().bytes() {
                // Writing into a String cannot fail.
                let _ = write!(escaped, "%{byte:02x}");
            }
            assert_eq!(
                Username::from_path_segment(&escaped, rule).as_ref(),
                Ok(&name)
            );
            let greeting: Option<Value> = serde_json::from_str(&greeting_json(&name, 5)).ok();
            let expected = format!("Hello, {}! Your birthday is in 5 day(s)", name.as_str());
            assert_eq!(greeting, Some(serde_json::json!({ "message": expected })));
        }
    }
}

/// A date: the accepted texts are exactly those that the calendar library writes for a day in range.
pub fn date(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let (Some(first), Some(today)) = (
        NaiveDate::from_ymd_opt(1900, 1, 1),
        NaiveDate::from_ymd_opt(2026, 11, 21),
    ) else {
        return;
    };
    let written = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        // Years beyond four digits are written longer.
        .filter(|date| text.len() == 10 && date.to_string() == text);
    match DateOfBirth::parse(text, today) {
        Ok(born) => assert_eq!(Some(born.as_date()), written),
        Err(InvalidDate::TooEarly) => assert!(written.is_some_and(|date| date < first)),
        Err(InvalidDate::NotInThePast) => assert!(written.is_some_and(|date| date >= today)),
        Err(InvalidDate::Format | InvalidDate::NoSuchDay) => assert_eq!(written, None),
    }
}

/// A body: what is read is in the document, and what is refused is refused with 400.
pub fn body(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let fields = serde_json::from_str::<HashMap<String, Value>>(text).ok();
    match parse_date_of_birth(text) {
        Ok(field) => {
            // The general type also reads numbers of unknown fields, which may be out of range.
            if let Some(fields) = fields {
                assert_eq!(fields.get("dateOfBirth"), Some(&Value::from(field)));
            }
        }
        Err(problem) => {
            let text_of_one = fields
                .is_some_and(|fields| fields.get("dateOfBirth").is_some_and(Value::is_string));
            // Of two, the general type keeps the last one.
            assert!(!text_of_one || text.matches("irth").count() > 1 || text.contains('\\'));
            assert_eq!(problem.into_response(None).status(), 400);
        }
    }
}

/// A query with its cursors and prefixes, and a trace context: nothing panics, and an accepted cursor
/// is encoded as the same cursor.
pub fn query(bytes: &[u8]) {
    let _ = TraceParent::parse(bytes);
    let Ok(text) = from_utf8(bytes) else { return };
    const KNOWN: [&str; 4] = ["prefix", "limit", "cursor", "birthdayWithin"];
    let Ok(query) = Query::parse(Some(text), &KNOWN) else {
        return;
    };
    let _ = (query.limit(), query.number("birthdayWithin", 0, 366));
    if let Some(Ok(Some(range))) = query.get("prefix").map(NameRange::beginning_with) {
        assert!(range.from() < range.below());
    }
    let cursors = [
        Cursor::name(&query).ok().flatten().map(Cursor::Name),
        Cursor::birthday(&query)
            .ok()
            .flatten()
            .map(Cursor::Birthday),
    ];
    for cursor in cursors.into_iter().flatten() {
        let again = Query::parse(Some(&format!("cursor={}", cursor.encode())), &KNOWN);
        let again = again.ok().and_then(|query| match &cursor {
            Cursor::Name(_) => Cursor::name(&query).ok().flatten().map(Cursor::Name),
            Cursor::Birthday(_) => Cursor::birthday(&query)
                .ok()
                .flatten()
                .map(Cursor::Birthday),
        });
        assert_eq!(again, Some(cursor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold_of_good_and_bad_requests() {
        for text in [
            "/hello/alice",
            "/hello/Jos%C3%A9",
            "/users/a/friends/%zz",
            "/hello/%00",
        ] {
            path(text.as_bytes());
        }
        for text in [
            "1990-01-01",
            "1990-1-1",
            "1899-12-31",
            "-1899-12-31",
            "2026-11-21",
            "2023-02-29",
            "é",
        ] {
            date(text.as_bytes());
        }
        for text in [
            r#"{"dateOfBirth":"x"}"#,
            r#"{"dateOfBirth":"x","y":1e999}"#,
            r#"{"dateOfBirth":1}"#,
            r#"["x"]"#,
            "{",
            "null",
        ] {
            body(text.as_bytes());
        }
        for text in [
            "limit=5&prefix=al",
            "cursor=biBhbGljZQ",
            "cursor=YiAyMDI2LTExLTIxIDIyOSBhbGljZQ",
            "limit=5&limit=5",
            "%",
        ] {
            query(text.as_bytes());
        }
        for check in [path, date, body, query] {
            check(b"\xff");
        }
    }
}
