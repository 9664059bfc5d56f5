//! The admin listener: health for the orchestrator, metrics for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use warp::Filter;

use crate::api::{Problem, ProblemKind};
use crate::lifecycle::{Phase, PhaseWatch};
use crate::serving::{RequestHead, Response, without_body};
use crate::store::{Health, Store};
use crate::telemetry::{Metrics, MetricsFormat};

/// How long `/readyz` waits for a store that was never ready. The shortest timeout of a Kubernetes probe is a second.
const START_WAIT: Duration = Duration::from_millis(800);
/// Pause between two looks at that store.
const START_PAUSE: Duration = Duration::from_millis(20);

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
    pub async fn handle(&self, head: &RequestHead) -> Response {
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
            "/readyz" => self.ready().await,
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

    async fn ready(&self) -> Response {
        let health = settled(|| self.store.health(), &self.phase, START_WAIT).await;
        if self.phase.get() != Phase::Serving {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining");
        }
        match health {
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

/// The health of a store, once a store that was never ready has had a little time for it: who asks whether a process that
/// has just started is ready would ask again a second later only.
async fn settled(health: impl Fn() -> Health, phase: &PhaseWatch, at_most: Duration) -> Health {
    let end = Instant::now() + at_most;
    loop {
        let health = health();
        let wait = health == Health::Starting && phase.get() == Phase::Serving;
        if !wait || Instant::now() >= end {
            return health;
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// The warp filter that hands every request to [`Admin::handle`].
pub fn filter(
    admin: Arc<Admin>,
) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    warp::ext::get::<Arc<RequestHead>>().then(move |head: Arc<RequestHead>| {
        let admin = admin.clone();
        async move { admin.handle(&head).await }
    })
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::lifecycle::phases;

    /// What is reported of a store that is ready at the `ready`-th look, and how often it was looked at.
    async fn reported(ready: u32, phase: &PhaseWatch, at_most: Duration) -> (Health, u32) {
        let looks = Cell::new(0);
        let health = || {
            looks.set(looks.get() + 1);
            if looks.get() >= ready {
                Health::Ready
            } else {
                Health::Starting
            }
        };
        (settled(health, phase, at_most).await, looks.get())
    }

    #[tokio::test]
    async fn a_store_that_starts_is_waited_for_but_not_for_long() {
        const LONG: Duration = Duration::from_secs(60);
        const SHORT: Duration = Duration::from_millis(50);
        let (control, phase) = phases();
        assert_eq!(reported(1, &phase, LONG).await, (Health::Ready, 1));
        assert_eq!(reported(3, &phase, LONG).await, (Health::Ready, 3));
        assert_eq!(reported(u32::MAX, &phase, SHORT).await.0, Health::Starting);
        control.advance(Phase::Draining);
        assert_eq!(reported(3, &phase, LONG).await, (Health::Starting, 1));
    }
}
