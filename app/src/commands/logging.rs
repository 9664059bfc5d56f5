//! The log of a command.

use crate::config::LogOptions;
use crate::telemetry::{LogSink, init_logging, log_panics};

/// The log is written until the returned value is dropped.
pub(super) fn start_logging(options: &LogOptions) -> std::io::Result<LogSink> {
    let sink = LogSink::new(std::io::stderr(), options.log_format)?;
    init_logging(&sink, options.log_level, options.log_format);
    log_panics();
    Ok(sink)
}
