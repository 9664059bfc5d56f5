//! `/hello/{username}`.

use std::fmt;

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::conditional::Tags;
#[cfg(test)]
use super::openapi::definition::{DateOfBirthBody, Greeting, NameParameter};
use super::{Api, Problem, ProblemKind, Response, body, json, no_content};
use crate::domain::{DateOfBirth, Username, UsernameRule, days_until_birthday, greeting_json};
use crate::store::Precondition;

/// The one field of the body.
const DATE_OF_BIRTH: &str = "dateOfBirth";
/// Its JSON pointer.
const POINTER: &str = "/dateOfBirth";

/// Greets a user
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "greet",
    path = "/hello/{username}",
    tag = "Hello",
    params(
        ("username" = inline(NameParameter), Path, description = "Whom to greet"),
        ("If-None-Match" = Option<String>, Header,
            description = "Tags of greetings that the client has: no need to send them again"),
        ("If-Match" = Option<String>, Header, description = "Tags of greetings, one of which must be the present one"),
    ),
    responses(
        (status = 200, description = "The greeting", body = Greeting, headers(
            ("ETag" = String, description = "Names the date of birth and the day: another one from midnight on"),
            ("Cache-Control" = String, description = "Good until midnight, for the caller alone"),
        )),
        (status = 304, description = "The client has the present greeting"),
        (status = 400, description = "The name breaks a rule"),
        (status = 404, description = "Not a user"),
        (status = 412, description = "`If-Match` does not name the present greeting"),
    ),
))]
pub async fn get(api: &Api, username: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let username = parse_username(username, api.usernames)?;
    let born = api.store.get(username.clone()).await?;
    let Some(born) = born else {
        return Err(Problem::new(ProblemKind::UnknownUser));
    };
    let tags = tags(api);
    let days = days_until_birthday(born, tags.today.date, api.leap_day);
    tags.answer(headers, born, json(greeting_json(&username, days)))
}

/// Remembers a user's date of birth
///
/// Makes the user, or replaces the date. With `If-Match` or `If-None-Match` only when the greeting
/// is still the one that the client has seen, or when there is none (`If-None-Match: *`).
#[cfg_attr(test, utoipa::path(
    put,
    operation_id = "putDateOfBirth",
    path = "/hello/{username}",
    tag = "Hello",
    params(
        ("username" = inline(NameParameter), Path, description = "Whose date of birth"),
        ("If-Match" = Option<String>, Header, description = "Tags of greetings, one of which must be the present one; `*`: there must be one"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of greetings, none of which may be the present one; `*`: there must be none"),
    ),
    request_body = DateOfBirthBody,
    responses(
        (status = 204, description = "Remembered, and safe on disk"),
        (status = 400, description = "The name, the body or the date breaks a rule"),
        (status = 408, description = "The body took too long to arrive"),
        (status = 412, description = "`If-Match` or `If-None-Match` does not hold: nothing was changed"),
        (status = 413, description = "The body is over 8 KiB"),
        (status = 415, description = "The body is not plain `application/json`"),
    ),
))]
pub async fn put<B: Buf>(
    api: &Api,
    username: &str,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<Response, Problem> {
    let username = parse_username(username, api.usernames)?;
    let text = body::read_json(headers, body, api.body_timeout).await?;
    let born = parse_date_of_birth(&text)?;
    let born = DateOfBirth::parse(&born, api.calendar.today())
        .map_err(|error| Problem::body(POINTER, error.to_string()))?;
    let Some(precondition) = tags(api).precondition(headers) else {
        api.store.put(username, born).await?;
        return Ok(no_content());
    };
    change_if(api, username, Some(born), precondition).await
}

/// Forgets a user, and all friendships
///
/// Succeeds also when there was no such user. With `If-Match` or `If-None-Match` as for `PUT`.
#[cfg_attr(test, utoipa::path(
    delete,
    operation_id = "forget",
    path = "/hello/{username}",
    tag = "Hello",
    params(
        ("username" = inline(NameParameter), Path, description = "Whom to forget"),
        ("If-Match" = Option<String>, Header, description = "Tags of greetings, one of which must be the present one; `*`: there must be one"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of greetings, none of which may be the present one; `*`: there must be none"),
    ),
    responses(
        (status = 204, description = "There is no such user now"),
        (status = 400, description = "The name breaks a rule"),
        (status = 412, description = "`If-Match` or `If-None-Match` does not hold: nothing was changed"),
    ),
))]
pub async fn delete(api: &Api, username: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let username = parse_username(username, api.usernames)?;
    let Some(precondition) = tags(api).precondition(headers) else {
        api.store.delete(username).await?;
        return Ok(no_content());
    };
    change_if(api, username, None, precondition).await
}

fn tags(api: &Api) -> Tags {
    Tags {
        today: api.calendar.day(),
        leap_day: api.leap_day,
    }
}

/// Makes a change, or answers 412 when `precondition` does not hold.
async fn change_if(
    api: &Api,
    username: Username,
    born: Option<DateOfBirth>,
    precondition: Precondition,
) -> Result<Response, Problem> {
    let done =
        !precondition.is_never_met() && api.store.change_if(username, born, precondition).await?;
    if done {
        Ok(no_content())
    } else {
        Err(Problem::new(ProblemKind::PreconditionFailed))
    }
}

