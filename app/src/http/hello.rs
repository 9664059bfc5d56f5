//! `/hello/{username}`.

use std::fmt;

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[cfg(test)]
use super::openapi::definition::{DateOfBirthBody, Greeting, NameParameter};
use super::{Api, Problem, ProblemKind, Response, body, json, no_content};
use crate::domain::{DateOfBirth, Username, UsernameRule, days_until_birthday, greeting_json};

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
    params(("username" = inline(NameParameter), Path, description = "Whom to greet")),
    responses(
        (status = 200, description = "The greeting", body = Greeting),
        (status = 400, description = "The name breaks a rule"),
        (status = 404, description = "Not a user"),
    ),
))]
pub async fn get(api: &Api, username: &str) -> Result<Response, Problem> {
    let username = parse_username(username, api.usernames)?;
    let born = api.store.get(username.clone()).await?;
    let Some(born) = born else {
        return Err(Problem::new(ProblemKind::UnknownUser));
    };
    let days = days_until_birthday(born, api.calendar.today(), api.leap_day);
    Ok(json(greeting_json(&username, days)))
}

/// Remembers a user's date of birth
///
/// Makes the user, or replaces the date.
#[cfg_attr(test, utoipa::path(
    put,
    operation_id = "putDateOfBirth",
    path = "/hello/{username}",
    tag = "Hello",
    params(("username" = inline(NameParameter), Path, description = "Whose date of birth")),
    request_body = DateOfBirthBody,
    responses(
        (status = 204, description = "Remembered, and safe on disk"),
        (status = 400, description = "The name, the body or the date breaks a rule"),
        (status = 408, description = "The body took too long to arrive"),
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
    api.store.put(username, born).await?;
    Ok(no_content())
}

/// Forgets a user, and all friendships
///
/// Succeeds also when there was no such user.
#[cfg_attr(test, utoipa::path(
    delete,
    operation_id = "forget",
    path = "/hello/{username}",
    tag = "Hello",
    params(("username" = inline(NameParameter), Path, description = "Whom to forget")),
    responses(
        (status = 204, description = "There is no such user now"),
        (status = 400, description = "The name breaks a rule"),
    ),
))]
pub async fn delete(api: &Api, username: &str) -> Result<Response, Problem> {
    let username = parse_username(username, api.usernames)?;
    api.store.delete(username).await?;
    Ok(no_content())
}

/// Reads a user name from the path.
pub fn parse_username(segment: &str, rule: UsernameRule) -> Result<Username, Problem> {
    Username::from_path_segment(segment, rule).map_err(|error| {
        Problem::parameter(ProblemKind::InvalidUsername, "username", error.to_string())
    })
}

/// The text of `dateOfBirth` in a JSON object; other fields are ignored.
fn parse_date_of_birth(text: &str) -> Result<String, Problem> {
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

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}|\\{\"dateOfBirth\":[\\[\\]{}0-9a-z\":,]{0,20}\\}") {
            let _ = parse_date_of_birth(&text);
        }
    }
}
