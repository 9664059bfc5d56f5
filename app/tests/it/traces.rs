//! Trace context of requests, and spans that are exported to a collector.

#[cfg(feature = "otlp")]
mod export;

use serde_json::Value;

use crate::support::app::App;
use crate::support::client::Connection;
use crate::support::{LONG, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The lines of the access log, once there are at least this many.
fn requests(app: &App, count: usize) -> Vec<Value> {
    let lines = || {
        let log = app.log();
        let lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["message"] == "request")
            .collect::<Vec<_>>()
    };
    eventually("the lines are written", LONG, || lines().len() == count);
    lines()
}

#[test]
fn the_log_has_the_trace_of_a_request() {
    let app = App::sqlite();
    let traced = app.request("GET", "/hello/nobody", &[("traceparent", PARENT)], b"");
    assert_eq!(traced.status, 404);
    assert_eq!(app.get("/hello/nobody").status, 404);
    let lines = requests(&app, 2);
    assert_eq!(lines[0]["trace_id"], TRACE);
    assert_eq!(lines[1].get("trace_id"), None);
}

#[test]
fn a_trace_context_that_is_not_valid_is_ignored() {
    let app = App::sqlite();
    let mut connection = Connection::open(app.api);
    let upper = PARENT.to_uppercase();
    let none = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    let long = format!("{PARENT}{}", "-00".repeat(2000));
    let invalid = [
        upper.as_str(),
        &none,
        &long,
        "",
        "\"} injected",
        "00-caf\u{e9}",
    ];
    for value in invalid {
        let headers = [("traceparent", value), ("tracestate", "=,=")];
        let answer = connection.request("GET", "/hello/nobody", &headers, b"");
        assert_eq!(answer.status, 404, "{value}");
    }
    let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
    let answer = connection.request("GET", "/hello/nobody", &twice, b"");
    assert_eq!(answer.status, 404);
    for line in requests(&app, invalid.len() + 1) {
        assert_eq!(line.get("trace_id"), None, "{line}");
    }
}
