//! Pages for people. Each is one HTML file with one style sheet; two have one script, which asks the service itself. They load
//! nothing from elsewhere, so they work without internet access.

mod api_documentation;
mod document;
mod html;
mod problems;
mod try_out;

use bytes::Bytes;
use http::{HeaderValue, header};

use crate::serving::Response;

pub use api_documentation::api_documentation;
pub use problems::{ProblemPage, problem_list};

/// Allows the page's own style sheet, script and requests, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const LANDING: &str = include_str!("landing.html");

/// What loads the script.
const SCRIPT_ELEMENT: &str = "<script src=\"/script.js\" type=\"module\"></script>";

/// The landing page.
pub fn landing() -> Response {
    html(Bytes::from_static(LANDING.as_bytes()))
}

/// The style sheet of all pages.
pub fn style() -> Response {
    page(
        Bytes::from_static(STYLE.as_bytes()),
        "text/css; charset=utf-8",
    )
}

/// The script of the pages with forms.
pub fn script() -> Response {
    page(
        Bytes::from_static(SCRIPT.as_bytes()),
        "text/javascript; charset=utf-8",
    )
}

/// 200 with a page.
pub fn html(body: Bytes) -> Response {
    page(body, "text/html; charset=utf-8")
}

fn page(body: Bytes, content_type: &'static str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What makes a browser load something from elsewhere, or run what is written in the page, in a page, style sheet or script.
#[cfg(test)]
pub fn external_reference(page: &str) -> Option<&'static str> {
    let page = page.replace(SCRIPT_ELEMENT, "");
    [
        "<script",
        "src=",
        "http://",
        "https://",
        "@import",
        "url(",
        "style=",
        "onclick",
        "innerHTML",
        "eval(",
        "import(",
    ]
    .into_iter()
    .find(|reference| page.contains(reference))
}
