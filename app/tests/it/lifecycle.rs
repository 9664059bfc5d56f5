//! Starting, draining, stopping, and what the admin listener reports meanwhile.

use std::time::{Duration, Instant};

use crate::support::app::{App, JSON, command};
use crate::support::client::{Connection, request_bytes};
use crate::support::{LONG, eventually, postgres, succeed};

#[test]
fn sigterm_drains_without_losing_a_request() {
    let mut app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_DRAIN_DELAY", "700ms"),
        ("HELLO_DRAIN_TIMEOUT", "5s"),
    ]);
    let mut idle = Connection::open(app.api);
    assert_eq!(idle.request("GET", "/hello/alice", &[], b"").status, 404);
    app.signal("-TERM");
    eventually("readiness is withdrawn", LONG, || {
        app.admin("/readyz").status == 503
    });
    assert_eq!(app.admin("/livez").status, 200);
    // Still served, but asked to close the connection.
    let answer = app.put_date("/hello/alice", "1990-01-01");
    assert_eq!(
        (answer.status, answer.header("connection")),
        (204, Some("close"))
    );
    // A request in progress when the listener closes is completed.
    let mut slow = Connection::open(app.api);
    let request = request_bytes(
        "PUT",
        "/hello/bob",
        &[JSON],
        br#"{"dateOfBirth":"1990-01-01"}"#,
    );
    slow.send(&request[..request.len() - 5]).unwrap();
    eventually("no new connection is accepted", LONG, || {
        std::net::TcpStream::connect(app.api).is_err()
    });
    assert!(idle.is_closed());
    slow.send(&request[request.len() - 5..]).unwrap();
    let answer = slow.read(false).unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (204, Some("close"))
    );
    assert_eq!(app.wait().code(), Some(0));
    eventually("the end is logged", LONG, || app.log().contains("stopped"));
}

/// Whoever presses Ctrl-C again does not want to wait.
#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    for first in ["-INT", "-TERM"] {
        let mut app = App::ready(&[
            ("DATABASE_URL", "sqlite::memory:"),
            ("HELLO_DRAIN_DELAY", "1h"),
            ("HELLO_DRAIN_TIMEOUT", "1h"),
            ("HELLO_BODY_TIMEOUT", "1h"),
        ]);
        let mut stuck = Connection::open(app.api);
        stuck
            .send(b"PUT /hello/alice HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 28\r\n\r\n")
            .unwrap();
        assert_eq!(stuck.read(true).unwrap().status, 100);
        app.signal(first);
        eventually("the end has begun", LONG, || {
            app.log().contains("draining") || app.log().contains("stopping")
        });
        app.signal("-INT");
        assert_eq!(app.wait().code(), Some(0), "{first}");
        stuck.wait_for_close();
    }
}

#[test]
fn a_stuck_request_does_not_hold_up_the_end() {
    let mut app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_DRAIN_TIMEOUT", "300ms"),
    ]);
    let mut stuck = Connection::open(app.api);
    let head = request_bytes("PUT", "/hello/bob", &[JSON, ("content-length", "28")], b"");
    stuck.send(&head).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    app.signal("-TERM");
    assert_eq!(app.wait().code(), Some(0));
    // Not the usual time, which is longer than that.
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn ctrl_c_does_not_wait_for_load_balancers() {
    let mut app = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_DRAIN_DELAY", "60s"),
    ]);
    app.signal("-INT");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn waits_for_the_schema() {
    let server = postgres::shared();
    server.sql(
        "postgres",
        &format!("CREATE DATABASE unmigrated OWNER {}", postgres::OWNER),
    );
    let url = server.url(postgres::OWNER, "unmigrated");
    let app = App::start(&[("DATABASE_URL", &url)]);
    assert_eq!(app.admin("/startupz").status, 503);
    assert_eq!(app.admin("/readyz").status, 503);
    assert_eq!(app.admin("/livez").status, 200);
    let answer = app.get("/hello/alice");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    succeed(command(&["migrate"]).env("DATABASE_URL", &url));
    eventually("the service sees the schema", LONG, || {
        app.admin("/startupz").status == 200 && app.admin("/readyz").status == 200
    });
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
}

