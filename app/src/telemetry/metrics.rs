//! Prometheus metrics, labelled by route template and never by a name.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::access_log::known_method;
use crate::auth::OidcMetrics;
use crate::http::Template;

/// Upper bounds of request and statement times, in seconds.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// Upper bounds of batch sizes.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// The methods that get a recorder of their own; all others share the last one.
const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "OTHER"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of the API's requests.
    pub http: Arc<HttpMetrics>,
    /// Of the database.
    pub store: Arc<StoreMetrics>,
    /// Of the issuer of tokens.
    pub oidc: Arc<OidcMetrics>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hello");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", build);
        let http = Arc::new(HttpMetrics::new(&mut registry));
        let store = Arc::new(StoreMetrics::new(&mut registry));
        let oidc = Arc::new(OidcMetrics::new(&mut registry));
        Self {
            registry,
            http,
            store,
            oidc,
        }
    }
}

impl Metrics {
    /// The metrics in Prometheus' (OpenMetrics) text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// Requests by route, method and status, with their times.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    /// One for each pair of template and method, looked up without a lock or a hash.
    recorders: Vec<Recorder>,
    /// Requests being answered now.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
}

/// The counters of one route and method.
#[derive(Debug)]
struct Recorder {
    labels: RouteLabels,
    duration: Histogram,
    /// The counter of each status between 200 and 599 that was ever answered.
    statuses: Vec<OnceLock<Counter<u64, AtomicU64>>>,
}

impl HttpMetrics {
    fn new(registry: &mut Registry) -> Self {
        let requests = Family::default();
        let duration =
            Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        registry.register("http_requests", "Answered requests", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being answered",
            in_flight.clone(),
        );
        registry.register("http_connections", "Open connections", connections.clone());
        let recorders = Template::ALL
            .iter()
            .flat_map(|template| METHODS.map(|method| (template.as_str(), method)))
            .map(|(route, method)| {
                let labels = RouteLabels { method, route };
                Recorder {
                    duration: duration.get_or_create(&labels).clone(),
                    labels,
                    statuses: (200..600).map(|_| OnceLock::new()).collect(),
                }
            })
            .collect();
        Self {
            requests,
            recorders,
            in_flight,
            connections,
        }
    }

    /// Counts one answered request.
    pub fn record(
        &self,
        template: Template,
        method: &Method,
        status: StatusCode,
        elapsed: Duration,
    ) {
        let method = known_method(method);
        let column = METHODS
            .iter()
            .position(|known| *known == method)
            .unwrap_or(METHODS.len() - 1);
        let recorder = &self.recorders[template.index() * METHODS.len() + column];
        recorder.duration.observe(elapsed.as_secs_f64());
        let status = status.as_u16();
        if let Some(counter) = recorder
            .statuses
            .get(usize::from(status.saturating_sub(200)))
        {
            let RouteLabels { method, route } = recorder.labels;
            counter
                .get_or_init(|| {
                    self.requests
                        .get_or_create(&RequestLabels {
                            method,
                            route,
                            status,
                        })
                        .clone()
                })
                .inc();
        }
    }
}

/// Batches and statements of the PostgreSQL store.
#[derive(Debug)]
pub struct StoreMetrics {
    read: StatementMetrics,
    write: StatementMetrics,
    /// 1 while the store can serve.
    pub ready: Gauge,
}

#[derive(Debug)]
struct StatementMetrics {
    batch: Histogram,
    duration: Histogram,
}

impl StoreMetrics {
    fn new(registry: &mut Registry) -> Self {
        let batch = Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(BATCH));
        let duration =
            Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let ready = Gauge::default();
        registry.register(
            "store_batch_size",
            "Requests in one statement",
            batch.clone(),
        );
        registry.register_with_unit(
            "store_statement_duration",
            "Time of one statement",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "store_ready",
            "1 while the database can be used",
            ready.clone(),
        );
        let of_kind = |kind| StatementMetrics {
            batch: batch.get_or_create(&KindLabels { kind }).clone(),
            duration: duration.get_or_create(&KindLabels { kind }).clone(),
        };
        Self {
            read: of_kind("read"),
            write: of_kind("write"),
            ready,
        }
    }

    /// Counts one statement that carried `size` requests.
    pub fn statement(&self, writes: bool, size: usize, elapsed: Duration) {
        let metrics = if writes { &self.write } else { &self.read };
        metrics
            .batch
            .observe(u32::try_from(size).map_or(f64::MAX, f64::from));
        metrics.duration.observe(elapsed.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_template_method_and_status() {
        let metrics = Metrics::default();
        let record = |method, status| {
            metrics
                .http
                .record(Template::Hello, &method, status, Duration::from_millis(2));
        };
        record(Method::GET, StatusCode::OK);
        record(Method::GET, StatusCode::OK);
        record(Method::PUT, StatusCode::SERVICE_UNAVAILABLE);
        record(
            Method::from_bytes(b"BREW").unwrap(),
            StatusCode::METHOD_NOT_ALLOWED,
        );
        metrics
            .store
            .statement(false, 7, Duration::from_micros(300));
        let text = metrics.encode();
        for line in [
            r#"hello_http_requests_total{method="GET",route="/hello/{username}",status="200"} 2"#,
            r#"hello_http_requests_total{method="PUT",route="/hello/{username}",status="503"} 1"#,
            r#"hello_http_requests_total{method="OTHER",route="/hello/{username}",status="405"} 1"#,
            r#"hello_http_request_duration_seconds_count{method="GET",route="/hello/{username}"} 2"#,
            r#"hello_store_batch_size_bucket{le="8.0",kind="read"} 1"#,
            r#"hello_build_info{version="0.1.0"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
