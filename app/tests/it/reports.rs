//! What the service reports of itself: ids of requests, formats of metrics, reasons of refusals.

use sqlx::{ConnectOptions, Connection as _};

use crate::support::app::App;
use crate::support::client::Connection;
use crate::support::{LONG, eventually};

const ID: &str = "x-request-id";

/// Waits for the log line of the request with this id.
fn logged(app: &App, id: &str) -> serde_json::Value {
    let line = || {
        let log = app.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .into_iter()
            .find(|line: &serde_json::Value| line["request_id"] == id)
    };
    eventually("the request is logged", LONG, || line().is_some());
    line().unwrap()
}

#[test]
fn a_request_has_one_id_in_its_answer_its_problem_and_the_log() {
    let app = App::sqlite();
    app.put_date("/hello/alice", "1990-01-01");
    for (target, status) in [
        ("/hello/alice", 200),
        ("/hello/nobody", 404),
        ("/users", 200),
        ("/nowhere", 404),
    ] {
        let own = format!("7f3c-{}", target.len());
        let answer = app.request("GET", target, &[(ID, &own)], b"");
        assert_eq!((answer.status, answer.header(ID)), (status, Some(&*own)));
        assert_eq!(logged(&app, &own)["status"], status);
        if status == 404 {
            assert_eq!(answer.json()["requestId"], own);
        }
        let answer = app.get(target);
        let made = answer.header(ID).unwrap().to_owned();
        assert_eq!(logged(&app, &made)["status"], status);
        if status == 404 {
            assert_eq!(answer.json()["requestId"], made);
        }
        assert_ne!(app.get(target).header(ID).unwrap(), made);
    }
    // What could break a log or a header is not taken over.
    for unsound in ["a b", "x\"}", "", "a\tb", &"x".repeat(129)] {
        let answer = app.request("GET", "/hello/alice", &[(ID, unsound)], b"");
        assert_ne!(answer.header(ID).unwrap(), unsound);
    }
    let off = App::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("HELLO_REQUEST_ID", "false"),
    ]);
    let answer = off.request("GET", "/hello/nobody", &[(ID, "7f3c")], b"");
    assert_eq!(answer.header(ID), None);
    assert!(answer.json().get("requestId").is_none());
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let app = App::sqlite();
    app.get("/hello/alice");
    let get = |accept: &str| {
        Connection::open(app.admin).request("GET", "/metrics", &[("accept", accept)], b"")
    };
    let open = get("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.text().ends_with("# EOF\n"));
    assert!(open.text().contains("# TYPE hello_http_requests counter\n"));
    for plain in [get("text/plain"), get("*/*"), app.admin("/metrics")] {
        assert_eq!(
            plain.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        assert!(
            plain
                .text()
                .contains("# TYPE hello_http_requests_total counter\n")
        );
        assert!(plain.text().contains("# TYPE hello_build_info gauge\n"));
        assert!(!plain.text().contains("# EOF"));
    }
}

#[tokio::test]
async fn the_reason_of_a_write_that_sqlite_refuses_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.db");
    let app = App::ready(&[("DATABASE_URL", &format!("sqlite://{}", file.display()))]);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let mut connection = options.connect().await.unwrap();
    let trigger = "CREATE TRIGGER tired BEFORE INSERT ON users \
                   BEGIN SELECT RAISE(ABORT, 'the disk is tired'); END";
    sqlx::query(trigger).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let answer = app.put_date("/hello/alice", "1990-01-01");
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("tired"), "{}", answer.text());
    eventually("the reason is logged", LONG, || {
        app.log().contains("the disk is tired")
    });
    assert_eq!(app.get("/hello/alice").status, 404);
}
