//! What is logged, and how.

use super::check::choice;
use super::group::option_group;
use super::option::value;
use crate::telemetry::LogFormat;

option_group! {
    /// What is logged, and how.
    "Log" => pub struct LogOptions {
        /// Lowest level that is logged.
        log_level: tracing::Level = value(
            "HELLO_LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`", choice),
        /// Format of log lines.
        log_format: LogFormat = value("HELLO_LOG_FORMAT", "text", "`text` or `json`", choice),
    }
}
