//! Pages of other origins that may use the API from a browser (the Fetch standard, "CORS protocol").
//!
//! Not by warp's filter: it answers other origins with a refusal of its own, which is no problem document, and a server that
//! is configured for pages must still answer everybody else.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    ORIGIN, VARY,
};
use http::{HeaderValue, Method};
use url::Url;

use crate::serving::{RequestHead, Response};

/// Headers that a page may send, beside those that it always may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, if-match, if-none-match, traceparent, tracestate, x-request-id",
);
/// Headers that a page may read, beside those that it always may.
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("allow, etag, retry-after, www-authenticate, x-request-id");
/// Seconds for which a browser may remember what it may send; no browser remembers it for longer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// An origin as browsers write it, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text != "*" {
            let url: Url = text
                .parse()
                .map_err(|error: url::ParseError| error.to_string())?;
            let origin = url.origin().ascii_serialization();
            if !matches!(url.scheme(), "http" | "https") {
                return Err("is neither an https nor an http origin".into());
            }
            if text.contains('*') {
                return Err("is no single origin: `*` stands alone".into());
            }
            if origin != text {
                return Err(format!("is not as browsers write it: `{origin}`"));
            }
        }
        HeaderValue::from_str(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// Which pages may use the API.
#[derive(Debug, Clone)]
pub struct Cors {
    origins: Vec<Origin>,
    any: bool,
}

impl Cors {
    /// Pages of these origins; `None` when there is none.
    pub fn new(origins: Vec<Origin>) -> Option<Self> {
        let any = origins.iter().any(|origin| origin.0 == "*");
        (!origins.is_empty()).then_some(Self { origins, any })
    }

    /// Adds the headers that name what a page may do with the response to a request, whatever the response is.
    pub fn apply(&self, head: &RequestHead, response: &mut Response) {
        let headers = response.headers_mut();
        if !self.any {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(allowed) = self.allowed(head) else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let asks_first = head.method == Method::OPTIONS
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks_first {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        } else if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }

    /// The value of the header for the origin of a request, if a page of it may read the response.
    fn allowed(&self, head: &RequestHead) -> Option<HeaderValue> {
        let origin = head.headers.get(ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let known = self.origins.iter().find(|known| known.0 == origin)?;
        Some(known.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for origin in [
            "https://app.example",
            "http://localhost:3000",
            "https://[::1]:8443",
            "*",
        ] {
            assert!(origin.parse::<Origin>().is_ok(), "{origin}");
        }
        for wrong in [
            "",
            "app.example",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example:443",
            "https://App.example",
            "https://u@app.example",
            "https://*.example",
            "null",
            "file:///x",
            "ftp://app.example",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
        assert!(Cors::new(Vec::new()).is_none());
    }
}
