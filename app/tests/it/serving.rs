//! Connections: many, idle, HTTP/2.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::app::App;
use crate::support::client::Connection;
use crate::support::eventually;

#[tokio::test]
async fn speaks_http2_without_tls() {
    let app = App::sqlite();
    app.put_date("/hello/alice", "1990-01-01");
    let stream = tokio::net::TcpStream::connect(app.api).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let requests = (0..200).map(|number| {
        let mut sender = sender.clone();
        let method = if number % 2 == 0 { "GET" } else { "HEAD" };
        let request = hyper::Request::builder()
            .method(method)
            .uri("http://test/hello/alice")
            .body(Empty::<Bytes>::new())
            .unwrap();
        async move {
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let length = response.headers()["content-length"]
                .to_str()
                .unwrap()
                .to_owned();
            let body = response.collect().await.unwrap().to_bytes();
            let expected = if method == "GET" {
                length.parse().unwrap()
            } else {
                0
            };
            assert_eq!(body.len(), expected, "{method}");
        }
    });
    futures::future::join_all(requests).await;
}

#[test]
fn no_more_connections_than_configured_are_served_at_a_time() {
    let app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_MAX_CONNECTIONS", "2"),
    ]);
    let request = b"GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = Connection::open(app.api);
    let mut second = Connection::open(app.api);
    for connection in [&mut first, &mut second] {
        connection.send(request).unwrap();
        assert_eq!(connection.read(false).unwrap().status, 404);
    }
    let mut third = Connection::open(app.api);
    third.send(request).unwrap();
    assert!(!third.is_closed(), "it waits");
    drop(first);
    assert_eq!(third.read(false).unwrap().status, 404);
}

/// The service's resident memory in KiB.
fn resident(app: &App) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_idle_connections_hurt_nobody() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const COUNT: usize = 10_000;
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(
        maximum.is_none_or(|most| most > COUNT as u64 + 500),
        "needs more files: ulimit -Hn"
    );
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .unwrap();
    let app = App::sqlite();
    app.put_date("/hello/alice", "1990-01-01");
    let before = resident(&app);
    let mut idle = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        let mut stream = TcpStream::connect(app.api).unwrap();
        // Some say nothing, some stop in the middle of a head, some are done for now.
        match number % 3 {
            0 => {}
            1 => stream
                .write_all(b"GET /hello/alice HTTP/1.1\r\nhost:")
                .unwrap(),
            _ => stream
                .write_all(b"GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap(),
        }
        idle.push(stream);
    }
    eventually("all are open", Duration::from_secs(60), || {
        app.admin("/metrics")
            .text()
            .contains(&format!("hello_http_connections {COUNT}"))
    });
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(app.get("/hello/alice").status, 200);
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let each = (resident(&app) - before) * 1024 / COUNT as u64;
    println!("memory of an idle connection: {each} bytes");
    // hyper reads into 8 KiB; the rest is the connection's state and its task.
    assert!(each < 24 << 10, "{each} bytes a connection");
}
