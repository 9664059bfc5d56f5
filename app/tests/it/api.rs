//! Every rule of the hello API, on both stores.

use chrono::{Days, NaiveDate, Utc};

use crate::support::app::{App, JSON, status_at_last};
use crate::support::client::Connection;

macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod postgres { $(#[test] fn $name() { super::$name(&super::App::postgres()); })* }
        mod sqlite { $(#[test] fn $name() { super::$name(&super::App::sqlite()); })* }
    };
}
pub(crate) use on_both_stores;

on_both_stores!(
    greets,
    forgets,
    accepts_what_is_right,
    refuses_wrong_names,
    refuses_wrong_dates,
    knows_its_paths_and_methods,
    head_is_get_without_a_body,
    first_writes_race_to_one_row,
    racing_writes_leave_one_whole_record,
);

fn today() -> NaiveDate {
    Utc::now().date_naive()
}

/// Asserts that an answer is a problem of this kind, and returns the pointer in it.
pub fn problem(answer: &crate::support::client::Answer, status: u16, slug: &str) -> String {
    assert_eq!(
        answer.status,
        status,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let body = answer.json();
    assert_eq!(body["type"], format!("/problems/{slug}"));
    assert_eq!(body["status"], status);
    let error = &body["errors"][0];
    error["pointer"]
        .as_str()
        .or(error["parameter"].as_str())
        .unwrap_or_default()
        .to_owned()
}

fn greets(app: &App) {
    // 2000 has every possible day of a year.
    let next = today() + Days::new(5);
    let (born, days) = (next.format("2000-%m-%d").to_string(), 5);
    assert_eq!(app.put_date("/hello/alice", &born).status, 204);
    let answer = app.get("/hello/alice");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.text(),
        format!(r#"{{"message":"Hello, alice! Your birthday is in {days} day(s)"}}"#)
    );
    let answer = app.put_date("/hello/alice", &today().format("2000-%m-%d").to_string());
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(
        app.get("/hello/alice").text(),
        r#"{"message":"Hello, alice! Happy birthday!"}"#
    );
    problem(&app.get("/hello/bob"), 404, "unknown-user");
    problem(&app.get("/hello/Alice"), 404, "unknown-user");
}

fn forgets(app: &App) {
    assert_eq!(app.request("DELETE", "/hello/alice", &[], b"").status, 204);
    app.put_date("/hello/alice", "1990-01-01");
    let answer = app.request("DELETE", "/hello/alice", &[], b"");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(app.get("/hello/alice").status, 404);
    assert_eq!(app.request("DELETE", "/hello/alice", &[], b"").status, 204);
}

fn accepts_what_is_right(app: &App) {
    let yesterday = (today() - Days::new(1)).to_string();
    for date in ["2000-02-29", "1900-01-01", "1999-12-31", &yesterday] {
        assert_eq!(app.put_date("/hello/alice", date).status, 204, "{date}");
        assert_eq!(app.get("/hello/alice").status, 200, "{date}");
    }
    assert_eq!(app.put_date("/hello/%4Aohn", "1990-01-01").status, 204);
    assert!(app.get("/hello/John").text().contains("Hello, John!"));
    // Composed and decomposed, the same user.
    assert_eq!(app.put_date("/hello/Jose%CC%81", "1990-01-01").status, 204);
    assert!(app.get("/hello/Jos%C3%A9").text().contains("Hello, José!"));
    for name in [
        "%D0%98%D0%B2%D0%B0%D0%BD",
        "%E6%9D%8E%E6%98%8E",
        "%C2%AA",
        &"x".repeat(64),
    ] {
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), "1990-01-01").status,
            204,
            "{name}"
        );
        assert_eq!(app.get(&format!("/hello/{name}")).status, 200, "{name}");
    }
    // 64 letters of four bytes, all percent-encoded.
    let longest = format!("/hello/{}", "%F0%A0%80%80".repeat(64));
    assert_eq!(app.put_date(&longest, "1990-01-01").status, 204);
    assert_eq!(app.get(&longest).status, 200);
    let extra = r#" {"x":[{"dateOfBirth":1}],"dateOfBirth":"1990-01-01","y":null} "#;
    assert_eq!(app.put("/hello/alice", extra).status, 204);
    let utf8 = [("content-type", "application/json; charset=utf-8")];
    let body = br#"{"dateOfBirth":"1990-01-01"}"#;
    assert_eq!(app.request("PUT", "/hello/alice", &utf8, body).status, 204);
    assert_eq!(
        app.request("GET", "/hello/alice", &[("accept", "image/png")], b"")
            .status,
        200
    );
    assert_eq!(app.get("/hello/alice?x=%FF&&=").status, 200);
    assert_eq!(
        app.request("GET", "http://other/hello/alice", &[], b"")
            .status,
        200
    );
}

