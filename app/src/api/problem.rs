//! Errors as `application/problem+json` (RFC 9457). Causes inside the service are logged, never sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::problem_kind::{Description, ProblemKind};
use crate::serving::{Response, UnreadableHead};
use crate::store::StoreError;

/// Seconds after which a client may try again when something that the response needs is unavailable.
const RETRY_AFTER: u64 = 1;

/// Where in the request something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Location {
    /// A JSON pointer into the body, as a URI fragment.
    Pointer(Cow<'static, str>),
    /// A parameter of the path or the query.
    Parameter(Cow<'static, str>),
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The rule.
    pub detail: Cow<'static, str>,
    /// Where it is broken.
    #[serde(flatten)]
    pub location: Location,
}

/// [`FieldError`] as it is documented: generators of clients drop fields that are flattened, or break.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[schema(as = FieldError, description = "One broken rule, and where: in the body or in a parameter.")]
#[expect(dead_code, reason = "its fields are documentation")]
pub struct FieldErrorDocument {
    /// The rule.
    detail: String,
    /// A JSON pointer into the body, as a URI fragment.
    pointer: Option<String>,
    /// The name of a parameter of the path or the query.
    parameter: Option<String>,
}

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    remedy: Option<Remedy>,
}

/// What the client can do, as a header. No problem has two.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    /// Use one of these methods.
    Allow(&'static str),
    /// Send this kind of token.
    Challenge(HeaderValue),
    /// Try again after this many seconds.
    RetryAfter(u64),
}

impl Remedy {
    fn header(self) -> (HeaderName, HeaderValue) {
        match self {
            Self::Allow(methods) => (header::ALLOW, HeaderValue::from_static(methods)),
            Self::Challenge(challenge) => (header::WWW_AUTHENTICATE, challenge),
            Self::RetryAfter(seconds) => (header::RETRY_AFTER, seconds.into()),
        }
    }
}

/// An error (RFC 9457).
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Serialize)]
#[cfg_attr(test, schema(as = Problem))]
pub struct Document<'a> {
    /// The kind of problem; it never changes.
    #[cfg_attr(
        test,
        schema(format = "uri-reference", example = "/problems/invalid-body")
    )]
    r#type: String,
    /// The kind in words.
    title: &'static str,
    /// The status of the response.
    #[cfg_attr(test, schema(minimum = 400, maximum = 599))]
    status: u16,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// The rules that are broken, and where; missing when the problem is not in one place.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(test, schema(required = false, value_type = Vec<FieldErrorDocument>))]
    errors: &'a [FieldError],
    /// The id of the request, as in the header `X-Request-Id` and in the log of the service.
    #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    /// A problem with nothing to add to its kind.
    pub fn new(kind: ProblemKind) -> Self {
        let unavailable = kind.describe().status == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            remedy: unavailable.then_some(Remedy::RetryAfter(RETRY_AFTER)),
        }
    }

    /// A problem with one parameter of the path or the query.
    pub fn parameter(
        kind: ProblemKind,
        parameter: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::at(kind, Location::Parameter(parameter.into()), detail.into())
    }

    /// A body with a wrong value at `pointer` (empty for the whole body).
    pub fn body(pointer: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let pointer = Cow::from(format!("#{pointer}"));
        Self::at(
            ProblemKind::InvalidBody,
            Location::Pointer(pointer),
            detail.into(),
        )
    }

    /// 405 with the supported methods.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            remedy: Some(Remedy::Allow(allow)),
            ..Self::new(ProblemKind::MethodNotAllowed)
        }
    }

    /// 401 or 403 with a description of the token to send (`WWW-Authenticate`).
    pub fn challenge(
        kind: ProblemKind,
        challenge: HeaderValue,
        detail: Option<Cow<'static, str>>,
    ) -> Self {
        Self {
            remedy: Some(Remedy::Challenge(challenge)),
            detail,
            ..Self::new(kind)
        }
    }

    /// 429 with the time to wait, in whole seconds.
    pub fn too_many_requests(wait: Duration) -> Self {
        // Rounded up, so that the wait is never too short.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            remedy: Some(Remedy::RetryAfter(seconds)),
            ..Self::new(ProblemKind::TooManyRequests)
        }
    }

    fn at(kind: ProblemKind, location: Location, detail: Cow<'static, str>) -> Self {
        let errors = vec![FieldError {
            detail: detail.clone(),
            location,
        }];
        Self {
            kind,
            detail: Some(detail),
            errors,
            remedy: None,
        }
    }

    /// The response to send, to the request of this id.
    pub fn into_response(self, request_id: Option<&str>) -> Response {
        let Description {
            status,
            slug,
            title,
            ..
        } = self.kind.describe();
        let document = Document {
            r#type: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
            request_id,
        };
        // Serialising plain strings and numbers cannot fail.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        // What is wrong now may be right with the next request.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.remedy.map(Remedy::header));
        if status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body may still arrive, and cannot be distinguished from a next request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The response to a request whose head cannot be read.
pub fn explain_unreadable(head: UnreadableHead) -> Response {
    let kind = match head {
        UnreadableHead::Malformed => ProblemKind::MalformedRequest,
        UnreadableHead::TooLarge => ProblemKind::HeadTooLarge,
    };
    Problem::new(kind).into_response(None)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = match error {
            StoreError::Unavailable => "The database is unavailable.",
            StoreError::Timeout => "The database did not answer in time.",
            StoreError::Overloaded => "Too many requests are waiting.",
            // The database's message may hold data. The store has logged it.
            StoreError::Refused(_) => "The database refused the operation.",
        };
        Self {
            detail: Some(detail.into()),
            ..Self::new(ProblemKind::DatabaseUnavailable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parts(problem: Problem) -> (http::response::Parts, Value) {
        let (parts, body) = problem.into_response(None).into_parts();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn names_the_field() {
        let (parts, body) = parts(Problem::body("/dateOfBirth", "is missing"));
        assert_eq!(parts.status, StatusCode::BAD_REQUEST);
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(parts.headers["cache-control"], "no-store");
        assert_eq!(
            body,
            json!({
                "type": "/problems/invalid-body",
                "title": "The request body breaks a rule",
                "status": 400,
                "detail": "is missing",
                "errors": [{"detail": "is missing", "pointer": "#/dateOfBirth"}],
            })
        );
    }

    #[test]
    fn a_store_error_has_a_time_to_retry_and_hides_its_cause() {
        let (parts, body) = parts(StoreError::Refused("secret".into()).into());
        assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(parts.headers["retry-after"], "1");
        assert!(!body.to_string().contains("secret"));
    }

    #[test]
    fn the_time_to_wait_is_rounded_up_to_whole_seconds() {
        for (wait, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2")] {
            let (parts, body) = parts(Problem::too_many_requests(Duration::from_millis(wait)));
            assert_eq!(parts.status, StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(parts.headers["retry-after"], seconds);
            assert_eq!(body["type"], "/problems/too-many-requests");
        }
    }

    #[test]
    fn an_unsupported_method_is_answered_with_the_supported_ones() {
        let (parts, _) = parts(Problem::method_not_allowed("GET, HEAD"));
        assert_eq!(parts.headers["allow"], "GET, HEAD");
    }
}
