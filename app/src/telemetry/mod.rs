//! What the service reports of itself: log lines, metrics and traces, without personal data.
//! It knows neither routes nor configuration: both are passed in.

mod access_log;
mod logging;
mod method;
mod metrics;
mod panics;
mod request_id;
#[cfg(feature = "otlp")]
mod spans;
mod trace_context;

pub use access_log::{AccessLog, Entry};
pub use logging::{LogFormat, LogSink, init_logging};
pub use metrics::{HttpMetrics, Metrics, MetricsFormat, OidcMetrics, StoreMetrics, UNMATCHED};
pub use panics::{log_panics, panic_message};
pub use request_id::{RequestIds, X_REQUEST_ID};
#[cfg(feature = "otlp")]
pub use spans::{Spans, SpansError};
pub use trace_context::{TraceId, TraceParent};
