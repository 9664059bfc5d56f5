//! One reconcile with its limits: a deadline, and a panic that stays the failure of its resource.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, timeout};

use crate::{
    controller::{Reconcile, outcome::Outcome},
    object::key::Key,
    telemetry::metrics::Metrics,
};

/// Longest time that a reconcile may take as a whole, beside the deadline of each call.
const DEADLINE: Duration = Duration::from_secs(60);

/// Shortest and longest delay after a reconcile that exceeded its deadline.
const TIMEOUT_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Shortest and longest delay after a panic: only another version of the operator, or another spec, helps.
pub const PANIC_DELAYS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1800));

/// Longest message of a panic that is logged and reported, in characters.
const LONGEST_MESSAGE: usize = 200;

/// A reconcile that ended.
pub(super) struct Done {
    pub key: Key,
    pub outcome: Outcome,
    pub took: Duration,
}

/// Reconciles one resource. Always returns, so that the resource is never lost.
pub(super) async fn reconcile<R: Reconcile>(
    reconciler: Arc<R>,
    metrics: Arc<Metrics>,
    key: Key,
) -> Done {
    let start = Instant::now();
    let outcome = match caught(reconciler.reconcile(&key)).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Outcome::failed(TIMEOUT_DELAYS, "timeout"),
        Err(message) => {
            panicked(&*reconciler, &metrics, &key, &message).await;
            Outcome::failed(PANIC_DELAYS, "panic")
        }
    };
    Done {
        key,
        outcome,
        took: start.elapsed(),
    }
}

async fn panicked<R: Reconcile>(reconciler: &R, metrics: &Metrics, key: &Key, message: &str) {
    let (namespace, name) = (&*key.namespace, &*key.name);
    metrics.reconcile_panics.inc();
    tracing::error!(namespace, name, panic = message, "reconcile panicked");
    match caught(reconciler.report_panic(key, message)).await {
        Ok(Some(())) => {}
        Ok(None) => tracing::warn!(namespace, name, "the panic was not reported in time"),
        Err(message) => {
            metrics.reconcile_panics.inc();
            tracing::error!(namespace, name, panic = message, "the report panicked too");
        }
    }
}

/// Runs a future up to the deadline: its value, `None` when it took too long, or the message of its panic.
///
/// Unwind safety: what a reconcile shares with others is behind locks that are held for single statements and whose
/// poisoning is ignored, since each of these statements leaves a complete value; all else is its own, and dropped.
async fn caught<T>(future: impl Future<Output = T>) -> Result<Option<T>, String> {
    AssertUnwindSafe(timeout(DEADLINE, future))
        .catch_unwind()
        .await
        .map(Result::ok)
        .map_err(|payload| message(&*payload))
}

/// The message of a panic, cut to its first line and a length that fits everywhere.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_one_short_line() {
        assert_eq!(message(&"static"), "static");
        let long = format!("{}\nsecond line", "é".repeat(300));
        assert_eq!(message(&long), "é".repeat(LONGEST_MESSAGE));
        assert_eq!(message(&7_u8), "no message");
    }
}
