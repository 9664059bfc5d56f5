//! What the OpenAPI document is generated from.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

use crate::http::{friends, hello, problem, users};

/// The body that sets a date of birth. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DateOfBirthBody {
    /// `YYYY-MM-DD`, from 1900-01-01 to yesterday.
    #[schema(format = Date, example = "1990-04-23")]
    pub date_of_birth: String,
}

/// A greeting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, ToSchema)]
pub struct Greeting {
    /// The text, with the days until the next birthday.
    #[schema(example = "Hello, alice! Your birthday is in 5 day(s)")]
    pub message: String,
}

/// A user name in a path: 1 to 64 letters, percent-encoded once.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 64, pattern = r"^\p{L}+$", example = "alice")]
pub struct NameParameter(pub String);

/// The states of friendships that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum StateFilter {
    /// Asked for, not answered.
    Pending,
    /// Both are friends.
    Accepted,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hello",
        description = "Remembers dates of birth and greets people on their birthday.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        hello::get,
        hello::put,
        hello::delete,
        users::list,
        friends::list,
        friends::birthdays,
        friends::get,
        friends::put,
        friends::delete,
    ),
    components(schemas(problem::Document<'static>)),
    tags(
        (name = "Hello", description = "Dates of birth and greetings"),
        (name = "Users", description = "Who is known, and whose birthday is near"),
        (name = "Friends", description = "Friendships, asked for by one and accepted by the other"),
    ),
)]
struct Definition;

/// What any request may be answered with, whatever it asks for.
const ANYWHERE: [(&str, &str); 4] = [
    ("414", "The path and query are over 4096 bytes"),
    ("431", "The request's head is over 16 KiB"),
    (
        "429",
        "The client sends too many requests; `Retry-After` says when to try again",
    ),
    (
        "503",
        "The database cannot answer, or tokens cannot be checked now; `Retry-After` says when to try again",
    ),
];

/// The name of the way to show who one is.
const BEARER: &str = "bearer";

/// What writing may be answered with as well, where it needs a token.
const GUARDED: [(&str, &str); 2] = [
    (
        "401",
        "The service wants a bearer token, and none that counts was sent; `WWW-Authenticate` says why",
    ),
    (
        "403",
        "The bearer token is neither this user's nor an administrator's",
    ),
];

/// The document.
pub fn document() -> Document {
    let mut document = Definition::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").into();
    describe_tokens(&mut document);
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.put, &mut item.delete].into_iter().flatten() {
            guard(operation);
        }
        let operations = [&mut item.get, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            for (status, description) in ANYWHERE {
                let response = ResponseBuilder::new().description(description).build();
                responses.insert(status.into(), response.into());
            }
            for (status, response) in responses {
                if let (true, RefOr::T(response)) = (status.as_str() >= "400", response) {
                    with_problem(response);
                }
            }
        }
    }
    document
}

/// Says what a token is.
fn describe_tokens(document: &mut Document) {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A token of the service's OpenID Connect issuer, for the user that is written. Not needed where the service names no issuer.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
}

/// Says that an operation takes a token, or none where the service names no issuer.
fn guard(operation: &mut Operation) {
    let token = SecurityRequirement::new(BEARER, [""; 0]);
    operation.security = Some(vec![token, SecurityRequirement::default()]);
    for (status, description) in GUARDED {
        let response = ResponseBuilder::new().description(description).build();
        let responses = &mut operation.responses.responses;
        responses.insert(status.into(), response.into());
    }
}

/// Says that an answer's body is a problem.
fn with_problem(response: &mut Response) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    response
        .content
        .insert("application/problem+json".into(), RefOr::T(content));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Username, greeting_json};
    use crate::http::Template;
    use serde_json::Value;

    #[test]
    fn the_written_document_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let mut generated = serde_json::to_string_pretty(&document()).unwrap();
        generated.push('\n');
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, &generated).unwrap();
        }
        assert!(
            std::fs::read_to_string(file).unwrap() == generated,
            "write it again: UPDATE_OPENAPI=1 cargo test -p hello-app --lib openapi"
        );
    }

    #[test]
    fn documents_every_route_and_method() {
        let document: Value = serde_json::to_value(document()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let undocumented = [
            Template::Landing,
            Template::Docs,
            Template::OpenApi,
            Template::Style,
            Template::Problems,
            Template::Problem,
            Template::Unmatched,
        ];
        for template in Template::ALL {
            let item = &document["paths"][template.as_str()];
            assert_eq!(
                item.is_null(),
                undocumented.contains(&template),
                "{template:?}"
            );
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                let documented = item.get(method.to_ascii_lowercase()).is_some();
                let allowed = template.allow().split(", ").any(|known| known == method);
                assert!(
                    item.is_null() || documented == allowed,
                    "{method} {template:?}"
                );
            }
        }
    }

    #[test]
    fn every_method_that_changes_something_takes_a_token() {
        let document: Value = serde_json::to_value(document()).unwrap();
        assert_eq!(
            document["components"]["securitySchemes"][BEARER]["scheme"],
            "bearer"
        );
        for item in document["paths"].as_object().unwrap().values() {
            for (method, operation) in item.as_object().unwrap() {
                let guarded = operation["security"][0][BEARER].is_array();
                assert_eq!(guarded, method != "get", "{operation}");
                for (status, _) in GUARDED {
                    assert_eq!(operation["responses"][status].is_object(), guarded);
                }
            }
        }
    }

    #[test]
    fn every_problem_and_reference_is_defined() {
        fn visit(document: &Value, value: &Value) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(reference)) = object.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    object.values().for_each(|value| visit(document, value));
                }
                Value::Array(array) => array.iter().for_each(|value| visit(document, value)),
                _ => {}
            }
        }
        let document: Value = serde_json::to_value(document()).unwrap();
        visit(&document, &document);
        let mut names = std::collections::HashSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                assert!(names.insert(operation["operationId"].as_str().unwrap()));
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("503"));
                for (status, response) in responses {
                    let problem = &response["content"]["application/problem+json"];
                    assert_eq!(problem.is_object(), status.as_str() >= "400", "{status}");
                }
            }
        }
    }

    #[test]
    fn the_greeting_is_as_documented() {
        let greeting = greeting_json(&Username::from_stored("alice".into()), 5);
        let greeting: Greeting = serde_json::from_str(&greeting).unwrap();
        assert_eq!(
            greeting.message,
            "Hello, alice! Your birthday is in 5 day(s)"
        );
    }
}
