//! The parts of the OpenAPI document that no single handler describes.

use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};

use crate::api::problem;
use crate::api::routes::Operations;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hello",
        description = "Stores dates of birth and greets people on their birthday.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(problem::Document<'static>)),
    tags(
        (name = "Hello", description = "Dates of birth and greetings"),
        (name = "Users", description = "Users by name or by birthday"),
        (name = "Friends", description = "Friendships, asked for by one and accepted by the other"),
    ),
)]
struct Definition;

/// Responses that every operation may give.
const ANYWHERE: [(&str, &str); 5] = [
    ("414", "The path and query are over 4096 bytes"),
    ("431", "The request's head is over 24 KiB"),
    (
        "429",
        "The client sends too many requests; `Retry-After` gives the seconds to wait",
    ),
    (
        "500",
        "The service failed: a defect of the service, never the client's mistake",
    ),
    (
        "503",
        "The database cannot answer, or tokens cannot be checked now; `Retry-After` gives the seconds to wait",
    ),
];

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// Responses that every operation may also give, where it needs a token.
const GUARDED: [(&str, &str); 2] = [
    (
        "401",
        "The service needs a bearer token, and no valid one was sent; `WWW-Authenticate` gives the reason",
    ),
    (
        "403",
        "The bearer token is valid for another user, and has no scope that may act for any user; `detail` names what it would need",
    ),
];

/// The document.
pub fn document() -> Document {
    let mut document = Definition::openapi();
    document.merge(Operations::openapi());
    document.info.version = env!("CARGO_PKG_VERSION").into();
    describe_tokens(&mut document);
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            guard(operation);
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
    without_null(&document)
}

/// The document without `null` as a type: what may be missing is left out, and is never null. Headers cannot be.
fn without_null(document: &Document) -> Document {
    fn visit(value: &mut Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::Array(types)) = object.get_mut("type") {
                    types.retain(|name| name != "null");
                    let one = types.pop().filter(|_| types.is_empty());
                    let one = one.expect("one type beside null");
                    object.insert("type".into(), one);
                }
                object.values_mut().for_each(visit);
            }
            Value::Array(values) => values.iter_mut().for_each(visit),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(document).expect("a document is JSON");
    visit(&mut value);
    serde_json::from_value(value).expect("it is a document as before")
}

/// Describes the tokens.
fn describe_tokens(document: &mut Document) {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A token of the service's OpenID Connect issuer, for the user of the path. Not needed where no issuer is configured, nor to read unless the service is configured so.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
}

/// Marks an operation as taking a token, or none where none is needed.
fn guard(operation: &mut Operation) {
    let token = SecurityRequirement::new(BEARER, [""; 0]);
    operation.security = Some(vec![token, SecurityRequirement::default()]);
    for (status, description) in GUARDED {
        let response = ResponseBuilder::new().description(description).build();
        let responses = &mut operation.responses.responses;
        responses.insert(status.into(), response.into());
    }
}

/// Gives a response a problem as its body.
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
    use crate::api::hello::Greeting;
    use crate::api::routes::Route;
    use crate::domain::{Username, greeting_json};

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
        for route in Route::ALL {
            let item = &document["paths"][route.template()];
            assert_eq!(item.is_null(), Route::PAGES.contains(route), "{route:?}");
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                let documented = item.get(method.to_ascii_lowercase()).is_some();
                let allowed = route.allow().split(", ").any(|known| known == method);
                assert!(
                    item.is_null() || documented == allowed,
                    "{method} {route:?}"
                );
            }
        }
    }

    /// What common generators of clients understand, and what regular expressions have in common.
    #[test]
    fn uses_nothing_that_generators_of_clients_break_on() {
        let text = serde_json::to_string(&document()).unwrap();
        for word in ["allOf", "oneOf", "anyOf", r#""null""#, r"\\p{"] {
            assert!(!text.contains(word), "{word}");
        }
    }

    #[test]
    fn every_operation_may_take_a_token() {
        let document: Value = serde_json::to_value(document()).unwrap();
        assert_eq!(
            document["components"]["securitySchemes"][BEARER]["scheme"],
            "bearer"
        );
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                assert!(operation["security"][0][BEARER].is_array(), "{operation}");
                for (status, _) in GUARDED {
                    assert!(operation["responses"][status].is_object());
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
