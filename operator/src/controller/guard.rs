//! One reconcile with its limits: a deadline, and a panic that stays the failure of its resource.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, timeout};

use crate::{
    controller::{outcome::Outcome, reconcile::Reconcile},
    object::key::Key,
    telemetry::metrics::Metrics,
};

/// Longest time that a reconcile may take as a whole, beside the deadline of each call.
const DEADLINE: Duration = Duration::from_secs(60);

/// Shortest and longest delay after a reconcile that exceeded its deadline.
const TIMEOUT_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Shortest and longest delay after a panic: only another version of the operator, or another spec, helps.
pub const PANIC_DELAYS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1800));

/// Stands for the message of a panic that was formatted with values.
const WITH_VALUES: &str = "a message with values, which is not reported";

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
    by_time: bool,
) -> Done {
    let start = Instant::now();
    let work = async {
        if by_time && let Some(outcome) = reconciler.look(&key).await {
            return outcome;
        }
        reconciler.reconcile(&key).await
    };
    let outcome = match caught(work).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Outcome::failed(TIMEOUT_DELAYS, "timeout"),
        Err(message) => {
            panicked(&*reconciler, &metrics, &key, message).await;
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
async fn caught<T>(future: impl Future<Output = T>) -> Result<Option<T>, &'static str> {
    AssertUnwindSafe(timeout(DEADLINE, future))
        .catch_unwind()
        .await
        .map(Result::ok)
        .map_err(|payload| message(&*payload))
}

/// The message of a panic when it is a literal of the code. A formatted one may contain any value, a password too.
fn message(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or(WITH_VALUES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_literal_message_is_reported() {
        let password = String::from("secret");
        let literal = caught(async { panic!("planted") });
        assert_eq!(literal.await, Err::<Option<()>, _>("planted"));
        let formatted = caught(async { panic!("{password} is wrong") });
        assert_eq!(formatted.await, Err::<Option<()>, _>(WITH_VALUES));
        assert_eq!(caught(async { 7 }).await, Ok(Some(7)));
    }
}
