//! Metrics of requests, labelled by route template and never by a name.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::buckets::SECONDS;
use super::table;
use crate::telemetry::method::known_method;

/// The route of a path that no route matches, in metrics and logs.
pub const UNMATCHED: &str = "unmatched";

/// The methods with a recorder of their own; all others share the last one.
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

/// Requests by route, method and status, with their durations.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    /// One for each pair of route and method, found without a lock or a hash. The last route is
    /// that of paths without one.
    recorders: Vec<Recorder>,
    /// Requests in progress.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Requests whose handler panicked.
    pub handler_panics: Counter,
}

/// The counters of one route and method.
#[derive(Debug)]
struct Recorder {
    labels: RouteLabels,
    duration: Histogram,
    /// The counter of each status from 200 to 599, made when it is first answered.
    statuses: Vec<OnceLock<Counter<u64, AtomicU64>>>,
}

impl HttpMetrics {
    /// Registers the metrics of requests to these routes, named by their path templates.
    pub fn new(registry: &mut Registry, templates: &[&'static str]) -> Self {
        let requests = Family::default();
        let duration =
            Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        let handler_panics = Counter::default();
        table::HTTP_REQUESTS.register(registry, requests.clone());
        table::HTTP_REQUEST_DURATION.register(registry, duration.clone());
        table::HTTP_REQUESTS_IN_FLIGHT.register(registry, in_flight.clone());
        table::HTTP_CONNECTIONS.register(registry, connections.clone());
        table::HTTP_HANDLER_PANICS.register(registry, handler_panics.clone());
        let recorders = templates
            .iter()
            .chain([&UNMATCHED])
            .flat_map(|template| METHODS.map(|method| (*template, method)))
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
            handler_panics,
        }
    }

    /// Counts one answered request. `route` is the position of its template among those that the
    /// metrics were made with; `None` when no route matches its path.
    pub fn record(
        &self,
        route: Option<usize>,
        method: &Method,
        status: StatusCode,
        elapsed: Duration,
    ) {
        let method = known_method(method);
        let column = METHODS
            .iter()
            .position(|known| *known == method)
            .unwrap_or(METHODS.len() - 1);
        let unmatched = self.recorders.len() / METHODS.len() - 1;
        let row = route.unwrap_or(unmatched).min(unmatched);
        let recorder = &self.recorders[row * METHODS.len() + column];
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
