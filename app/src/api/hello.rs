//! `/hello/{username}`.

use std::borrow::Cow;

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::error::Category;

use super::conditional::Tags;
use super::context::Api;
use super::problem::Problem;
use super::problem_kind::ProblemKind;
use super::response::{json, no_content};
#[cfg(test)]
use super::username::NameParameter;
use super::{body, username};
use crate::domain::{DateOfBirth, Username, days_until_birthday, greeting_json};
use crate::serving::Response;
use crate::store::Precondition;

/// The JSON pointer of the body's one field.
const POINTER: &str = "/dateOfBirth";

/// Greets a user
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "greet",
    path = "/hello/{username}",
    tag = "Hello",
    params(
        ("username" = inline(NameParameter), Path, description = "The user to greet"),
        ("If-None-Match" = Option<String>, Header,
            description = "Tags of greetings that the client has already and that need not be sent again"),
        ("If-Match" = Option<String>, Header, description = "Tags of greetings, one of which must be current"),
    ),
    responses(
        (status = 200, description = "The greeting", body = Greeting, headers(
            ("ETag" = String, description = "Changes with the birthday, and at midnight"),
            ("Cache-Control" = String, description = "`private, no-cache`: a cache asks with the tag before it uses what it has"),
        )),
        (status = 304, description = "The client has the current greeting"),
        (status = 400, description = "The name breaks a rule"),
        (status = 404, description = "No such user"),
        (status = 412, description = "`If-Match` does not list the current greeting"),
    ),
))]
pub async fn get(api: &Api, username: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let username = username::parse(api, "username", username)?;
    let born = api.store.get(username.clone()).await?;
    let Some(born) = born else {
        return Err(Problem::new(ProblemKind::UnknownUser));
    };
    let tags = tags(api);
    let days = days_until_birthday(born, tags.today, api.leap_day);
    tags.answer(headers, born, json(greeting_json(&username, days)))
}

/// Sets a user's date of birth
///
/// Creates the user, or replaces the date. `If-Match` makes the write conditional: the greeting must
/// still be the one that the client has seen. `If-None-Match: *` only creates.
#[cfg_attr(test, utoipa::path(
    put,
    operation_id = "putDateOfBirth",
    path = "/hello/{username}",
    tag = "Hello",
    params(
        ("username" = inline(NameParameter), Path, description = "The user whose date of birth is set"),
        ("If-Match" = Option<String>, Header, description = "Tags of greetings, one of which must be current; `*`: the user must exist"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of greetings, none of which may be current; `*`: the user must not exist"),
    ),
    request_body = DateOfBirthBody<'static>,
    responses(
        (status = 204, description = "Stored durably"),
        (status = 400, description = "The name, the body or the date breaks a rule"),
        (status = 408, description = "The body took too long to arrive"),
        (status = 412, description = "`If-Match` or `If-None-Match` does not hold; nothing was changed"),
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
    let username = username::parse(api, "username", username)?;
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

/// Deletes a user and all the user's friendships
///
/// Succeeds also when there is no such user. `If-Match` and `If-None-Match` are as for `PUT`.
#[cfg_attr(test, utoipa::path(
    delete,
    operation_id = "forget",
    path = "/hello/{username}",
    tag = "Hello",
    params(
        ("username" = inline(NameParameter), Path, description = "The user to delete"),
        ("If-Match" = Option<String>, Header, description = "Tags of greetings, one of which must be current; `*`: the user must exist"),
        ("If-None-Match" = Option<String>, Header, description = "Tags of greetings, none of which may be current; `*`: the user must not exist"),
    ),
    responses(
        (status = 204, description = "The user does not exist any more"),
        (status = 400, description = "The name breaks a rule"),
        (status = 412, description = "`If-Match` or `If-None-Match` does not hold; nothing was changed"),
    ),
))]
pub async fn delete(api: &Api, username: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let username = username::parse(api, "username", username)?;
    let Some(precondition) = tags(api).precondition(headers) else {
        api.store.delete(username).await?;
        return Ok(no_content());
    };
    change_if(api, username, None, precondition).await
}

fn tags(api: &Api) -> Tags {
    Tags {
        today: api.calendar.today(),
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
    let changed =
        !precondition.is_never_met() && api.store.change_if(username, born, precondition).await?;
    if changed {
        Ok(no_content())
    } else {
        Err(Problem::new(ProblemKind::PreconditionFailed))
    }
}

/// The body that sets a date of birth. Other fields are ignored.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DateOfBirthBody<'a> {
    /// `YYYY-MM-DD`, from 1900-01-01 to yesterday.
    #[serde(borrow)]
    #[cfg_attr(test, schema(value_type = String, format = Date, example = "1990-04-23"))]
    pub date_of_birth: Cow<'a, str>,
}

/// The text of `dateOfBirth` in a JSON object.
///
/// # Errors
/// 400 that points to the field, or to the whole body when it is not a JSON object.
pub fn parse_date_of_birth(text: &str) -> Result<Cow<'_, str>, Problem> {
    // The derived code also takes the list of an object's values.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::body("", "must be a JSON object"));
    }
    serde_json::from_str::<DateOfBirthBody>(text)
        .map(|body| body.date_of_birth)
        .map_err(|error| {
            // There is one field: what is sound JSON and not a body has an error there.
            let pointer = match error.classify() {
                Category::Data => POINTER,
                Category::Syntax | Category::Eof | Category::Io => "",
            };
            // The text may repeat the body, but only to the client that sent it.
            Problem::body(pointer, error.to_string())
        })
}

/// A greeting.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
pub struct Greeting {
    /// The text, with the days until the next birthday.
    #[schema(example = "Hello, alice! Your birthday is in 5 day(s)")]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pointer(text: &str) -> String {
        let response = parse_date_of_birth(text).unwrap_err().into_response(None);
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
                (Ok(read), expected) => prop_assert_eq!(Some(&*read), expected),
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
