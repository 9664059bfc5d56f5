//! Connections: many, idle, encrypted, HTTP/2.

mod memory;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;

use crate::support::app::{App, command};
use crate::support::client::Connection;
use crate::support::postgres::{self, OWNER};
use crate::support::{LONG, eventually, succeed};

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
    let exchange = |number: u32| {
        let mut sender = sender.clone();
        let method = if number.is_multiple_of(2) {
            "GET"
        } else {
            "HEAD"
        };
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
    };
    // From its answer the client knows how many streams it may have at a time; more would be refused, to be tried again.
    exchange(0).await;
    futures::future::join_all((1..400).map(exchange)).await;
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
    assert!(!third.closes_within(Duration::from_secs(1)), "it waits");
    drop(first);
    assert_eq!(third.read(false).unwrap().status, 404);
}

#[test]
fn a_client_has_no_more_connections_than_its_share() {
    let app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_MAX_CONNECTIONS_PER_CLIENT", "2"),
        ("HELLO_BODY_TIMEOUT", "1h"),
    ]);
    let get = b"GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n";
    let head = b"PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 28\r\n\r\n";
    // An open request each: the server asks for the body once it has read the head.
    let busy = || {
        let mut connection = Connection::open(app.api);
        connection.send(head).unwrap();
        assert_eq!(connection.read(true).unwrap().status, 100);
        connection
    };
    let (mut first, second) = (busy(), busy());
    let mut third = Connection::open(app.api);
    let _ = third.send(get);
    third.wait_for_close();
    assert_eq!(app.admin("/livez").status, 200);
    // Once one is idle, it makes room for another.
    first.send(br#"{"dateOfBirth":"1990-01-01"}"#).unwrap();
    assert_eq!(first.read(false).unwrap().status, 204);
    let mut fourth = Connection::open(app.api);
    fourth.send(get).unwrap();
    assert_eq!(fourth.read(false).unwrap().status, 200);
    first.wait_for_close();
    drop(second);
}

/// Work-stealing threads, which small machines do not have.
#[test]
fn several_threads_serve_like_one() {
    let url = postgres::shared().url(OWNER, &postgres::database());
    let app = App::ready(&[("DATABASE_URL", &url), ("HELLO_THREADS", "3")]);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", app.pid())).unwrap();
    let workers = tasks.filter(|task| {
        let name = task.as_ref().unwrap().path().join("comm");
        std::fs::read_to_string(name)
            .unwrap()
            .starts_with("tokio-rt-worker")
    });
    assert_eq!(workers.count(), 3);
    std::thread::scope(|scope| {
        for client in 0..16_u8 {
            let app = &app;
            scope.spawn(move || {
                let name = char::from(b'a' + client);
                for year in 1950..2000 {
                    let path = format!("/hello/{name}");
                    app.put_date(&path, &format!("{year}-01-01"));
                    assert_eq!(app.get(&path).status, 200);
                }
            });
        }
    });
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
fn ten_thousand_idle_connections_do_no_harm() {
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
        // Some send nothing, some stop within a head, some have received their response.
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
    eventually("all are open", LONG, || {
        app.admin("/metrics")
            .text()
            .contains(&format!("hello_http_connections {COUNT}"))
    });
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(app.get("/hello/alice").status, 200);
    }
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    let each = (resident(&app) - before) * 1024 / COUNT as u64;
    println!("memory of an idle connection: {each} bytes");
    // hyper's read buffer is 8 KiB; the rest is the connection's state and its task.
    assert!(each < 24 << 10, "{each} bytes a connection");
}

/// Writes a new certificate for `localhost` and its key; returns the certificate.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let new = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.key"), new.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), new.cert.pem()).unwrap();
    new.cert.der().clone()
}

/// A client that trusts only `certificate`.
fn trusting(certificate: &CertificateDer<'static>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A TLS connection that trusts only `certificate`.
fn connect(
    app: &App,
    certificate: &CertificateDer<'static>,
) -> std::io::Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let name = "localhost".try_into().unwrap();
    let session = rustls::ClientConnection::new(Arc::new(trusting(certificate)), name).unwrap();
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(app.api)?);
    exchange(&mut stream)?;
    Ok(stream)
}

