//! Whether this process is alive and ready, and the HTTP server that reports it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes};
use tokio::{task::JoinHandle, time::Instant};

use crate::telemetry::{listener, metrics::Metrics};

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

/// Serves `/livez`, `/readyz` and `/metrics` in a task, which never ends by itself.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> std::io::Result<JoinHandle<()>> {
    let listener = listener::listen(address).await?;
    let respond = move |request: &Request<_>| answer(request, &health, &metrics);
    Ok(tokio::spawn(listener::serve(listener, respond)))
}

fn answer<B>(request: &Request<B>, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    let verdict = |good: bool| {
        let status = if good {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, if good { "ok\n" } else { "not ok\n" }.to_owned())
    };
    let (status, text) = match request.uri().path() {
        "/livez" => verdict(health.live(Instant::now())),
        "/readyz" => verdict(health.ready()),
        "/metrics" => (StatusCode::OK, metrics.render()),
        _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=1.0.0; charset=utf-8");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
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
}
