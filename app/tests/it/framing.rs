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
    // Heads have all their time here: that of a busy machine's client takes long, too.
    let app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_IDLE_TIMEOUT", "300ms"),
        ("HELLO_BODY_TIMEOUT", "300ms"),
    ]);
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
    assert!(started.elapsed() < Duration::from_secs(50));
}

/// hyper takes it for a part of a trailer. Whoever takes it for the end of the body sees another next request.
#[test]
fn a_line_feed_alone_in_a_body_hides_no_request() {
    let app = App::sqlite();
    let head = "PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let get = "GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n";
    let date = "1c\r\n{\"dateOfBirth\":\"1990-01-01\"}\r\n";
    for end in [
        "0\r\nt: c\n\n",
        "0\r\nt: c\n\r\n",
        "0\r\n\n",
        "0\n\r\n",
        "0;x\n\r\n",
        "0\r\nt: c\nu: d\r\n\r\n",
    ] {
        let mut connection = Connection::open(app.api);
        let stream = format!("{head}{date}{end}{get}{get}");
        connection.send(stream.as_bytes()).unwrap();
        // The request is refused and the connection ends: nothing is taken for a part of it.
        assert_eq!(connection.read(false).unwrap().status, 400, "{end:?}");
        assert!(connection.is_closed(), "{end:?}");
    }
    assert_eq!(app.get("/hello/alice").status, 404);
    // Written as it should be, all three are answered.
    let mut connection = Connection::open(app.api);
    let stream = format!("{head}{date}0\r\nt: c\r\n\r\n{get}{get}");
    connection.send(stream.as_bytes()).unwrap();
    for status in [204, 200, 200] {
        assert_eq!(connection.read(false).unwrap().status, status);
    }
}

#[test]
fn a_request_names_its_host_once() {
    let app = App::sqlite();
    let status = |address, head: &str| {
        let mut connection = Connection::open(address);
        connection
            .send(format!("GET {head}\r\n\r\n").as_bytes())
            .unwrap();
        let answer = connection.read(false).unwrap();
        if answer.status == 400 {
            problem(&answer, 400, "malformed-request");
        }
        answer.status
    };
    for (address, path, found) in [
        (app.api, "/hello/alice", 404),
        (app.admin, "/livez", 200),
        (app.admin, "/metrics", 200),
    ] {
        for sound in [
            "HTTP/1.1\r\nhost: hello.example",
            "HTTP/1.1\r\nHOST: hello.example:8080",
            "HTTP/1.1\r\nhost: [2001:db8::1]:80",
            "HTTP/1.1\r\nhost:",
            "HTTP/1.0\r\nhost: x",
            "HTTP/1.0",
        ] {
            assert_eq!(
                status(address, &format!("{path} {sound}")),
                found,
                "{sound}"
            );
        }
        for wrong in [
            "HTTP/1.1",
            "HTTP/1.1\r\nx-host: x",
            "HTTP/1.1\r\nhost: x\r\nhost: x",
            "HTTP/1.1\r\nhost: x\r\nHost: y",
            "HTTP/1.0\r\nhost: x\r\nhost: y",
            "HTTP/1.1\r\nhost: x y",
            "HTTP/1.1\r\nhost: x/y",
            "HTTP/1.1\r\nhost: a@x",
            "HTTP/1.1\r\nhost: x:port",
            "HTTP/1.1\r\nhost: [::1",
            "HTTP/1.1\r\nhost: x, y:1",
        ] {
            assert_eq!(status(address, &format!("{path} {wrong}")), 400, "{wrong}");
        }
    }
    // In the form for proxies, the header is still needed.
    assert_eq!(status(app.api, "http://x/hello/a HTTP/1.1\r\nhost: x"), 404);
    assert_eq!(status(app.api, "http://x/hello/a HTTP/1.1"), 400);
}

#[test]
fn a_client_that_will_send_no_more_gets_its_answers() {
    let app = App::sqlite();
    app.put_date("/hello/alice", "1990-01-01");
    let get = "GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n";
    let put = "PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{\"dateOfBirth\":\"1990-01-01\"}";
    for (requests, statuses) in [
        (get.to_owned(), &[200][..]),
        (put.to_owned(), &[204]),
        (format!("{put}{get}{get}"), &[204, 200, 200]),
        // The body that never comes to its end is the client's mistake.
        (put[..put.len() - 1].to_owned(), &[400]),
    ] {
        let mut connection = Connection::open(app.api);
        connection.send(requests.as_bytes()).unwrap();
        connection.finish();
        for status in statuses {
            assert_eq!(
                connection.read(false).unwrap().status,
                *status,
                "{requests}"
            );
        }
        assert!(connection.is_closed(), "{requests}");
    }
    // Nothing is open: nothing is waited for.
    for begun in ["", "GET /hello/alice HTTP/1.1\r\n"] {
        let mut connection = Connection::open(app.api);
        connection.send(begun.as_bytes()).unwrap();
        connection.finish();
        let _ = connection.read(false);
        assert!(connection.is_closed(), "{begun:?}");
    }
}

/// A load balancer keeps connections open for the next request: the service must not be the first to close them.
#[test]
fn an_idle_connection_has_a_time_of_its_own() {
    let get = b"GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n";
    // Longer than a busy machine's client takes between two lines of this test.
    for (header, idle, idle_ends_first) in [("2s", "1h", false), ("1h", "2s", true)] {
        let app = App::ready(&[
            ("DATABASE_URL", "sqlite::memory:"),
            ("HELLO_HEADER_TIMEOUT", header),
            ("HELLO_IDLE_TIMEOUT", idle),
        ]);
        let mut idle = Connection::open(app.api);
        idle.send(get).unwrap();
        assert_eq!(idle.read(false).unwrap().status, 404);
        let mut first_head = Connection::open(app.api);
        first_head.send(&get[..20]).unwrap();
        let mut second_head = Connection::open(app.api);
        second_head.send(get).unwrap();
        assert_eq!(second_head.read(false).unwrap().status, 404);
        second_head.send(&get[..20]).unwrap();
        let mut heads = [first_head, second_head];
        if idle_ends_first {
            idle.wait_for_close();
            for connection in &mut heads {
                connection.send(&get[20..]).unwrap();
                assert_eq!(connection.read(false).unwrap().status, 404);
            }
        } else {
            for connection in &mut heads {
                connection.wait_for_close();
            }
            idle.send(get).unwrap();
            assert_eq!(idle.read(false).unwrap().status, 404);
        }
    }
}