/// One request; fails when it is not answered with 404.
fn exchange(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    stream.write_all(b"GET /hello/alice HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend(&bytes[..length]),
        }
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 404"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

/// A service that speaks TLS with what [`certify`] has put into `folder`.
fn with_tls(folder: &Path, more: &[(&str, &str)]) -> App {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    let mut variables = vec![
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_TLS_CERTIFICATE_FILE", &*certificate),
        ("HELLO_TLS_KEY_FILE", &*key),
    ];
    variables.extend(more);
    App::ready(&variables)
}

#[test]
fn certificates_are_replaced_without_dropping_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let app = with_tls(folder.path(), &[]);
    let mut open = connect(&app, &first).unwrap();
    let second = certify(folder.path());
    eventually("the new certificate is served", LONG, || {
        connect(&app, &second).is_ok()
    });
    assert!(connect(&app, &first).is_err());
    exchange(&mut open).unwrap();
    // A certificate that cannot be used is not loaded.
    std::fs::write(folder.path().join("tls.crt"), "nonsense").unwrap();
    eventually("the log reports it", LONG, || {
        app.log().contains("keeping the old certificate")
    });
    connect(&app, &second).unwrap();
    exchange(&mut open).unwrap();
}

#[test]
fn a_certificate_that_cannot_be_used_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let serve = |certificate: &Path, key: Option<&Path>| {
        let output = command(&["serve"])
            .env("DATABASE_URL", "sqlite::memory:")
            .env("HELLO_LISTEN", "127.0.0.1:0")
            .env("HELLO_ADMIN_LISTEN", "127.0.0.1:0")
            .env("HELLO_TLS_CERTIFICATE_FILE", certificate)
            .envs(key.map(|key| ("HELLO_TLS_KEY_FILE", key)))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    assert!(serve(Path::new("/nonexistent"), Some(&key)).contains("/nonexistent"));
    assert!(serve(&certificate, None).contains("needs --tls-key-file"));
    assert!(serve(&certificate, Some(&certificate)).contains("tls.crt"));
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    assert!(serve(&certificate, Some(&other.path().join("tls.key"))).contains("cannot be used"));
}

#[test]
fn a_certificate_that_hangs_holds_up_neither_requests_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let mut app = with_tls(folder.path(), &[]);
    let pipe = folder.path().join("pipe");
    succeed(Command::new("mkfifo").arg(&pipe));
    std::fs::rename(&pipe, folder.path().join("tls.crt")).unwrap();
    eventually("it is noticed", LONG, || {
        app.log().contains("not read within")
    });
    connect(&app, &certificate).unwrap();
    app.signal("-TERM");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn clients_that_do_no_tls_handshake_are_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let app = with_tls(folder.path(), &[("HELLO_HEADER_TIMEOUT", "300ms")]);
    let silent = Connection::open(app.api);
    let mut plain = Connection::open(app.api);
    plain
        .send(b"GET /hello/alice HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    // A busy machine may be too late for one.
    let connects = || connect(&app, &certificate).is_ok();
    eventually("a handshake is done in time", LONG, connects);
    for mut connection in [silent, plain] {
        // Closed, with or without an alert.
        let _ = connection.read(false);
        assert!(connection.is_closed());
    }
    eventually("a handshake is done in time", LONG, connects);
}

#[tokio::test]
async fn http2_is_agreed_on_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let app = with_tls(folder.path(), &[]);
    let mut config = trusting(&certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(app.api).await.unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("https://localhost/hello/alice")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 404);
}

/// On both listeners; the orchestrator restarts a pod whose probes get no answer.
#[test]
fn silent_connections_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("hello.db").display());
    let app = App::ready(&[("DATABASE_URL", &url), ("HELLO_MAX_CONNECTIONS", "50")]);
    let silent = [app.api, app.admin].map(|address| {
        let open = (0..400).map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            // Some say nothing, others never end their heads.
            if number % 2 == 0 {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: ").unwrap();
            }
            stream
        });
        open.collect::<Vec<_>>()
    });
    // Without their turn, they would wait until all of them have been idle for too long: longer than the client waits.
    for _ in 0..20 {
        assert_eq!(app.admin("/livez").status, 200);
        assert_eq!(app.get("/hello/nobody").status, 404);
    }
    drop(silent);
}