#[test]
fn serves_on_a_schema_newer_than_itself() {
    let database = postgres::database();
    let server = postgres::shared();
    server.sql(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', true, '', 0)",
    );
    let app = App::ready(&[("DATABASE_URL", &server.url(postgres::OWNER, &database))]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
}

#[test]
fn serves_with_the_rights_of_the_app_role_only() {
    let database = postgres::database();
    let server = postgres::shared();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    succeed(
        command(&["migrate", "--app-role-password-file"])
            .arg(&password)
            .env("DATABASE_URL", server.url(postgres::OWNER, &database)),
    );
    let app = App::ready(&[("DATABASE_URL", &server.url("hello_app", &database))]);
    assert_eq!(app.put_date("/hello/alice", "1990-01-01").status, 204);
    assert_eq!(app.get("/hello/alice").status, 200);
    assert_eq!(app.request("DELETE", "/hello/alice", &[], b"").status, 204);
}

#[test]
fn metrics_and_log_name_routes_and_no_users() {
    let app = App::postgres();
    app.put_date("/hello/zaphod", "1990-01-01");
    app.get("/hello/zaphod?secret=1");
    app.get("/hello/zaphod1");
    app.get("/elsewhere/zaphod");
    let answer = app.admin("/metrics");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = answer.text();
    for line in [
        r#"hello_http_requests_total{method="PUT",route="/hello/{username}",status="204"} 1"#,
        r#"hello_http_requests_total{method="GET",route="/hello/{username}",status="200"} 1"#,
        r#"hello_http_requests_total{method="GET",route="/hello/{username}",status="400"} 1"#,
        r#"hello_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"hello_store_batch_size_count{kind="write"} 1"#,
        "hello_http_requests_in_flight 0",
        "hello_store_ready 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    eventually("the log lines are written", LONG, || {
        app.log().matches("\"message\":\"request\"").count() == 4
    });
    let log = app.log();
    for secret in ["zaphod", "1990", "secret"] {
        assert!(
            !log.contains(secret) && !text.contains(secret),
            "{secret} is in\n{log}"
        );
    }
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn the_admin_listener_knows_its_paths() {
    let app = App::sqlite();
    assert_eq!(app.admin("/nowhere").status, 404);
    let mut connection = Connection::open(app.admin);
    assert_eq!(connection.request("HEAD", "/readyz", &[], b"").status, 200);
    let answer = connection.request("POST", "/readyz", &[], b"");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(app.get("/readyz").status, 404, "health is not public");
}

#[test]
fn healthcheck_reports_by_its_exit_code() {
    let app = App::sqlite();
    let check = |address: &str| {
        command(&["healthcheck", "--admin-listen", address])
            .output()
            .unwrap()
    };
    assert!(check(&app.admin.to_string()).status.success());
    for anywhere in ["0.0.0.0", "[::]"] {
        let anywhere = format!("{anywhere}:{}", app.admin.port());
        assert!(check(&anywhere).status.success());
    }
    assert!(!check("127.0.0.1:1").status.success());
    let away = App::start(&[("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/db")]);
    let output = check(&away.admin.to_string());
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("waiting for a migrated database"));
}

#[test]
fn configuration_mistakes_are_reported_at_once_and_without_secrets() {
    let output = command(&["serve"])
        .env("DATABASE_URL", "mysql://user:s3cret@host/db")
        .env("HELLO_LISTEN", "here")
        .env("HELLO_LEAP_DAY", "mar2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    for name in ["DATABASE_URL", "HELLO_LISTEN", "HELLO_LEAP_DAY"] {
        assert!(error.contains(name), "{error}");
    }
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_taken_port_is_reported() {
    let app = App::sqlite();
    let output = command(&["serve"])
        .env("DATABASE_URL", "sqlite::memory:")
        .env("HELLO_LISTEN", app.api.to_string())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&app.api.to_string()));
}

#[test]
fn without_a_database_url_a_file_in_the_data_folder_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let date = {
        let app = App::ready(&[("XDG_DATA_HOME", home)]);
        app.put_date("/hello/alice", "1990-01-01").status
    };
    assert_eq!(date, 204);
    assert!(folder.path().join("hello/hello.db").exists());
    // An acknowledged write survives even a kill.
    let app = App::ready(&[("XDG_DATA_HOME", home)]);
    assert_eq!(app.get("/hello/alice").status, 200);
}

#[test]
fn options_that_are_refused_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let status = command(&["serve"])
        .env("XDG_DATA_HOME", folder.path())
        .env("HELLO_LISTEN", "nonsense")
        .status()
        .unwrap();
    assert!(!status.success());
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    // A place where no folder can be made.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = command(&["serve"])
        .env("XDG_DATA_HOME", &file)
        .env("HELLO_LISTEN", "127.0.0.1:0")
        .env("HELLO_ADMIN_LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("file/hello cannot be made"),
        "{text}"
    );
}
