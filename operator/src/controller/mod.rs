//! The loop: watches trigger, the queue orders, a bounded number of workers reconciles.

pub mod queue;
pub mod watches;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch as state},
    task::JoinSet,
    time::Instant,
};

use crate::{
    controller::{
        queue::{Next, Queue},
        watches::Signal,
    },
    object::key::Key,
    service::{Context, Outcome, reconcile},
    telemetry::{metrics::Metrics, probes::Health},
};

/// Most resources that are reconciled at once.
pub const CONCURRENCY: usize = 16;

/// Longest time a pass may take as a whole, over the deadline of each call.
const PASS_DEADLINE: Duration = Duration::from_secs(60);

/// After an interrupted watch every resource is looked at again, spread over this time.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Time that passes may take to end when the process stops.
const STOP_GRACE: Duration = Duration::from_secs(8);

struct Pass {
    key: Key,
    outcome: Outcome,
    took: Duration,
}

/// Runs until `stop` turns true or the watches end. Passes that run then are given time to end.
pub async fn run(
    context: Context,
    mut signals: mpsc::Receiver<Signal>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    mut stop: state::Receiver<bool>,
) {
    let mut queue = Queue::default();
    let mut workers: JoinSet<Pass> = JoinSet::new();
    loop {
        let now = Instant::now();
        while workers.len() < CONCURRENCY
            && let Some(key) = queue.take(now)
        {
            workers.spawn(pass(context.clone(), key));
        }
        health.beat(workers.is_empty(), now);
        observe(&metrics, &queue, workers.len(), now);
        let wake = wake_time(&queue, workers.len(), now);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            signal = signals.recv() => match signal {
                Some(Signal::Changed(key)) => queue.trigger(key, Instant::now()),
                Some(Signal::Listed) => health.listed(),
                Some(Signal::Interrupted) => queue.trigger_all(Instant::now(), CATCH_UP),
                None => break,
            },
            Some(done) = workers.join_next() => {
                // A pass that panicked is lost with its key; the process must not go on half blind.
                let Ok(done) = done else { break };
                health.progress(Instant::now());
                metrics.reconciled(done.outcome.label, done.took);
                note_conditions(&metrics, &done);
                queue.done(&done.key, Instant::now(), done.outcome.next, jitter());
            }
            () = tokio::time::sleep_until(wake) => {}
        }
    }
    drop(signals);
    let drained = tokio::time::timeout(STOP_GRACE, async {
        while workers.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!("reconciles were cut short by the stop");
    }
}

/// At most a second away, so that the heartbeat never stops.
fn wake_time(queue: &Queue, running: usize, now: Instant) -> Instant {
    let tick = now + Duration::from_secs(1);
    match queue.next_due() {
        Some(due) if running < CONCURRENCY => due.min(tick),
        _ => tick,
    }
}

async fn pass(context: Context, key: Key) -> Pass {
    let start = Instant::now();
    let outcome = tokio::time::timeout(PASS_DEADLINE, reconcile(&context, &key))
        .await
        .unwrap_or(Outcome {
            next: Next::Failed(Duration::from_secs(1), Duration::from_secs(60)),
            label: "timeout",
            conditions: None,
        });
    Pass {
        key,
        outcome,
        took: start.elapsed(),
    }
}

fn note_conditions(metrics: &Metrics, done: &Pass) {
    match (done.outcome.conditions, done.outcome.next) {
        (Some(conditions), _) => metrics.conditions.set(&done.key, conditions),
        (None, Next::Forget) => metrics.conditions.forget(&done.key),
        // What was known stays.
        (None, _) => {}
    }
}

fn observe(metrics: &Metrics, queue: &Queue, running: usize, now: Instant) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    metrics.running.set(count(running));
    metrics.queued.set(count(queue.waiting(now)));
    metrics.backing_off.set(count(queue.failing()));
    metrics.resources.set(count(queue.len()));
}

/// A number in 0..1 to spread retries; without random numbers they are simply not spread.
fn jitter() -> f64 {
    let mut bytes = [0_u8; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.0,
    }
}
