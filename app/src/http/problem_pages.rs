//! What the `type` of each problem leads to: a page for people that works offline.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;

use super::pages::{html, text};
use super::{Problem, ProblemKind, Response};

/// The list of all problems.
pub fn index() -> Response {
    static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
        let mut body = String::from("<h1>Problems</h1><ul>");
        for kind in ProblemKind::ALL {
            let (status, slug, title) = kind.describe();
            // Writing into a String cannot fail.
            let _ = write!(
                body,
                "<li>{} <a href=\"/problems/{slug}\">{}</a>",
                status.as_u16(),
                text(title)
            );
        }
        body.push_str("</ul>");
        page("Problems", &body).into()
    });
    html(PAGE.clone())
}

/// The page of the problem whose type ends with `slug`.
pub fn explanation(slug: &str) -> Result<Response, Problem> {
    let kind = ProblemKind::ALL
        .into_iter()
        .find(|kind| kind.describe().1 == slug)
        .ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    let (status, _, title) = kind.describe();
    let body = format!(
        "<h1>{title} <small>{status}</small></h1><p>{meaning}</p>\
         <p><a href=\"/problems\">All problems</a> · <a href=\"/docs\">Documentation</a></p>",
        title = text(title),
        meaning = text(meaning(kind)),
    );
    Ok(html(page(title, &body).into()))
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{} - hello</title><link rel=stylesheet href=\"/style.css\">\
         <main>{body}</main></html>",
        text(title)
    )
}

/// What it means, and what to do about it.
fn meaning(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::InvalidUsername => {
            "A user name is 1 to 64 letters, percent-encoded once; no digits, blanks, signs or \
             punctuation. `detail` names the rule that is broken."
        }
        ProblemKind::InvalidBody => {
            "The body is one JSON object with what the operation needs; `errors` points to what \
             is wrong. A date of birth is written `YYYY-MM-DD`, from 1900-01-01 to yesterday."
        }
        ProblemKind::InvalidQuery => {
            "A parameter is unknown, given twice, or out of its range; `errors` names it."
        }
        ProblemKind::SelfFriendship => "Both names of the path are the same user's.",
        ProblemKind::Unauthorized => {
            "Writing needs a valid token in the header `Authorization: Bearer`. \
             `WWW-Authenticate` says what is wrong with the one that was sent."
        }
        ProblemKind::Forbidden => {
            "The token is valid, but speaks for another user, and holds no scope that allows to \
             write every user."
        }
        ProblemKind::NotFound => {
            "The path is not one of the API's. Paths are exact: no slash at the end, none twice."
        }
        ProblemKind::UnknownUser => {
            "There is no user of that name; capitals count. Users are made by \
             `PUT /hello/{username}`."
        }
        ProblemKind::MethodNotAllowed => "The header `Allow` lists the methods that there are.",
        ProblemKind::RequestTimeout => {
            "The body did not arrive in time. Send it again, on a new connection."
        }
        ProblemKind::PreconditionFailed => {
            "The user has changed since the greeting with that `ETag`, is gone, or is there \
             already; or the tag is of another day. Nothing was changed: `GET` the greeting again."
        }
        ProblemKind::BodyTooLarge => "A body may have 8 KiB at most.",
        ProblemKind::UriTooLong => "Path and query may have 4096 bytes together at most.",
        ProblemKind::HeadTooLarge => {
            "The request line and the headers may have 16 KiB together at most."
        }
        ProblemKind::MalformedRequest => {
            "The request is not sound HTTP/1.1: a line cannot be read, or the length of the body \
             is in doubt (`Content-Length` twice, or beside `Transfer-Encoding`)."
        }
        ProblemKind::UnsupportedMediaType => {
            "A body needs the header `Content-Type: application/json`, and no `Content-Encoding`."
        }
        ProblemKind::TooManyRequests => {
            "There is a limit on each client's requests. `Retry-After` says how many seconds to \
             wait; what is sent earlier is refused again."
        }
        ProblemKind::DatabaseUnavailable => {
            "The request may be fine, but the database does not answer. `Retry-After` says how \
             many seconds to wait. A write may have been made or not: sending it again is safe."
        }
        ProblemKind::IssuerUnavailable => {
            "The keys that tokens are checked with could not be read from their issuer yet. \
             `Retry-After` says how many seconds to wait; nothing was written."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_page_that_asks_for_nothing_from_elsewhere() {
        let list = index().into_body();
        let list = std::str::from_utf8(&list).unwrap();
        for kind in ProblemKind::ALL {
            let (_, slug, title) = kind.describe();
            let page = explanation(slug).unwrap();
            let page = std::str::from_utf8(page.body()).unwrap();
            assert!(page.contains(title), "{slug}");
            assert!(list.contains(&format!("\"/problems/{slug}\"")), "{slug}");
            for word in ["<script", "src=", "http://", "https://", "style="] {
                assert!(!page.contains(word), "{word}");
            }
        }
        assert!(explanation("nonsense").is_err());
    }
}
