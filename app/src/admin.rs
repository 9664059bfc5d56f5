//! The admin listener: health for the orchestrator, metrics for Prometheus.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use warp::Filter;

use crate::api::{Problem, ProblemKind};
use crate::lifecycle::{Phase, PhaseWatch};
use crate::serving::{RequestHead, Response, without_body};
use crate::store::{Health, Store};
use crate::telemetry::{Metrics, MetricsFormat};

/// What the admin listener reports on.
pub struct Admin {
    /// The store, on whose state readiness depends.
    pub store: Arc<dyn Store>,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Whether the service is draining.
    pub phase: PhaseWatch,
}

impl Admin {
    /// Answers one request.
    pub fn handle(&self, head: &RequestHead) -> Response {
        const ALLOW: &str = "GET, HEAD";
        let response = match head.uri.path() {
            _ if !head.names_its_host() => {
                Problem::new(ProblemKind::MalformedRequest).into_response(None)
            }
            "/livez" | "/readyz" | "/startupz" | "/metrics"
                if head.method != Method::GET && head.method != Method::HEAD =>
            {
                Problem::method_not_allowed(ALLOW).into_response(None)
            }
            // Only that the process answers: a restart does not bring a database back.
            "/livez" => text(StatusCode::OK, "alive"),
            "/readyz" => self.ready(),
            "/startupz" => match self.store.health() {
                Health::Starting => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "waiting for a migrated database",
                ),
                Health::Ready | Health::Away => text(StatusCode::OK, "started"),
            },
            "/metrics" => self.metrics(MetricsFormat::accepted(&head.headers)),
            _ => Problem::new(ProblemKind::NotFound).into_response(None),
        };
        if head.method == Method::HEAD {
            without_body(response)
        } else {
            response
        }
    }

    fn ready(&self) -> Response {
        if self.phase.get() != Phase::Serving {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining");
        }
        match self.store.health() {
            Health::Starting => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "waiting for a migrated database",
            ),
            Health::Away => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is unavailable",
            ),
            Health::Ready => text(StatusCode::OK, "ready"),
        }
    }

    fn metrics(&self, format: MetricsFormat) -> Response {
        self.metrics
            .store
            .ready
            .set(i64::from(self.store.health() == Health::Ready));
        now(
            Bytes::from(self.metrics.encode(format)),
            format.content_type(),
        )
    }
}

/// The warp filter that hands every request to [`Admin::handle`].
pub fn filter(
    admin: Arc<Admin>,
) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    warp::ext::get::<Arc<RequestHead>>().map(move |head: Arc<RequestHead>| admin.handle(&head))
}

fn text(status: StatusCode, body: &'static str) -> Response {
    let body = Bytes::from_static(body.as_bytes());
    let mut response = now(body, "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

/// 200 with what is true now and may not be a moment later.
fn now(body: Bytes, content_type: &'static str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
