//! Spans, as a collector receives them.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::{PARENT, TRACE, requests};
use crate::support::app::{App, command};
use crate::support::authority::Authority;
use crate::support::collector::{Collector, attribute};
use crate::support::{LONG, eventually};

const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EMBEDDED: (&str, &str) = ("DATABASE_URL", "sqlite::memory:");

/// The spans, once there are at least this many.
fn spans(collector: &Collector, count: usize) -> Vec<Span> {
    eventually("the spans arrive", LONG, || {
        collector.spans().len() >= count
    });
    let spans: Vec<_> = collector
        .spans()
        .into_iter()
        .map(|(_, span)| span)
        .collect();
    assert_eq!(spans.len(), count, "{spans:?}");
    spans
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_is_a_span_in_the_trace_of_its_sender() {
    let collector = Collector::start();
    let app = App::ready(&[
        EMBEDDED,
        SOON,
        (ENDPOINT, &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
    ]);
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=value")];
    let answer = app.request("GET", "/hello/zaphod?secret", &headers, b"");
    assert_eq!(answer.status, 404);
    let span = spans(&collector, 1).remove(0);
    assert_eq!(hexadecimal(&span.trace_id), TRACE);
    assert_eq!(hexadecimal(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.trace_state, "vendor=value");
    assert_eq!(span.name, "GET /hello/{username}");
    assert_eq!(span.kind, SpanKind::Server as i32);
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/hello/{username}"),
        ("http.response.status_code", "404"),
    ] {
        assert_eq!(attribute(&span.attributes, name).as_deref(), Some(value));
    }
    // A wrong request is no error of the service.
    assert_eq!(
        span.status.unwrap_or_default().code,
        StatusCode::Unset as i32
    );
    let (resource, _) = collector.spans().remove(0);
    for (name, value) in [
        ("service.name", "hello-app"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(attribute(&resource, name).as_deref(), Some(value));
    }
    let export = collector.exports().remove(0);
    assert!(export.head.starts_with("post /v1/traces http/1.1\r\n"));
    for header in [
        "content-type: application/x-protobuf",
        "authorization: bearer abc",
    ] {
        assert!(export.head.contains(header), "{}", export.head);
    }
    let text = String::from_utf8_lossy(&export.body);
    assert!(!text.contains("zaphod") && !text.contains("secret"));
    assert_eq!(requests(&app, 1)[0]["trace_id"], TRACE);
}

#[test]
fn a_request_without_a_trace_begins_one() {
    let collector = Collector::start();
    let app = App::start(&[
        ("DATABASE_URL", "postgres://user@127.0.0.1:1/nowhere"),
        SOON,
        (ENDPOINT, &collector.url),
        ("OTEL_SERVICE_NAME", "greeter"),
    ]);
    let invalid = [("traceparent", "00-0-0-0")];
    assert_eq!(app.request("GET", "/hello/a", &invalid, b"").status, 503);
    assert_eq!(app.request("BREW", "/elsewhere", &[], b"").status, 404);
    let spans = spans(&collector, 2);
    let lines = requests(&app, 2);
    for (span, line) in spans.iter().zip(&lines) {
        assert_eq!(line["trace_id"], hexadecimal(&span.trace_id));
        assert!(span.parent_span_id.is_empty());
    }
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
    assert_eq!(
        spans[0].status.as_ref().unwrap().code,
        StatusCode::Error as i32
    );
    assert_eq!(
        attribute(&spans[0].attributes, "error.type").as_deref(),
        Some("503")
    );
    assert_eq!(spans[1].name, "HTTP");
    assert_eq!(attribute(&spans[1].attributes, "http.route"), None);
    let (resource, _) = collector.spans().remove(0);
    assert_eq!(
        attribute(&resource, "service.name").as_deref(),
        Some("greeter")
    );
}

#[test]
fn what_the_sender_does_not_record_is_not_exported() {
    let collector = Collector::start();
    let app = App::ready(&[EMBEDDED, SOON, (ENDPOINT, &collector.url)]);
    let unsampled = PARENT.replace("-01", "-00");
    for parent in [unsampled.as_str(), PARENT] {
        app.request("GET", "/users", &[("traceparent", parent)], b"");
    }
    assert_eq!(spans(&collector, 1)[0].flags & 1, 1);
    for line in requests(&app, 2) {
        assert_eq!(line["trace_id"], TRACE);
    }
}

#[test]
fn the_environment_chooses_the_sampler() {
    let collector = Collector::start();
    let mut app = App::ready(&[
        EMBEDDED,
        (ENDPOINT, &collector.url),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ]);
    app.get("/users");
    app.request("GET", "/users", &[("traceparent", PARENT)], b"");
    let lines = requests(&app, 2);
    assert_eq!(lines[0].get("trace_id"), None, "the trace is not exported");
    app.signal("-TERM");
    assert!(app.wait().success());
    assert_eq!(spans(&collector, 1).len(), 1);
}

#[test]
fn the_last_spans_are_exported_at_the_end() {
    let collector = Collector::start();
    let mut app = App::ready(&[
        EMBEDDED,
        (ENDPOINT, &collector.url),
        ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
    ]);
    for _ in 0..3 {
        app.get("/users");
    }
    assert_eq!(collector.spans().len(), 0);
    app.signal("-TERM");
    assert!(app.wait().success());
    spans(&collector, 3);
}

#[test]
fn a_collector_that_is_unavailable_does_no_harm() {
    let mut app = App::ready(&[EMBEDDED, SOON, (ENDPOINT, "http://127.0.0.1:1")]);
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(app.get("/hello/alice").status, 404);
    }
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    app.signal("-TERM");
    let started = Instant::now();
    assert!(app.wait().success());
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    assert!(app.log().contains("\"WARN\"") || app.log().contains("\"ERROR\""));
}

#[test]
fn an_overloaded_collector_gets_the_spans_later() {
    let collector = Collector::start();
    collector.overload(true);
    let app = App::ready(&[EMBEDDED, SOON, (ENDPOINT, &collector.url)]);
    app.get("/users");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(collector.spans().len(), 0);
    collector.overload(false);
    spans(&collector, 1);
}

#[test]
fn spans_go_over_tls_to_a_collector_that_is_trusted() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let collector = Collector::start_tls(&own.server(&["localhost"]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let serve = |authority: &Authority| {
        std::fs::write(&path, authority.pem()).unwrap();
        let file = path.to_str().unwrap();
        let mut app = App::ready(&[
            EMBEDDED,
            (ENDPOINT, &collector.url),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", file),
        ]);
        app.get("/users");
        app.signal("-TERM");
        assert!(app.wait().success());
    };
    serve(&other);
    assert_eq!(collector.spans().len(), 0);
    serve(&own);
    spans(&collector, 1);
}

#[test]
fn nothing_is_exported_by_default() {
    let collector = Collector::start();
    for variables in [
        [(ENDPOINT, ""), SOON],
        [(ENDPOINT, &collector.url), ("OTEL_SDK_DISABLED", "true")],
        [(ENDPOINT, &collector.url), ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let mut app = App::ready(&[EMBEDDED, variables[0], variables[1]]);
        app.get("/users");
        assert_eq!(requests(&app, 1)[0].get("trace_id"), None);
        app.signal("-TERM");
        assert!(app.wait().success());
        assert_eq!(collector.exports().len(), 0, "{variables:?}");
    }
}

#[test]
fn wrong_settings_are_errors_at_the_start() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not a url"),
    ] {
        let output = command(&["serve"])
            .envs([
                EMBEDDED,
                (ENDPOINT, "http://127.0.0.1:1"),
                (variable, value),
            ])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{variable}: {error}");
        assert!(error.contains(variable), "{variable}: {error}");
    }
}
