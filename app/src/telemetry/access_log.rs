//! One line for each request: method, route template, status and time. Never a path, a name or a date.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};

use super::logging::{LineWriter, LogFormat};
use super::method::known_method;
use super::trace_context::TraceId;

/// Writes a line for each answered request.
///
/// It formats by hand, because `tracing` would take a fifth of the time of a request.
#[derive(Debug, Clone)]
pub struct AccessLog {
    writer: LineWriter,
    format: LogFormat,
}

/// One answered request.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its route without parameters.
    pub route: &'a str,
    /// The status of its response.
    pub status: StatusCode,
    /// The time from its head to its response.
    pub elapsed: Duration,
    /// The trace that it is part of.
    pub trace: Option<TraceId>,
    /// Its id: letters, digits and signs that need no escaping.
    pub request_id: Option<&'a str>,
}

/// Buffers that each thread keeps: the line, and the timestamp down to the second.
struct Scratch {
    line: String,
    second: i64,
    timestamp: String,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { line: String::new(), second: i64::MIN, timestamp: String::new() })
    };
}

impl AccessLog {
    /// A log that writes lines in `format` to `writer`.
    pub fn new(writer: LineWriter, format: LogFormat) -> Self {
        Self { writer, format }
    }

    /// Writes the line of one request.
    pub fn record(&self, entry: Entry<'_>) {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.format(self.format, Utc::now(), entry);
            self.writer.line(scratch.line.as_bytes());
        });
    }
}

impl Scratch {
    fn format(&mut self, format: LogFormat, now: DateTime<Utc>, entry: Entry<'_>) {
        if self.second != now.timestamp() {
            self.second = now.timestamp();
            self.timestamp = now.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        let Entry {
            route,
            status,
            trace,
            request_id,
            ..
        } = entry;
        let (timestamp, micros) = (&self.timestamp, now.timestamp_subsec_micros());
        let level = if status.is_server_error() {
            "WARN"
        } else {
            "INFO"
        };
        let method = known_method(entry.method);
        let (status, elapsed) = (status.as_u16(), entry.elapsed.as_micros());
        let line = &mut self.line;
        line.clear();
        // Writing into a String cannot fail.
        let _ = match format {
            LogFormat::Text => write!(
                line,
                "{timestamp}.{micros:06}Z  {level} request method={method} route={route} \
                 status={status} duration_us={elapsed}",
            ),
            LogFormat::Json => write!(
                line,
                "{{\"timestamp\":\"{timestamp}.{micros:06}Z\",\"level\":\"{level}\",\
                 \"message\":\"request\",\"method\":\"{method}\",\"route\":\"{route}\",\
                 \"status\":{status},\"duration_us\":{elapsed}",
            ),
        };
        if let Some(trace) = trace {
            let _ = match format {
                LogFormat::Text => write!(line, " trace_id={trace}"),
                LogFormat::Json => write!(line, ",\"trace_id\":\"{trace}\""),
            };
        }
        if let Some(id) = request_id {
            let _ = match format {
                LogFormat::Text => write!(line, " request_id={id}"),
                LogFormat::Json => write!(line, ",\"request_id\":\"{id}\""),
            };
        }
        line.push_str(match format {
            LogFormat::Text => "\n",
            LogFormat::Json => "}\n",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, method: &[u8], status: u16, trace: Option<TraceId>) -> String {
        let mut scratch = Scratch {
            line: String::new(),
            second: i64::MIN,
            timestamp: String::new(),
        };
        let entry = Entry {
            method: &Method::from_bytes(method).unwrap(),
            route: "/hello/{username}",
            status: StatusCode::from_u16(status).unwrap(),
            elapsed: Duration::from_micros(153),
            trace,
            request_id: trace.map(|_| "7f3c-42"),
        };
        scratch.format(
            format,
            "2026-11-21T10:20:30.000045Z".parse().unwrap(),
            entry,
        );
        scratch.line
    }

    #[test]
    fn writes_json_and_text() {
        let line_of = |trace| line(LogFormat::Json, b"GET", 200, trace);
        let json = |trace| serde_json::from_str::<serde_json::Value>(&line_of(trace)).unwrap();
        let mut expected = serde_json::json!({
            "timestamp": "2026-11-21T10:20:30.000045Z", "level": "INFO", "message": "request",
            "method": "GET", "route": "/hello/{username}", "status": 200, "duration_us": 153,
        });
        assert_eq!(json(None), expected);
        let trace = TraceId::from_bytes(*b"sixteen bytes!!!");
        expected["trace_id"] = "7369787465656e206279746573212121".into();
        expected["request_id"] = "7f3c-42".into();
        assert_eq!(json(Some(trace)), expected);
        assert!(line_of(Some(trace)).ends_with("}\n"));
        let text = "2026-11-21T10:20:30.000045Z  WARN request method=PUT route=/hello/{username} \
                    status=503 duration_us=153";
        assert_eq!(
            line(LogFormat::Text, b"PUT", 503, None),
            format!("{text}\n")
        );
        assert_eq!(
            line(LogFormat::Text, b"PUT", 503, Some(trace)),
            format!("{text} trace_id={trace} request_id=7f3c-42\n")
        );
    }

    #[test]
    fn does_not_repeat_an_unknown_method() {
        assert!(line(LogFormat::Json, b"SECRET", 405, None).contains("\"method\":\"OTHER\""));
    }
}
