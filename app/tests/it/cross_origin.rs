//! Pages of other origins in a browser (CORS).

use crate::api::problem;
use crate::support::app::{App, JSON};
use crate::support::client::Answer;

const PAGE: &str = "https://app.example";

fn ask(app: &App, target: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type"),
    ];
    app.request("OPTIONS", target, &headers, b"")
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[test]
fn only_pages_of_the_listed_origins_may_use_the_api() {
    let app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        (
            "HELLO_CORS_ORIGIN",
            "https://app.example, http://localhost:3000",
        ),
        ("HELLO_RATE_LIMIT", "100/h"),
    ]);
    for origin in [PAGE, "http://localhost:3000"] {
        let answer = ask(&app, "/hello/alice", origin);
        assert_eq!((answer.status, allowed(&answer)), (204, Some(origin)));
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(
            methods.contains("PUT") && methods.contains("DELETE"),
            "{methods}"
        );
        let headers = answer.header("access-control-allow-headers").unwrap();
        for needed in ["authorization", "content-type", "if-match"] {
            assert!(headers.contains(needed), "{headers}");
        }
        assert!(answer.header("access-control-max-age").is_some());
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let page = ("origin", PAGE);
    let body = br#"{"dateOfBirth":"1990-01-01"}"#;
    let put = app.request("PUT", "/hello/alice", &[JSON, page], body);
    assert_eq!((put.status, allowed(&put)), (204, Some(PAGE)));
    let get = app.request("GET", "/hello/alice", &[page], b"");
    assert_eq!((get.status, allowed(&get)), (200, Some(PAGE)));
    let readable = get.header("access-control-expose-headers").unwrap();
    assert!(readable.contains("etag"), "{readable}");
    // Also what went wrong can be read: without it, the page would see no more than that something did.
    for (method, target, headers, status) in [
        ("GET", "/hello/nobody", &[page][..], 404),
        ("GET", "/nowhere", &[page], 404),
        ("POST", "/hello/alice", &[page], 405),
        ("PUT", "/hello/alice", &[page], 415),
        ("GET", "/hello/alice", &[page, ("if-match", "\"x\"")], 412),
        ("GET", "/users?limit=0", &[page], 400),
    ] {
        let answer = app.request(method, target, headers, b"");
        assert_eq!(
            (answer.status, allowed(&answer)),
            (status, Some(PAGE)),
            "{target}"
        );
    }
    // There is nothing to be allowed, but the answer can be read.
    let nowhere = ask(&app, "/nowhere", PAGE);
    problem(&nowhere, 404, "not-found");
    assert_eq!(allowed(&nowhere), Some(PAGE));
    assert_eq!(nowhere.header("access-control-allow-methods"), None);
    for other in [
        "https://evil.example",
        "https://app.example.evil",
        "http://app.example",
        "null",
        "",
    ] {
        let answer = app.request("GET", "/hello/alice", &[("origin", other)], b"");
        assert_eq!((answer.status, allowed(&answer)), (200, None), "{other}");
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(allowed(&ask(&app, "/hello/alice", other)), None, "{other}");
    }
    // Whoever is no page is answered as ever.
    let answer = app.get("/hello/alice");
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    // Refused before any handler.
    let mut refused = get;
    for _ in 0..200 {
        refused = app.request("GET", "/hello/alice", &[page], b"");
        if refused.status == 429 {
            break;
        }
    }
    assert_eq!((refused.status, allowed(&refused)), (429, Some(PAGE)));
}

#[test]
fn any_page_may_where_any_is_listed_and_none_by_default() {
    let app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_CORS_ORIGIN", "*"),
    ]);
    let answer = ask(&app, "/hello/alice", "https://any.example");
    assert_eq!((answer.status, allowed(&answer)), (204, Some("*")));
    assert_eq!(answer.header("vary"), None);
    let app = App::sqlite();
    let answer = ask(&app, "/hello/alice", PAGE);
    assert_eq!(answer.status, 204);
    let named =
        |(name, _): &&(String, String)| name.starts_with("access-control") || name == "vary";
    assert_eq!(answer.headers.iter().find(named), None);
    let answer = app.request("GET", "/hello/alice", &[("origin", PAGE)], b"");
    assert_eq!(answer.headers.iter().find(named), None);
}