fn refuses_wrong_names(app: &App) {
    let body = br#"{"dateOfBirth":"1990-01-01"}"#;
    let too_long = "x".repeat(65);
    for name in [
        "alice1",
        "%254A",
        "%2F",
        "%2f",
        "%00",
        "%",
        "%4",
        "%zz",
        "%FF",
        "%C3",
        "%C3%28",
        "a%20b",
        "a+b",
        "a-b",
        "a.b",
        "..",
        "%2e%2e",
        "'",
        "%22",
        "x%CC%81",
        "%F0%9F%98%80",
        "%D9%A3",
        "%0A",
        "%7F",
        "%EF%BB%BFalice",
        "a%E2%80%8Bb",
        &too_long,
        &"x".repeat(3000),
    ] {
        let target = format!("/hello/{name}");
        for (method, headers, body) in [
            ("GET", &[][..], &b""[..]),
            ("PUT", &[JSON][..], body),
            ("DELETE", &[][..], b""),
        ] {
            let answer = app.request(method, &target, headers, body);
            assert_eq!(
                problem(&answer, 400, "invalid-username"),
                "username",
                "{method} {name}"
            );
        }
    }
    problem(
        &app.get(&format!("/hello/{}", "x".repeat(4100))),
        414,
        "uri-too-long",
    );
}

fn refuses_wrong_dates(app: &App) {
    let tomorrow = (today() + Days::new(1)).to_string();
    for date in [
        &today().to_string(),
        &tomorrow,
        "1990-1-1",
        " 1990-01-01",
        "1990-01-01 ",
        "19900101",
        "0000-01-01",
        "-0001-01-01",
        "+1990-01-01",
        "1899-12-31",
        "9999-12-31",
        "2023-02-29",
        "1900-02-29",
        "1990-13-01",
        "1990-00-01",
        "1990-01-00",
        "1990-04-31",
        "1990/01/01",
        "01-01-1990",
        "1990-01-01T00:00:00Z",
        "١٩٩٠-٠١-٠١",
        "",
        "today",
        "1990-01-0\\u0661",
        "1990-01-01\\u0000",
    ] {
        let answer = app.put_date("/hello/alice", date);
        assert_eq!(
            problem(&answer, 400, "invalid-body"),
            "#/dateOfBirth",
            "{date}"
        );
    }
    assert_eq!(app.get("/hello/alice").status, 404);
}

fn knows_its_paths_and_methods(app: &App) {
    app.put_date("/hello/alice", "1990-01-01");
    for path in [
        "/hello/alice/",
        "//hello/alice",
        "/hello/",
        "/hello",
        "/hello//alice",
        "/Hello/alice",
        "/hello/alice/x",
        "/hello/../hello/alice",
        "/./hello/alice",
        "/%68ello/alice",
        "/nowhere",
    ] {
        problem(&app.get(path), 404, "not-found");
    }
    const ALLOW: &str = "GET, HEAD, PUT, DELETE, OPTIONS";
    for method in ["POST", "PATCH", "TRACE", "BREW"] {
        let answer = app.request(method, "/hello/alice", &[], b"");
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(ALLOW), "{method}");
    }
    let answer = app.request("OPTIONS", "/hello/alice", &[], b"");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("allow"), Some(ALLOW));
    assert_eq!(app.request("OPTIONS", "*", &[], b"").status, 204);
    assert_eq!(app.request("GET", "*", &[], b"").status, 404);
}

fn head_is_get_without_a_body(app: &App) {
    app.put_date("/hello/alice", "1990-01-01");
    let mut connection = Connection::open(app.api);
    for target in ["/hello/alice", "/hello/nobody", "/hello/a1", "/x"] {
        let get = connection.request("GET", target, &[], b"");
        let head = connection.request("HEAD", target, &[], b"");
        assert_eq!(head.status, get.status, "{target}");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{target}");
        }
    }
}

fn first_writes_race_to_one_row(app: &App) {
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let put = || app.put_date("/hello/alice", "1990-01-01");
                assert_eq!(status_at_last(put), 204);
            });
        }
    });
    assert_eq!(app.get("/hello/alice").status, 200);
}

fn racing_writes_leave_one_whole_record(app: &App) {
    // Each writer sets, reads and deletes its own users while the others do the same.
    std::thread::scope(|scope| {
        for writer in 'a'..='p' {
            scope.spawn(move || {
                let mut connection = Connection::open(app.api);
                for letter in 'a'..='z' {
                    let target = format!("/hello/{writer}{letter}");
                    let body: &[u8] = br#"{"dateOfBirth":"1990-01-01"}"#;
                    for (method, body, status) in [
                        ("PUT", body, 204),
                        ("GET", b"", 200),
                        ("DELETE", b"", 204),
                        ("GET", b"", 404),
                    ] {
                        let ask = || connection.request(method, &target, &[JSON], body);
                        assert_eq!(status_at_last(ask), status, "{method} {target}");
                    }
                }
            });
        }
    });
}
