//! The OpenAPI document and the pages for readers.

use crate::api::problem;
use crate::support::app::{App, command};

#[test]
fn the_documentation_is_served_and_loads_nothing_from_elsewhere() {
    let app = App::sqlite();
    let document = app.get("/openapi.json");
    assert_eq!(document.status, 200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    let printed = command(&["openapi"]).output().unwrap();
    assert!(printed.status.success());
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(document.json(), printed);

    let mut on_the_wire = 0;
    for (page, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/script.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = app.get(page);
        assert_eq!(answer.status, 200, "{page}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        on_the_wire += answer.body.len();
        let head = app.request("HEAD", page, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        problem(
            &app.request("PUT", page, &[], b""),
            405,
            "method-not-allowed",
        );
    }
    assert!(on_the_wire < 100_000, "{on_the_wire} bytes");
    assert!(
        app.get("/docs")
            .text()
            .contains("/users/{username}/friends/birthdays")
    );
}

#[test]
fn the_type_of_a_problem_leads_to_its_explanation() {
    let app = App::sqlite();
    let kind = app.get("/hello/alice").json()["type"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = app.get(&kind);
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.header("content-security-policy").is_some());
    assert!(page.text().contains("No such user"), "{}", page.text());
    assert!(app.get("/problems").text().contains(&kind));
    problem(&app.get("/problems/nonsense"), 404, "not-found");
}
