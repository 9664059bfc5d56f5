//! One line a request: method, route template, status and time. Never a path, a name or a date.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};

use super::log::{LineWriter, LogFormat};

/// Writes a line for each answered request.
///
/// It formats by hand: the tracing machinery would take a fifth of a request's whole time.
#[derive(Debug, Clone)]
pub struct AccessLog {
    writer: LineWriter,
    format: LogFormat,
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

    /// Writes the line of one request that took `elapsed`.
    pub fn record(&self, method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.format(self.format, Utc::now(), method, route, status, elapsed);
            self.writer.line(scratch.line.as_bytes());
        });
    }
}

impl Scratch {
    fn format(
        &mut self,
        format: LogFormat,
        now: DateTime<Utc>,
        method: &Method,
        route: &str,
        status: StatusCode,
        elapsed: Duration,
    ) {
        if self.second != now.timestamp() {
            self.second = now.timestamp();
            self.timestamp = now.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        let (timestamp, micros) = (&self.timestamp, now.timestamp_subsec_micros());
        let level = if status.is_server_error() {
            "WARN"
        } else {
            "INFO"
        };
        // A method is a client's own text: unknown ones are not repeated.
        let method = known_method(method);
        let (status, elapsed) = (status.as_u16(), elapsed.as_micros());
        self.line.clear();
        // Writing into a String cannot fail.
        let _ = match format {
            LogFormat::Text => writeln!(
                self.line,
                "{timestamp}.{micros:06}Z  {level} request method={method} route={route} \
                 status={status} duration_us={elapsed}",
            ),
            LogFormat::Json => writeln!(
                self.line,
                "{{\"timestamp\":\"{timestamp}.{micros:06}Z\",\"level\":\"{level}\",\
                 \"message\":\"request\",\"method\":\"{method}\",\"route\":\"{route}\",\
                 \"status\":{status},\"duration_us\":{elapsed}}}",
            ),
        };
    }
}

/// The method's name, or one word for all that HTTP does not define.
pub fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, method: &[u8], status: u16) -> String {
        let mut scratch = Scratch {
            line: String::new(),
            second: i64::MIN,
            timestamp: String::new(),
        };
        scratch.format(
            format,
            "2026-11-21T10:20:30.000045Z".parse().unwrap(),
            &Method::from_bytes(method).unwrap(),
            "/hello/{username}",
            StatusCode::from_u16(status).unwrap(),
            Duration::from_micros(153),
        );
        scratch.line
    }

    #[test]
    fn writes_json_and_text() {
        let json: serde_json::Value =
            serde_json::from_str(&line(LogFormat::Json, b"GET", 200)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "timestamp": "2026-11-21T10:20:30.000045Z", "level": "INFO", "message": "request",
                "method": "GET", "route": "/hello/{username}", "status": 200, "duration_us": 153,
            })
        );
        assert_eq!(
            line(LogFormat::Text, b"PUT", 503),
            "2026-11-21T10:20:30.000045Z  WARN request method=PUT route=/hello/{username} \
             status=503 duration_us=153\n"
        );
    }

    #[test]
    fn does_not_repeat_an_unknown_method() {
        assert!(line(LogFormat::Json, b"SECRET", 405).contains("\"method\":\"OTHER\""));
    }
}
