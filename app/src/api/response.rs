//! Successful responses.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::serving::Response;

/// 204.
pub fn no_content() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 204 with the methods of a resource.
pub fn options(allow: &'static str) -> Response {
    let mut response = no_content();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// 200 with a JSON body.
pub fn json(body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// 200 with a value as JSON, for the caller alone and for now: it has no tag that a cache could ask with.
pub fn to_json(value: &impl serde::Serialize) -> Response {
    // Serialising plain strings, numbers and lists cannot fail.
    let mut response = json(serde_json::to_vec(value).unwrap_or_default());
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
