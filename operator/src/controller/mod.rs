//! The loop: watches trigger, the queue orders, a bounded number of workers reconciles.
//!
//! It knows no resource: what is to be done about one is behind the trait [`Reconcile`].

mod guard;
mod lanes;
mod news;
pub mod outcome;
pub mod queue;
mod reconcile;
pub mod watches;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch as state, task::JoinSet, time::Instant};

pub use reconcile::Reconcile;

#[cfg(test)]
use self::guard::PANIC_DELAYS;
use crate::{
    controller::{
        guard::Done,
        news::News,
        queue::Queue,
        watches::{Signal, Watches},
    },
    telemetry::{metrics::Metrics, probes::Health},
};

/// Most HelloServices that are reconciled at once.
pub const CONCURRENCY: usize = 16;

/// After an interrupted watch every resource is looked at again, spread over this time.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Time that reconciles may take to end when the process stops.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// Why the loop ended by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a watch ended by itself")]
pub struct WatchEnded;

/// Runs until `stop` turns true, with so many reconciles at once. Those that run then are given time to end.
///
/// # Errors
/// When a watch ends, by a panic for example: without it changes would be missed.
pub async fn run<R: Reconcile>(
    reconciler: Arc<R>,
    concurrency: usize,
    mut watches: Watches,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    mut stop: state::Receiver<bool>,
) -> Result<(), WatchEnded> {
    let mut queue = Queue::new(concurrency);
    let mut load = Load::default();
    let mut news = News::new(watches.own_writes.clone());
    let mut workers: JoinSet<Done> = JoinSet::new();
    let end = loop {
        let now = Instant::now();
        while let Some(key) = queue.take(now) {
            let (reconciler, metrics) = (Arc::clone(&reconciler), Arc::clone(&metrics));
            let by_time = queue.is_by_time(&key);
            workers.spawn(guard::reconcile(reconciler, metrics, key, by_time));
        }
        health.beat(workers.is_empty(), now);
        load.observe(&metrics, &queue, workers.len());
        let wake = wake_time(&queue, now);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break Ok(()),
            signal = watches.signals.recv() => match signal {
                Some(Signal::Changed(change)) => news.arrived(change, &mut queue, Instant::now()),
                Some(Signal::Listed) => health.listed(),
                Some(Signal::Interrupted) => queue.trigger_all(Instant::now(), CATCH_UP),
                None => break Err(WatchEnded),
            },
            Some(_) = watches.tasks.join_next() => break Err(WatchEnded),
            // A reconcile catches its own panics, so it always returns its key.
            Some(Ok(done)) = workers.join_next() => {
                health.progress(Instant::now());
                metrics.reconciled(done.outcome.label, done.took);
                let now = Instant::now();
                queue.done(&done.key, now, done.outcome.next, jitter());
                news.passed(&done.key, &mut queue, now);
            }
            () = tokio::time::sleep_until(wake) => {}
        }
    };
    drop(watches);
    let drained = tokio::time::timeout(STOP_GRACE, async {
        while workers.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!("reconciles were cut short by the stop");
    }
    end
}

/// At most a second away, so that the heartbeat never stops.
fn wake_time(queue: &Queue, now: Instant) -> Instant {
    let tick = now + Duration::from_secs(1);
    queue.next_due().map_or(tick, |due| due.min(tick))
}

/// What this loop has in the gauges, which are sums over all loops of the process.
#[derive(Default)]
struct Load([i64; 4]);

impl Load {
    fn observe(&mut self, metrics: &Metrics, queue: &Queue, running: usize) {
        let counts = [running, queue.waiting(), queue.failing(), queue.len()];
        let counts = counts.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let gauges = [
            &metrics.reconciles_running,
            &metrics.queue_length,
            &metrics.resources_backing_off,
            &metrics.resources,
        ];
        for ((gauge, now), before) in gauges.into_iter().zip(counts).zip(self.0) {
            gauge.inc_by(now.saturating_sub(before));
        }
        self.0 = counts;
    }
}

/// A number in 0..1 to spread retries; without random numbers they are not spread.
fn jitter() -> f64 {
    let mut bytes = [0_u8; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.0,
    }
}

#[cfg(test)]
mod tests;
