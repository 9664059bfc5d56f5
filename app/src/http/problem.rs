//! Errors as `application/problem+json` (RFC 9457). Internal causes are logged, never sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Response;
use crate::store::StoreError;

/// Seconds after which a client may try again when something that the answer needs is away.
const RETRY_AFTER: u64 = 1;

/// The kinds of problem there are. Each has a stable `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The user name in the path breaks a rule.
    InvalidUsername,
    /// The body is not what it should be.
    InvalidBody,
    /// The query breaks a rule.
    InvalidQuery,
    /// Somebody is to be their own friend.
    SelfFriendship,
    /// A token is needed, and none that counts was sent.
    Unauthorized,
    /// The token is somebody else's.
    Forbidden,
    /// No such path.
    NotFound,
    /// No such user.
    UnknownUser,
    /// The path does not know the method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The user is not in the state that the request asks for.
    PreconditionFailed,
    /// The body is over the limit.
    BodyTooLarge,
    /// The path and query are over the limit.
    UriTooLong,
    /// The request's head is over the limit.
    HeadTooLarge,
    /// The request's head cannot be read.
    MalformedRequest,
    /// The body is not JSON, or encoded.
    UnsupportedMediaType,
    /// The client sends too many requests.
    TooManyRequests,
    /// The database cannot answer now.
    DatabaseUnavailable,
    /// The issuer's keys are not known yet.
    IssuerUnavailable,
}

impl ProblemKind {
    /// All of them, in the order of their status.
    pub const ALL: [Self; 19] = [
        Self::InvalidUsername,
        Self::InvalidBody,
        Self::InvalidQuery,
        Self::SelfFriendship,
        Self::MalformedRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::UnknownUser,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PreconditionFailed,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::TooManyRequests,
        Self::HeadTooLarge,
        Self::DatabaseUnavailable,
        Self::IssuerUnavailable,
    ];

    /// Status, the end of the `type`, and the title.
    pub fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidUsername => (
                StatusCode::BAD_REQUEST,
                "invalid-username",
                "The user name breaks a rule",
            ),
            Self::InvalidBody => (
                StatusCode::BAD_REQUEST,
                "invalid-body",
                "The request body breaks a rule",
            ),
            Self::InvalidQuery => (
                StatusCode::BAD_REQUEST,
                "invalid-query",
                "The query breaks a rule",
            ),
            Self::SelfFriendship => (
                StatusCode::BAD_REQUEST,
                "self-friendship",
                "Nobody can be their own friend",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Writing needs a valid bearer token",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "The token does not allow to write this user",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::UnknownUser => (StatusCode::NOT_FOUND, "unknown-user", "No such user"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This resource does not know the method",
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The request took too long to arrive",
            ),
            Self::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "If-Match or If-None-Match does not hold",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The request body is over the limit",
            ),
            Self::UriTooLong => (
                StatusCode::URI_TOO_LONG,
                "uri-too-long",
                "The request target is over the limit",
            ),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "The request's head is over the limit",
            ),
            Self::MalformedRequest => (
                StatusCode::BAD_REQUEST,
                "malformed-request",
                "The request is not sound HTTP",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The request body must be plain application/json",
            ),
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "The client sends too many requests",
            ),
            Self::DatabaseUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "The database cannot answer now",
            ),
            Self::IssuerUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "issuer-unavailable",
                "Tokens cannot be checked now",
            ),
        }
    }
}

/// Where in the request something is wrong.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Location {
    /// A JSON pointer into the body, as a URI fragment.
    Pointer(Cow<'static, str>),
    /// A parameter of the path or the query.
    Parameter(Cow<'static, str>),
}

/// One broken rule.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The rule.
    pub detail: Cow<'static, str>,
    /// Where it is broken.
    #[serde(flatten)]
    pub location: Location,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    remedy: Option<Remedy>,
}

/// What a client can do about it, said in a header. No problem has two.
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
    /// The answer's status.
    #[cfg_attr(test, schema(minimum = 400, maximum = 599))]
    status: u16,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// The rules that are broken, and where; missing when the problem is not in one place.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(test, schema(required = false))]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem with nothing to add to its kind.
    pub fn new(kind: ProblemKind) -> Self {
        let away = kind.describe().0 == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            remedy: away.then_some(Remedy::RetryAfter(RETRY_AFTER)),
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

    /// 405 with the methods that are known.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            remedy: Some(Remedy::Allow(allow)),
            ..Self::new(ProblemKind::MethodNotAllowed)
        }
    }

    /// 401 or 403 with what a client is to send (`WWW-Authenticate`).
    pub fn challenge(
        kind: ProblemKind,
        challenge: HeaderValue,
        detail: Option<&'static str>,
    ) -> Self {
        Self {
            remedy: Some(Remedy::Challenge(challenge)),
            detail: detail.map(Into::into),
            ..Self::new(kind)
        }
    }

    /// 429 that says how long to wait.
    pub fn too_many_requests(wait: Duration) -> Self {
        // Whole seconds, and never too few.
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

    /// The answer to send.
    pub fn into_response(self) -> Response {
        let (status, slug, title) = self.kind.describe();
        let document = Document {
            r#type: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
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
        headers.extend(self.remedy.map(Remedy::header));
        if status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body may still come: nothing after it could be told apart.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = match error {
            StoreError::Unavailable => "The database is away.",
            StoreError::Timeout => "The database did not answer in time.",
            StoreError::Overloaded => "Too many requests are waiting.",
            // What the database said may hold data: the store has logged it.
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
        let (parts, body) = problem.into_response().into_parts();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn names_the_field() {
        let (parts, body) = parts(Problem::body("/dateOfBirth", "is missing"));
        assert_eq!(parts.status, StatusCode::BAD_REQUEST);
        assert_eq!(parts.headers["content-type"], "application/problem+json");
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
    fn a_store_error_says_when_to_come_back_and_hides_its_cause() {
        let (parts, body) = parts(StoreError::Refused("secret".into()).into());
        assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(parts.headers["retry-after"], "1");
        assert!(!body.to_string().contains("secret"));
    }

    #[test]
    fn too_fast_clients_are_told_whole_seconds_that_are_enough() {
        for (wait, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2")] {
            let (parts, body) = parts(Problem::too_many_requests(Duration::from_millis(wait)));
            assert_eq!(parts.status, StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(parts.headers["retry-after"], seconds);
            assert_eq!(body["type"], "/problems/too-many-requests");
        }
    }

    #[test]
    fn wrong_methods_are_told_the_right_ones() {
        let (parts, _) = parts(Problem::method_not_allowed("GET, HEAD"));
        assert_eq!(parts.headers["allow"], "GET, HEAD");
    }
}
