//! Keeps the issuer's keys at hand: a task fetches them, requests only look.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::OidcMetrics;
use super::issuer::Issuer;
use super::keys::KeySet;
use crate::http_client;

/// How often the keys are fetched unasked.
const INTERVAL: Duration = Duration::from_secs(600);
/// How often unknown key ids may ask for a fetch, and how soon after a failure the next one is.
const PAUSE: Duration = Duration::from_secs(60);
/// How soon the first fetch is tried again; twice as long each time, up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause while there are no keys at all.
const MAX_RETRY: Duration = Duration::from_secs(16);

/// The last keys that were got; none before the first success.
type Latest = Option<Arc<KeySet>>;

/// The keys, for requests to look at.
pub struct KeyCache {
    latest: watch::Receiver<Latest>,
    gate: Arc<Gate>,
}

impl KeyCache {
    /// Begins to fetch. The task lives as long as the process: it holds nothing to give back.
    pub fn start(issuer: Issuer, metrics: Arc<OidcMetrics>) -> Self {
        let (publish, latest) = watch::channel(None);
        let gate = Arc::new(Gate::default());
        tokio::spawn(keep_fresh(issuer, publish, gate.clone(), metrics));
        Self { latest, gate }
    }

    /// The keys from here on.
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
    /// The last keys that were got.
    pub fn latest(&mut self) -> Latest {
        self.latest.borrow_and_update().clone()
    }

    /// Asks for fresh keys and waits for them, when that is allowed now. What has come since
    /// [`View::latest`] is there afterwards in any case.
    pub async fn refreshed(&mut self) {
        if !self.gate.ask(Instant::now()) {
            return;
        }
        // Two documents; whether they came or not is seen by looking.
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
    under_way: bool,
}

impl Gate {
    /// Whether a fetch is under way now, perhaps because of this call: its end is yet to be
    /// published.
    fn ask(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.under_way {
            return true;
        }
        if state.last.is_some_and(|last| now < last + PAUSE) {
            return false;
        }
        *state = GateState {
            last: Some(now),
            under_way: true,
        };
        self.wake.notify_one();
        true
    }

    /// Ends the fetch. Under the lock, so that nobody begins to wait for what was just published.
    fn finish(&self, publish: impl FnOnce()) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way = false;
        publish();
    }
}

async fn keep_fresh(
    issuer: Issuer,
    publish: watch::Sender<Latest>,
    gate: Arc<Gate>,
    metrics: Arc<OidcMetrics>,
) {
    let mut retry = FIRST_RETRY;
    loop {
        let pause = match issuer.keys().await {
            Ok(keys) => {
                let count = keys.len();
                tracing::debug!(keys = count, "the issuer's keys are fresh");
                gate.finish(|| publish.send_modify(|latest| *latest = Some(Arc::new(keys))));
                metrics.fetched(count);
                INTERVAL
            }
            Err(error) => {
                tracing::warn!(%error, "cannot get the issuer's keys");
                metrics.failed();
                // Wakes those who wait; the old keys stay.
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
    use super::*;

    #[test]
    fn one_fetch_a_minute_however_many_ask() {
        let gate = Gate::default();
        let start = Instant::now();
        let at = |seconds| gate.ask(start + Duration::from_secs(seconds));
        assert!(at(0), "the first one asks");
        assert!(at(1), "others wait for the same fetch");
        gate.finish(|| ());
        assert!(!at(2));
        assert!(!at(59));
        assert!(at(60));
        gate.finish(|| ());
        assert!(!at(61));
    }
}
