//! Prometheus metrics. [`table`] lists them.

mod buckets;
mod format;
mod oidc;
mod requests;
mod store;
mod table;

use std::sync::Arc;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use format::MetricsFormat;
pub use oidc::OidcMetrics;
pub use requests::{HttpMetrics, UNMATCHED};
pub use store::StoreMetrics;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Metrics of the API's requests.
    pub http: Arc<HttpMetrics>,
    /// Metrics of the database.
    pub store: Arc<StoreMetrics>,
    /// Metrics of the issuer of tokens.
    pub oidc: Arc<OidcMetrics>,
}

impl Metrics {
    /// Metrics of an API whose routes have these path templates.
    pub fn new(templates: &[&'static str]) -> Self {
        let mut registry = Registry::with_prefix(table::PREFIX);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        table::BUILD.register(&mut registry, build);
        let http = Arc::new(HttpMetrics::new(&mut registry, templates));
        let store = Arc::new(StoreMetrics::new(&mut registry));
        let oidc = Arc::new(OidcMetrics::new(&mut registry));
        Self {
            registry,
            http,
            store,
            oidc,
        }
    }

    /// The metrics in a format.
    pub fn encode(&self, format: MetricsFormat) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        match format {
            MetricsFormat::OpenMetrics => text,
            MetricsFormat::Prometheus => format::to_prometheus(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};

    use super::*;

    const TEMPLATES: [&str; 2] = ["/hello/{username}", "/users"];

    /// Metrics with a sample of each.
    pub(super) fn every_metric() -> Metrics {
        let metrics = Metrics::new(&TEMPLATES);
        let second = Duration::from_secs(1);
        metrics
            .http
            .record(Some(0), &Method::GET, StatusCode::OK, second);
        metrics.store.statement("write", 1, second);
        metrics.store.not_connected("write", "no_room");
        metrics.store.lacking_rights([("INSERT", "users")]);
        metrics.oidc.fetched(1);
        metrics
    }

    #[test]
    fn counts_by_template_method_and_status() {
        let metrics = Metrics::new(&TEMPLATES);
        let record = |route, method, status| {
            let elapsed = Duration::from_millis(2);
            metrics.http.record(route, &method, status, elapsed);
        };
        record(Some(0), Method::GET, StatusCode::OK);
        record(Some(0), Method::GET, StatusCode::OK);
        record(Some(0), Method::PUT, StatusCode::SERVICE_UNAVAILABLE);
        let unknown = Method::from_bytes(b"BREW").unwrap();
        record(Some(1), unknown, StatusCode::METHOD_NOT_ALLOWED);
        record(None, Method::GET, StatusCode::NOT_FOUND);
        metrics
            .store
            .statement("read", 7, Duration::from_micros(300));
        metrics.store.statement("list", 1, Duration::from_secs(1));
        let open = metrics.store.connected("change");
        drop(metrics.store.connected("read"));
        let text = metrics.encode(MetricsFormat::OpenMetrics);
        drop(open);
        for line in [
            r#"hello_http_requests_total{method="GET",route="/hello/{username}",status="200"} 2"#,
            r#"hello_http_requests_total{method="PUT",route="/hello/{username}",status="503"} 1"#,
            r#"hello_http_requests_total{method="OTHER",route="/users",status="405"} 1"#,
            r#"hello_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
            r#"hello_http_request_duration_seconds_count{method="GET",route="/hello/{username}"} 2"#,
            r#"hello_store_batch_size_bucket{le="8.0",kind="read"} 1"#,
            r#"hello_store_batch_size_count{kind="list"} 1"#,
            r#"hello_store_connections{kind="change"} 1"#,
            r#"hello_store_connections{kind="read"} 0"#,
            concat!(
                "hello_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
