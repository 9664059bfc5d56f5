//! Clients that do not take their answers: they cost little memory, and nobody else is concerned.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::app::App;
use crate::support::client::Connection;
use crate::support::{LONG, eventually};

const MIB: u64 = 1 << 20;

/// The most memory that a process has had, in bytes.
fn most_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// A service with a list of a hundred long names.
fn with_people(variables: &[(&str, &str)]) -> App {
    let mut all = vec![("DATABASE_URL", "sqlite::memory:")];
    all.extend(variables);
    let app = App::ready(&all);
    for person in 0..100_u8 {
        let letter = |number: u8| char::from(b'a' + number);
        let name = format!(
            "{}{}{}",
            "a".repeat(60),
            letter(person / 10),
            letter(person % 10)
        );
        assert_eq!(
            app.put_date(&format!("/hello/{name}"), "1990-01-01").status,
            204
        );
    }
    app
}

/// Asks for a list on each of the most streams, and takes only `window` bytes of each. Ends when the connection does.
async fn take_nothing(app: &App, window: u32) -> impl Future<Output = ()> + use<> {
    let stream = tokio::net::TcpStream::connect(app.api).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..32 {
        let request = hyper::Request::builder()
            .uri("http://test/users?limit=100")
            .body(Empty::<Bytes>::new())
            .unwrap();
        if sender.ready().await.is_err() {
            break;
        }
        answers.push(sender.send_request(request));
    }
    // Their heads have come, and their bodies wait.
    let answers = futures::future::join_all(answers).await;
    async move {
        let _ = connection.await;
        drop((sender, answers));
    }
}

/// Of a window of nothing, and of one into which a little of each answer fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_fill_a_fixed_part_of_the_memory() {
    for window in [0, 1] {
        let app = with_people(&[
            ("HELLO_MEMORY_LIMIT", "64Mi"),
            ("HELLO_ANSWER_TIMEOUT", "1h"),
        ]);
        let mut idle = Connection::open(app.api);
        let get = |connection: &mut Connection| {
            connection
                .request("GET", "/users?limit=100", &[], b"")
                .status
        };
        assert_eq!(get(&mut idle), 200);
        let mut clients = Vec::new();
        for _ in 0..150 {
            clients.push(take_nothing(&app, window).await);
        }
        // Requests of one client are answered in turn.
        assert_eq!(get(&mut idle), 200, "who takes answers is served");
        let most = most_memory(app.pid());
        eprintln!("window {window}: {} MiB", most / MIB);
        assert!(most < 45 * MIB, "window {window}: {} MiB", most / MIB);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_no_answer_in_time_has_to_leave() {
    let app = with_people(&[("HELLO_ANSWER_TIMEOUT", "500ms")]);
    for window in [0, 1] {
        let ends = take_nothing(&app, window).await;
        tokio::time::timeout(LONG, ends).await.unwrap();
    }
    // Also over HTTP/1, once the buffers of the system are full.
    let mut connection = Connection::open(app.api);
    let requests = b"GET /users?limit=100 HTTP/1.1\r\nhost: test\r\n\r\n".repeat(10_000);
    let _ = connection.send(&requests);
    let open = || {
        app.admin("/metrics")
            .text()
            .contains("hello_http_connections 0")
    };
    eventually("it is closed", LONG, open);
}

/// Nobody asks anything: each of many connections has sent as much of a head as it may.
#[test]
fn unfinished_heads_fill_half_of_the_memory_at_most() {
    let app = with_people(&[
        ("HELLO_MEMORY_LIMIT", "64Mi"),
        ("HELLO_HEADER_TIMEOUT", "1h"),
    ]);
    let before = most_memory(app.pid());
    let mut connections: Vec<_> = (0..900).map(|_| Connection::open(app.api)).collect();
    let head = b"GET /hello/alice HTTP/1.1\r\nhost: test\r\nx: ";
    let rest = [b'a'; 7_800];
    for part in [&head[..], &rest, &rest, &rest[..7_000]] {
        // Those that came last have taken the seats of others.
        connections
            .iter_mut()
            .for_each(|connection| drop(connection.send(part)));
    }
    // All was read once that uses no more memory.
    let (mut most, mut same) = (0, 0);
    while same < 50 {
        assert_eq!(app.get("/hello/nobody").status, 404);
        let now = most_memory(app.pid());
        same = if now == most { same + 1 } else { 0 };
        most = now;
    }
    let heads = most - before;
    eprintln!("{} MiB", heads / MIB);
    assert!(heads < 30 * MIB, "{} MiB", heads / MIB);
}