/// Reads a user name from the path.
pub fn parse_username(segment: &str, rule: UsernameRule) -> Result<Username, Problem> {
    Username::from_path_segment(segment, rule).map_err(|error| {
        Problem::parameter(ProblemKind::InvalidUsername, "username", error.to_string())
    })
}

/// The text of `dateOfBirth` in a JSON object; other fields are ignored.
pub fn parse_date_of_birth(text: &str) -> Result<String, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let field = deserializer
        .deserialize_any(BodyVisitor)
        .and_then(|field| deserializer.end().map(|()| field))
        // The message may repeat the input, but only to the one who sent it.
        .map_err(|error| Problem::body("", error.to_string()))?;
    match field {
        Field::Text(text) => Ok(text),
        Field::Missing => Err(Problem::body(POINTER, "is missing")),
        Field::Duplicate => Err(Problem::body(POINTER, "is given more than once")),
        Field::WrongType => Err(Problem::body(POINTER, "must be a string")),
    }
}

/// What the body says about `dateOfBirth`.
enum Field {
    Missing,
    Text(String),
    WrongType,
    Duplicate,
}

/// Takes an object and nothing else. Written by hand because the derived code also takes arrays,
/// and does not name the field that is wrong.
struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Field;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Field, M::Error> {
        let mut field = Field::Missing;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if key != DATE_OF_BIRTH {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<FieldValue>()?.0;
            field = if matches!(field, Field::Missing) {
                value
            } else {
                Field::Duplicate
            };
        }
        Ok(field)
    }
}

/// A value of whatever type, of which only a string is kept.
struct FieldValue(Field);

impl<'de> serde::Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor).map(Self)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::WrongType)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::WrongType)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(Field::WrongType)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::WrongType)
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::WrongType)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Field, S::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::WrongType)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Field, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::WrongType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pointer(text: &str) -> String {
        let response = parse_date_of_birth(text).unwrap_err().into_response();
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        body["errors"][0]["pointer"].as_str().unwrap().to_owned()
    }

    #[test]
    fn reads_the_field_and_ignores_others() {
        for text in [
            r#"{"dateOfBirth":"1990-01-01"}"#,
            r#" { "x" : [1, {"dateOfBirth": 2}], "dateOfBirth" : "1990-01-01" , "y": null } "#,
            r#"{"dateOf\u0042irth":"1990-01-0\u0031"}"#,
        ] {
            assert_eq!(parse_date_of_birth(text).unwrap(), "1990-01-01", "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for text in [
            "{}",
            r#"{"dateofbirth":"1990-01-01"}"#,
            r#"{"dateOfBirth":631152000}"#,
            r#"{"dateOfBirth":-1}"#,
            r#"{"dateOfBirth":1e3}"#,
            r#"{"dateOfBirth":null}"#,
            r#"{"dateOfBirth":true}"#,
            r#"{"dateOfBirth":["1990-01-01"]}"#,
            r#"{"dateOfBirth":{"a":"1990-01-01"}}"#,
            r#"{"dateOfBirth":"1990-01-01","dateOfBirth":"1990-01-01"}"#,
        ] {
            assert_eq!(pointer(text), "#/dateOfBirth", "{text}");
        }
        for text in [
            "",
            "null",
            "[]",
            r#"["1990-01-01"]"#,
            "1",
            "\"1990-01-01\"",
            "{",
            r#"{"dateOfBirth":"1990-01-01"}x"#,
            r#"{"dateOfBirth":"1990-01-01",}"#,
            r#"{'dateOfBirth':"1990-01-01"}"#,
            r#"{"dateOfBirth":"\ud800"}"#,
            "\u{feff}{}",
        ] {
            assert_eq!(pointer(text), "#", "{text}");
        }
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = "[".repeat(100_000);
        assert!(parse_date_of_birth(&format!(r#"{{"x":{deep}"#)).is_err());
        assert!(parse_date_of_birth(&format!(r#"{{"dateOfBirth":{deep}"#)).is_err());
        assert!(parse_date_of_birth(&deep).is_err());
    }

    /// JSON documents, many of them with the field.
    fn document() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            Just("\"1990-01-01\"".to_owned()),
            "\\PC{0,8}".prop_map(|text| serde_json::Value::from(text).to_string()),
        ];
        let key = prop_oneof![
            Just("\"dateOfBirth\""),
            Just("\"dateOf\\u0042irth\""),
            Just("\"x\"")
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let field = (key.clone(), inner.clone());
            let field = field.prop_map(|(key, value)| format!("{key}: {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(field, 0..4)
                    .prop_map(|fields| format!("{{{}}}", fields.join(","))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn reads_what_the_library_reads(text in document(), cut in any::<prop::sample::Index>()) {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            match (parse_date_of_birth(&text), value["dateOfBirth"].as_str()) {
                (Ok(read), expected) => prop_assert_eq!(Some(read.as_str()), expected),
                // The library lets the last one win; here a second one is refused.
                (Err(_), Some(_)) => prop_assert!(text.matches("irth\":").count() > 1, "{}", text),
                (Err(_), None) => {}
            }
            // Part of a document is none.
            let end = text.char_indices().map(|(at, _)| at).nth(cut.index(text.chars().count()));
            let part = &text[..end.unwrap_or(0)];
            prop_assert!(!text.starts_with('{') || parse_date_of_birth(part).is_err(), "{}", part);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}|\\{\"dateOfBirth\":[\\[\\]{}0-9a-z\":,]{0,20}\\}") {
            let _ = parse_date_of_birth(&text);
        }
    }
}
