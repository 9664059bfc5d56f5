//! What operators see of the service: log lines and metrics, neither with personal data.

mod access_log;
mod log;
mod metrics;

pub use access_log::AccessLog;
pub use log::{LogFormat, LogSink, init_logging};
pub use metrics::{HttpMetrics, Metrics, StoreMetrics};
