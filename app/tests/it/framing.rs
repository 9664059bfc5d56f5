//! Requests with an ambiguous length, as used for request smuggling, and requests that stall.

use std::time::Duration;

use crate::api::problem;
use crate::support::app::App;
use crate::support::client::Connection;

/// Sends raw bytes on a new connection; the status of the answer, and whether the connection was
/// closed after it.
fn raw(app: &App, bytes: &[u8]) -> (u16, bool) {
    let mut connection = Connection::open(app.api);
    connection.send(bytes).unwrap();
    let answer = connection.read(false).unwrap();
    if answer.json()["type"] != "/problems/invalid-body" {
        problem(&answer, 400, "malformed-request");
    }
    (answer.status, connection.is_closed())
}

#[test]
fn ambiguous_lengths_are_refused() {
    let app = App::sqlite();
    let body = r#"{"dateOfBirth":"1990-01-01"}"#;
    for headers in [
        "content-length: 28\r\ncontent-length: 28\r\n",
        "Content-Length: 28\r\nCONTENT-LENGTH: 28\r\n",
        "content-length: 28\r\ncontent-length: 29\r\n",
        "content-length: 28, 28\r\n",
        "content-length: +28\r\n",
        "content-length: -1\r\n",
        "content-length: 0x1c\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length : 28\r\n",
        "content-length: 28\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 28\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
    ] {
        let request = format!(
            "PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}\r\n{body}"
        );
        assert_eq!(raw(&app, request.as_bytes()), (400, true), "{headers:?}");
    }
    assert_eq!(app.get("/hello/alice").status, 404);
}

#[test]
fn the_second_request_of_a_connection_is_checked_as_the_first() {
    let app = App::sqlite();
    for first in [
        "GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n",
        "PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{\"dateOfBirth\":\"1990-01-01\"}",
        "PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1c\r\n{\"dateOfBirth\":\"1990-01-01\"}\r\n0\r\n\r\n",
    ] {
        let second =
            "PUT /hello/bob HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n";
        // In one piece, and byte by byte: the result must be the same.
        for size in [usize::MAX, 1, 7] {
            let mut connection = Connection::open(app.api);
            let bytes = format!("{first}{second}").into_bytes();
            for piece in bytes.chunks(size.min(bytes.len())) {
                connection.send(piece).unwrap();
            }
            assert!(connection.read(false).unwrap().status < 405, "{first}");
            assert_eq!(connection.read(false).unwrap().status, 400, "{first}");
            assert!(connection.is_closed());
        }
    }
}

#[test]
fn broken_requests_are_answered_with_400() {
    let app = App::sqlite();
    for request in [
        "GET /hello/alice HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        "GET /hello/alice HTTP/1.1\r\nhost: x\r\nbad\u{0}: y\r\n\r\n",
        "GET /hello/alice HTTP/9.9\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}",
        "GET /hello/é HTTP/1.1 x\r\n\r\n",
    ] {
        assert_eq!(raw(&app, request.as_bytes()), (400, true), "{request:?}");
    }
    assert_eq!(raw(&app, b"PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").0, 400);
}

#[test]
fn slow_senders_are_cut_off() {
    let app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_HEADER_TIMEOUT", "300ms"),
        ("HELLO_BODY_TIMEOUT", "300ms"),
    ]);
    let started = std::time::Instant::now();
    for stalled in [
        "",
        "G",
        "PR",
        "PRI * HTTP/2.0\r\n",
        "GET /hello/alice HTTP/1.1\r\nhost: x\r\n",
    ] {
        let mut connection = Connection::open(app.api);
        connection.send(stalled.as_bytes()).unwrap();
        // Closed, with or without a response.
        let _ = connection.read(false);
        assert!(connection.is_closed(), "{stalled:?}");
    }
    let mut connection = Connection::open(app.api);
    connection
        .send(b"PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{")
        .unwrap();
    assert_eq!(connection.read(false).unwrap().status, 408);
    assert!(connection.is_closed());
    // A client that keeps an idle connection open.
    let mut connection = Connection::open(app.api);
    assert_eq!(
        connection.request("GET", "/hello/alice", &[], b"").status,
        404
    );
    assert!(connection.is_closed());
    assert!(started.elapsed() < Duration::from_secs(10));
}
