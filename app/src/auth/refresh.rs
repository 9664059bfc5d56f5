//! Keeps the keys of the issuer in memory: a task fetches them, requests only read them.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::issuer::{Issuer, IssuerError};
use super::keys::KeySet;
use crate::http_client;
use crate::telemetry::OidcMetrics;

/// Pause between two regular fetches.
const INTERVAL: Duration = Duration::from_secs(600);
/// Shortest pause between two fetches for unknown key ids, and the pause after a failure.
const PAUSE: Duration = Duration::from_secs(60);
/// First pause while there are no keys at all; it doubles each time, up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause while there are no keys at all.
const MAX_RETRY: Duration = Duration::from_secs(16);

/// The last keys that were fetched; none before the first success.
type Latest = Option<Arc<KeySet>>;

/// The keys, for requests to read.
pub struct KeyCache {
    latest: watch::Receiver<Latest>,
    gate: Arc<Gate>,
}

impl KeyCache {
    /// Starts to fetch. The task lives as long as the process.
    pub fn start(issuer: Issuer, metrics: Arc<OidcMetrics>) -> Self {
        let issuer = Arc::new(issuer);
        let fetch = move || {
            let issuer = issuer.clone();
            async move { issuer.keys().await }
        };
        Self::with(fetch, metrics)
    }

    fn with<F, K>(fetch: F, metrics: Arc<OidcMetrics>) -> Self
    where
        F: Fn() -> K + Send + 'static,
        K: Future<Output = Result<KeySet, IssuerError>> + Send + 'static,
    {
        let (publish, latest) = watch::channel(None);
        let gate = Arc::new(Gate::default());
        tokio::spawn(keep_fresh(fetch, publish, gate.clone(), metrics));
        Self { latest, gate }
    }

    /// The keys from now on.
    pub fn view(&self) -> View<'_> {
        View {
            latest: self.latest.clone(),
            gate: &self.gate,
        }
    }
}

/// The keys as one request sees them.
pub struct View<'a> {
    latest: watch::Receiver<Latest>,
    gate: &'a Gate,
}

impl View<'_> {
    /// The last keys that were fetched.
    pub fn latest(&mut self) -> Latest {
        self.latest.borrow_and_update().clone()
    }

    /// Asks for fresh keys and waits for them, when that is allowed now. Keys that were fetched since
    /// [`View::latest`] are there afterwards in any case.
    pub async fn refreshed(&mut self) {
        if !self.gate.request(Instant::now()) {
            return;
        }
        // Two documents. Whether they were fetched shows in the keys.
        let _ = tokio::time::timeout(2 * http_client::DEADLINE, self.latest.changed()).await;
    }
}

/// Lets unknown key ids cause one fetch a minute, however many there are.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    wake: Notify,
}

#[derive(Default)]
struct GateState {
    last: Option<Instant>,
    in_progress: bool,
}

impl Gate {
    /// Whether a fetch is in progress now, perhaps because of this call. Its end is published later.
    fn request(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.in_progress {
            return true;
        }
        if state.last.is_some_and(|last| now < last + PAUSE) {
            return false;
        }
        *state = GateState {
            last: Some(now),
            in_progress: true,
        };
        self.wake.notify_one();
        true
    }

    /// Ends the fetch. It publishes under the lock, so that no request begins to wait for what was just
    /// published.
    fn finish(&self, publish: impl FnOnce()) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_progress = false;
        publish();
    }
}

async fn keep_fresh<K: Future<Output = Result<KeySet, IssuerError>>>(
    fetch: impl Fn() -> K,
    publish: watch::Sender<Latest>,
    gate: Arc<Gate>,
    metrics: Arc<OidcMetrics>,
) {
    let mut retry = FIRST_RETRY;
    loop {
        // A panic must not end the task: the keys would be the same forever.
        let fetched = AssertUnwindSafe(fetch()).catch_unwind().await;
        let pause = match fetched.unwrap_or(Err(IssuerError::Panicked)) {
            Ok(keys) => {
                let count = keys.len();
                tracing::debug!(keys = count, "fetched the keys of the issuer");
                gate.finish(|| publish.send_modify(|latest| *latest = Some(Arc::new(keys))));
                metrics.fetched(count);
                INTERVAL
            }
            Err(error) => {
                tracing::warn!(%error, "cannot get the issuer's keys");
                metrics.failed();
                // Wakes requests that wait; the old keys stay.
                gate.finish(|| publish.send_modify(|_| ()));
                if publish.borrow().is_some() {
                    PAUSE
                } else {
                    retry = (2 * retry).min(MAX_RETRY);
                    retry / 2
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = gate.wake.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::auth::Algorithm;

    #[tokio::test]
    async fn a_fetch_that_panics_counts_as_failed_and_is_repeated() {
        const KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#;
        let calls = AtomicUsize::new(0);
        let fetch = move || {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                assert!(!first, "planted panic");
                Ok(KeySet::parse(KEYS.as_bytes(), &[Algorithm::Rs256])?)
            }
        };
        let metrics = Arc::new(OidcMetrics::new(&mut Registry::default()));
        let mut cache = KeyCache::with(fetch, metrics);
        let fetched = cache.latest.wait_for(Option::is_some);
        let fetched = tokio::time::timeout(Duration::from_secs(60), fetched).await;
        assert!(fetched.unwrap().is_ok());
    }

    #[test]
    fn one_fetch_a_minute_however_many_ask() {
        let gate = Gate::default();
        let start = Instant::now();
        let at = |seconds| gate.request(start + Duration::from_secs(seconds));
        assert!(at(0), "the first one causes a fetch");
        assert!(at(1), "others wait for the same fetch");
        gate.finish(|| ());
        assert!(!at(2));
        assert!(!at(59));
        assert!(at(60));
        gate.finish(|| ());
        assert!(!at(61));
    }
}
