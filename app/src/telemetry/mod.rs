//! What operators see of the service: log lines, metrics and traces, none with personal data.

mod access_log;
mod log;
mod metrics;
#[cfg(feature = "otlp")]
mod spans;
mod trace_context;

pub use access_log::{AccessLog, Entry};
pub use log::{LogFormat, LogSink, init_logging};
pub use metrics::{HttpMetrics, Metrics, StoreMetrics};
#[cfg(feature = "otlp")]
pub use spans::{RequestSpan, Spans, SpansError};
pub use trace_context::{TraceId, TraceParent};
