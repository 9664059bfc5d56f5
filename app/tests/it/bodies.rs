//! Bodies of `PUT /hello/{username}`: their form, type, size and encoding, on both stores.

use crate::api::{on_both_stores, problem};
use crate::support::app::{App, JSON};
use crate::support::client::{Connection, request_bytes};

on_both_stores!(
    refuses_wrong_bodies,
    refuses_wrong_media_types,
    refuses_large_requests,
    a_body_is_requested_only_within_the_limit,
    a_chunked_body_is_a_body,
);

fn refuses_wrong_bodies(app: &App) {
    for body in [
        "{}",
        r#"{"dateofbirth":"1990-01-01"}"#,
        r#"{"dateOfBirth":631152000}"#,
        r#"{"dateOfBirth":null}"#,
        r#"{"dateOfBirth":["1990-01-01"]}"#,
        r#"{"dateOfBirth":{"$date":"1990-01-01"}}"#,
        r#"{"dateOfBirth":true}"#,
        r#"{"dateOfBirth":"1990-01-01","dateOfBirth":"1991-01-01"}"#,
    ] {
        let answer = app.put("/hello/alice", body);
        assert_eq!(
            problem(&answer, 400, "invalid-body"),
            "#/dateOfBirth",
            "{body}"
        );
    }
    let nested = format!(r#"{{"x":{}"#, "[".repeat(4000));
    for body in [
        "",
        "null",
        "[]",
        r#"["1990-01-01"]"#,
        "\"1990-01-01\"",
        "19900101",
        "{",
        "nonsense",
        r#"{"dateOfBirth":"1990-01-01"}{}"#,
        r#"{"dateOfBirth":"1990-01-01"} x"#,
        &nested,
    ] {
        let answer = app.put("/hello/alice", body);
        assert_eq!(problem(&answer, 400, "invalid-body"), "#", "{body}");
    }
    for body in [
        &b"{\"dateOfBirth\":\"1990-01-01\",\"x\":\"\xff\"}"[..],
        b"\xff",
        b"{\"\xc3\x28\":1}",
    ] {
        let answer = app.request("PUT", "/hello/alice", &[JSON], body);
        assert_eq!(problem(&answer, 400, "invalid-body"), "#");
    }
    assert_eq!(app.get("/hello/alice").status, 404);
}

fn refuses_wrong_media_types(app: &App) {
    let body = br#"{"dateOfBirth":"1990-01-01"}"#;
    let refused = |headers: &[(&str, &str)]| {
        problem(
            &app.request("PUT", "/hello/alice", headers, body),
            415,
            "unsupported-media-type",
        );
    };
    refused(&[]);
    for other in [
        "application/vnd.api+json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "",
        "application/json; charset=iso-8859-1",
        "application/json, text/plain",
    ] {
        refused(&[("content-type", other)]);
    }
    refused(&[JSON, JSON]);
    for encoding in ["gzip", "identity", "br", ""] {
        refused(&[JSON, ("content-encoding", encoding)]);
    }
    assert_eq!(app.get("/hello/alice").status, 404);
}

fn refuses_large_requests(app: &App) {
    let mut connection = Connection::open(app.api);
    // Just within the limit, and just beyond it.
    let sized = |size: usize| {
        let body = r#"{"dateOfBirth":"1990-01-01"}"#;
        format!("{body}{}", " ".repeat(size - body.len())).into_bytes()
    };
    assert_eq!(
        connection
            .request("PUT", "/hello/alice", &[JSON], &sized(8192))
            .status,
        204
    );
    for size in [8193, 2 << 20] {
        let answer = connection.request("PUT", "/hello/alice", &[JSON], &sized(size));
        problem(&answer, 413, "body-too-large");
    }
    let deep = format!(
        r#"{{"dateOfBirth":"1990-01-01","x":{}"#,
        "[".repeat(100_000)
    );
    problem(
        &connection.request("PUT", "/hello/alice", &[JSON], deep.as_bytes()),
        413,
        "body-too-large",
    );
    // The connection still works.
    assert_eq!(
        connection.request("GET", "/hello/alice", &[], b"").status,
        200
    );
    let large = "x".repeat(64 << 10);
    problem(
        &app.request("GET", "/hello/alice", &[("x-large", &large)], b""),
        431,
        "head-too-large",
    );
    problem(
        &app.get(&format!("/hello/{}", "x".repeat(70_000))),
        431,
        "head-too-large",
    );
}

/// A client that waits for `100 Continue` sends only a body that is accepted.
fn a_body_is_requested_only_within_the_limit(app: &App) {
    let mut connection = Connection::open(app.api);
    let headers = [
        JSON,
        ("expect", "100-continue"),
        ("content-length", "1000000"),
    ];
    connection
        .send(&request_bytes("PUT", "/hello/alice", &headers, b""))
        .unwrap();
    problem(&connection.read(false).unwrap(), 413, "body-too-large");
    let mut connection = Connection::open(app.api);
    let headers = [JSON, ("expect", "100-continue"), ("content-length", "28")];
    connection
        .send(&request_bytes("PUT", "/hello/alice", &headers, b""))
        .unwrap();
    assert_eq!(connection.read(false).unwrap().status, 100);
    connection.send(br#"{"dateOfBirth":"1990-01-01"}"#).unwrap();
    assert_eq!(connection.read(false).unwrap().status, 204);
}

fn a_chunked_body_is_a_body(app: &App) {
    let chunked = [JSON, ("transfer-encoding", "chunked")];
    let mut connection = Connection::open(app.api);
    let body = b"5\r\n{\"dat\r\n17;x=y\r\neOfBirth\":\"1990-01-01\"}\r\n0\r\n\r\n";
    let answer = connection.request("PUT", "/hello/alice", &chunked, body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(
        connection.request("GET", "/hello/alice", &[], b"").status,
        200
    );
    let mut large = Vec::new();
    for _ in 0..20 {
        large.extend(b"400\r\n");
        large.extend([b' '; 0x400]);
        large.extend(b"\r\n");
    }
    large.extend(b"0\r\n\r\n");
    let answer = connection.request("PUT", "/hello/alice", &chunked, &large);
    problem(&answer, 413, "body-too-large");
    assert_eq!(
        connection.request("GET", "/hello/alice", &[], b"").status,
        200
    );
}

/// The body comes after the answer is known: it is part of that request, and not the beginning of the next.
#[test]
fn a_refusal_before_the_body_does_not_cost_the_next_request() {
    let app = App::sqlite();
    let body = br#"{"dateOfBirth":"1990-01-01"}"#;
    let length = body.len().to_string();
    let framed: [(&str, &str); 2] = [("content-length", &length), JSON];
    let text: [(&str, &str); 2] = [("content-length", &length), ("content-type", "text/plain")];
    for (method, target, headers, status) in [
        ("PUT", "/hello/zoe1", framed, 400),
        ("PUT", "/hello/zoe", text, 415),
        ("PUT", "/nowhere", framed, 404),
        ("POST", "/hello/zoe", framed, 405),
        ("DELETE", "/hello/zoe", framed, 204),
        ("GET", "/hello/zoe", framed, 404),
    ] {
        let mut connection = Connection::open(app.api);
        let head = request_bytes(method, target, &headers, b"");
        connection.send(&head).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        connection.send(body).unwrap();
        let answer = connection.read(false).unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (status, None),
            "{method} {target}"
        );
        let next = connection.request("GET", "/hello/nobody", &[], b"");
        assert_eq!(next.status, 404, "after {method} {target}");
    }
    // Where the rest is too long, does not come, or waits for a word, the answer says that the connection ends.
    let expecting = [
        ("content-length", length.as_str()),
        ("expect", "100-continue"),
    ];
    let chunked = [("transfer-encoding", "chunked"), JSON];
    for headers in [
        expecting,
        [("content-length", "100000"), JSON],
        framed,
        chunked,
    ] {
        let mut connection = Connection::open(app.api);
        connection
            .send(&request_bytes("PUT", "/hello/zoe1", &headers, b""))
            .unwrap();
        let answer = connection.read(false).unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (400, Some("close")),
            "{headers:?}"
        );
        assert!(connection.is_closed());
    }
}
