//! The handler as a whole: its size, and what happens when it panics.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::domain::{
    Calendar, DateOfBirth, Friendship, LeapDay, NameRange, Pair, SystemClock, Username,
    UsernameRule,
};
use crate::lifecycle::{self, PhaseControl};
use crate::serving::{ConnectionLimits, Listener, Timeouts};
use crate::store::people::{
    Asked, BirthdaySpan, Friend, FriendList, Friendships, Person, UnknownUser, Users,
};
use crate::store::{Birthdays, Health, Precondition, Store, StoreFuture};
use crate::telemetry::{Metrics, MetricsFormat};

/// The future of a request is moved into the connection's task whole, whatever it uses.
#[test]
fn a_request_takes_little_room() {
    type Body = futures::stream::Empty<Result<Bytes, warp::Error>>;
    fn size<A>(_: impl Fn(&'static Api, &'static RequestHead, Body) -> A) -> usize {
        size_of::<A>()
    }
    let size = size(|api, head, body| api.handle(head, body));
    // The body is borrowed: a real one is larger than what its pointers take here.
    assert!(size <= 704, "{size} bytes");
}

/// A store that panics over every name, with the name in its message.
struct Panicking;

fn panicking<'a, T>(what: impl std::fmt::Debug + Send + 'a) -> StoreFuture<'a, T> {
    Box::pin(async move { panic!("the store breaks over {what:?}") })
}

impl Birthdays for Panicking {
    fn get(&self, username: Username) -> StoreFuture<'_, Option<DateOfBirth>> {
        panicking(username)
    }

    fn put(&self, username: Username, _: DateOfBirth) -> StoreFuture<'_, ()> {
        panic!("the store breaks over {username:?} at once")
    }

    fn delete(&self, username: Username) -> StoreFuture<'_, ()> {
        panicking(username)
    }

    fn change_if(
        &self,
        username: Username,
        _: Option<DateOfBirth>,
        _: Precondition,
    ) -> StoreFuture<'_, bool> {
        panicking(username)
    }
}

impl Users for Panicking {
    fn users(&self, range: NameRange, _: u32) -> StoreFuture<'_, Vec<Person>> {
        panicking(range)
    }

    fn birthdays(&self, span: BirthdaySpan, _: u32) -> StoreFuture<'_, Vec<Person>> {
        panicking(span)
    }
}

impl Friendships for Panicking {
    fn befriend(&self, pair: Pair) -> StoreFuture<'_, Result<Asked, UnknownUser>> {
        panicking(pair)
    }

    fn friendship(&self, pair: Pair) -> StoreFuture<'_, Result<Option<Friendship>, UnknownUser>> {
        panicking(pair)
    }

    fn unfriend(&self, pair: Pair) -> StoreFuture<'_, ()> {
        panicking(pair)
    }

    fn friends(&self, list: FriendList) -> StoreFuture<'_, Result<Vec<Friend>, UnknownUser>> {
        panicking(list)
    }

    fn friend_birthdays(
        &self,
        of: Username,
        _: BirthdaySpan,
        _: u32,
    ) -> StoreFuture<'_, Result<Vec<Person>, UnknownUser>> {
        panicking(of)
    }
}

impl Store for Panicking {
    fn health(&self) -> Health {
        Health::Ready
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Serves the API over the panicking store; returns a connection to it.
async fn serve(metrics: &Metrics) -> (TcpStream, PhaseControl) {
    let (control, phase) = lifecycle::phases();
    let api = Arc::new(Api {
        store: Arc::new(Panicking),
        calendar: Calendar::new(Arc::new(SystemClock), jiff::tz::TimeZone::UTC),
        leap_day: LeapDay::default(),
        usernames: UsernameRule::default(),
        authenticator: None,
        body_timeout: Duration::from_secs(10),
        rate_limit: None,
        cors: None,
        request_ids: None,
        metrics: metrics.http.clone(),
        access_log: None,
        #[cfg(feature = "otlp")]
        spans: None,
        phase: phase.clone(),
    });
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener {
        limits: ConnectionLimits {
            max_connections: 8,
            max_connections_per_client: None,
            timeouts: Timeouts {
                header: Duration::from_secs(10),
                idle: Duration::from_secs(10),
                answer: Duration::from_secs(10),
            },
            max_untaken_bytes: 1 << 20,
            max_header_bytes: 16 << 10,
            drain_timeout: Duration::from_secs(10),
        },
        tls: None,
        explain: explain_unreadable,
        phase,
        open: Gauge::default(),
    };
    tokio::spawn(listener.serve(socket, filter(api)));
    (TcpStream::connect(address).await.unwrap(), control)
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_and_its_connection_goes_on() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let metrics = Metrics::new(&Route::templates());
    let (stream, _control) = serve(&metrics).await;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for (method, target, status) in [
        ("GET", "/hello/alice", 500),
        ("PUT", "/hello/alice", 500),
        ("GET", "/users?prefix=alice", 500),
        ("PUT", "/users/alice/friends/bob", 500),
        ("GET", "/docs", 200),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(target)
            .header("host", "test")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(r#"{"dateOfBirth":"1990-01-01"}"#)))
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {target}");
        let body = response.collect().await.unwrap().to_bytes();
        if status == 500 {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["type"], "/problems/internal-error");
            assert!(!body.to_string().contains("alice"), "{body}");
        }
    }
    let text = metrics.encode(MetricsFormat::OpenMetrics);
    for line in [
        "hello_http_handler_panics_total 4",
        "hello_http_requests_in_flight 0",
        r#"hello_http_requests_total{method="GET",route="/hello/{username}",status="500"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("a handler panicked").count(), 4, "{log}");
    assert!(
        log.contains("ERROR") && log.contains("/hello/{username}"),
        "{log}"
    );
    assert!(!log.contains("alice"), "{log}");
}
