//! Whether this process is alive and ready, and the HTTP server that reports it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::request::Parts;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes};
use tokio::{task::JoinHandle, time::Instant};

use crate::telemetry::{
    access::{Access, Verdict, bearer},
    listener,
    metrics::Metrics,
};

/// The loop must turn this often.
const BEAT: Duration = Duration::from_secs(15);
/// While reconciles run, one must end this often; each has a deadline of a minute.
const PROGRESS: Duration = Duration::from_secs(150);

#[derive(Debug)]
struct Times {
    beat: Instant,
    progress: Instant,
}

/// Signs of life.
#[derive(Debug)]
pub struct Health {
    times: Mutex<Times>,
    listed: AtomicBool,
    standby: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            times: Mutex::new(Times {
                beat: now,
                progress: now,
            }),
            listed: AtomicBool::new(false),
            standby: AtomicBool::new(false),
        }
    }
}

impl Health {
    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop turned; with nothing to do there is no progress to wait for.
    pub fn beat(&self, idle: bool, now: Instant) {
        let mut times = self.times();
        times.beat = now;
        if idle {
            times.progress = now;
        }
    }

    /// A reconcile ended.
    pub fn progress(&self, now: Instant) {
        self.times().progress = now;
    }

    /// The resources are known.
    pub fn listed(&self) {
        self.listed.store(true, Ordering::Release);
    }

    /// Waits to lead: ready as a replacement, and the loop does not run.
    pub fn standby(&self, standby: bool) {
        self.standby.store(standby, Ordering::Release);
        self.beat(true, Instant::now());
    }

    /// Whether the loop turns and reconciles end.
    #[must_use]
    pub fn live(&self, now: Instant) -> bool {
        let times = self.times();
        self.standby.load(Ordering::Acquire)
            || (now.duration_since(times.beat) < BEAT
                && now.duration_since(times.progress) < PROGRESS)
    }

    /// Whether the resources are known, or another process leads.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.standby.load(Ordering::Acquire) || self.listed.load(Ordering::Acquire)
    }
}

/// Serves `/livez`, `/readyz` and `/metrics` in a task, which never ends by itself. Without `access`, everybody may read the
/// metrics.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    health: Vec<Arc<Health>>,
    metrics: Arc<Metrics>,
    access: Option<Access>,
) -> std::io::Result<JoinHandle<()>> {
    let listener = listener::listen(address).await?;
    let pages = Arc::new(Pages {
        health,
        metrics,
        access,
    });
    let respond = move |request: Request<_>| {
        let pages = Arc::clone(&pages);
        let (head, _) = request.into_parts();
        async move { pages.answer(&head).await }
    };
    Ok(tokio::spawn(listener::serve(listener, respond)))
}

/// What is served.
#[derive(Debug)]
struct Pages {
    /// Of each loop.
    health: Vec<Arc<Health>>,
    metrics: Arc<Metrics>,
    access: Option<Access>,
}

impl Pages {
    async fn answer(&self, head: &Parts) -> Response<Full<Bytes>> {
        let verdict = |good: bool| {
            let status = if good {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            (status, if good { "ok\n" } else { "not ok\n" }.to_owned())
        };
        let (status, text) = match head.uri.path() {
            "/livez" => verdict(self.health.iter().all(|health| health.live(Instant::now()))),
            "/readyz" => verdict(self.health.iter().all(|health| health.ready())),
            "/metrics" => match self.refusal(head).await {
                None => (StatusCode::OK, self.metrics.render()),
                Some((status, text)) => (status, text.to_owned()),
            },
            _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
        };
        response(status, text)
    }

    /// Why the sender of a request may not read the metrics.
    async fn refusal(&self, head: &Parts) -> Option<(StatusCode, &'static str)> {
        let access = self.access.as_ref()?;
        const NO_TOKEN: (StatusCode, &str) = (
            StatusCode::UNAUTHORIZED,
            "send the token of an account: Authorization: Bearer TOKEN\n",
        );
        let Some(token) = bearer(&head.headers) else {
            return Some(NO_TOKEN);
        };
        match access.check(token).await {
            Some(Verdict::Allowed) => None,
            Some(Verdict::Unknown) => Some(NO_TOKEN),
            Some(Verdict::Forbidden) => Some((
                StatusCode::FORBIDDEN,
                "the account has no right to get /metrics\n",
            )),
            None => Some((
                StatusCode::SERVICE_UNAVAILABLE,
                "the API server does not say whose the token is\n",
            )),
        }
    }
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=1.0.0; charset=utf-8");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    if status == StatusCode::UNAUTHORIZED {
        let scheme = http::HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(http::header::WWW_AUTHENTICATE, scheme);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liveness_follows_the_loop_and_the_reconciles() {
        let health = Health::default();
        let start = Instant::now();
        assert!(health.live(start));
        assert!(!health.live(start + BEAT));
        let later = start + PROGRESS;
        health.beat(false, later);
        assert!(!health.live(later), "a reconcile hangs");
        health.progress(later);
        assert!(health.live(later));
    }

    #[test]
    fn readiness_follows_the_list_or_the_standby() {
        let health = Health::default();
        assert!(!health.ready());
        health.standby(true);
        assert!(health.ready());
        health.standby(false);
        assert!(!health.ready());
        health.listed();
        assert!(health.ready());
    }

    async fn status(access: Option<Access>, path: &str, token: &str) -> u16 {
        let pages = Pages {
            health: vec![Arc::default()],
            metrics: Arc::default(),
            access,
        };
        let mut request = Request::get(path);
        if !token.is_empty() {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let response = pages.answer(&head).await;
        let asks = response
            .headers()
            .contains_key(http::header::WWW_AUTHENTICATE);
        assert_eq!(asks, response.status() == StatusCode::UNAUTHORIZED);
        response.status().as_u16()
    }

    #[tokio::test]
    async fn the_metrics_are_for_those_who_may_read_them_and_probes_for_all() {
        let access = || {
            Some(Access::new(|token| {
                Box::pin(std::future::ready(match &*token {
                    "allowed" => Some(Verdict::Allowed),
                    "forbidden" => Some(Verdict::Forbidden),
                    "no answer" => None,
                    _ => Some(Verdict::Unknown),
                }))
            }))
        };
        for (token, expected) in [
            ("allowed", 200),
            ("forbidden", 403),
            ("made up", 401),
            ("", 401),
            ("no answer", 503),
        ] {
            assert_eq!(
                status(access(), "/metrics", token).await,
                expected,
                "{token}"
            );
        }
        assert_eq!(status(access(), "/livez", "").await, 200);
        assert_eq!(status(None, "/metrics", "").await, 200);
    }
}
