//! Batches: what is taken of a queue, how it is run under its deadline, and what becomes of it when that fails.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::deadline::{Class, Deadline, Window};
use super::job::{Failure, Job, RunError};
use super::queue::Queue;
use super::session::Session;
use crate::store::StoreError;
use crate::telemetry::StoreMetrics;

/// What the batches of all links of a store share.
pub struct Context {
    /// How long callers wait.
    pub deadline: Deadline,
    /// Where sizes and times of batches are counted.
    pub metrics: Arc<StoreMetrics>,
    /// Connections that were lost. What took one, a restart or a failover, has mostly taken the others
    /// too, so each of them is checked before it is used again.
    pub losses: AtomicUsize,
}

/// Takes a batch and runs it; not while too many connections are held up. Returns whether there was a turn. An error is the
/// reason why the connection cannot be used any more.
pub async fn run_next<J: Job, S: Session<J>>(
    queue: &Queue<J>,
    session: &mut S,
    batch: &mut Vec<J>,
    context: &Context,
) -> Result<bool, String> {
    let Some(_run) = queue.crew().admit(J::CLASS) else {
        return Ok(false);
    };
    take(queue, batch, context.deadline);
    if batch.is_empty() {
        return Ok(true);
    }
    run_batch(queue, session, batch, context).await?;
    // They did nothing together.
    let mut apart = std::mem::take(batch).into_iter();
    while let Some(job) = apart.next() {
        batch.push(job);
        if let Err(reason) = run_batch(queue, session, batch, context).await {
            give_up(queue, apart.collect());
            return Err(reason);
        }
    }
    Ok(true)
}

/// Answers for jobs that did not run: those that may run again do.
fn give_up<J: Job>(queue: &Queue<J>, mut jobs: Vec<J>) {
    let again = jobs.extract_if(.., J::may_retry).collect();
    queue.return_to_front(again);
    jobs.into_iter()
        .for_each(|job| job.fail(StoreError::Unavailable));
}

/// Takes the jobs to run next. Jobs whose caller has left are dropped, and writes and lists that have too little time
/// left are refused.
fn take<J: Job>(queue: &Queue<J>, batch: &mut Vec<J>, deadline: Deadline) {
    queue.take(batch, J::MAX_BATCH);
    let now = Instant::now();
    let too_late =
        |job: &mut J| job.is_abandoned() || !deadline.admits(J::CLASS, job.queued(), now);
    batch
        .extract_if(.., too_late)
        .for_each(|job| job.fail(StoreError::Timeout));
}

/// When a batch may run.
fn window<J: Job>(batch: &[J], deadline: Deadline) -> Window {
    let now = Instant::now();
    let oldest = batch.iter().map(J::queued).min().unwrap_or(now);
    deadline.window(J::CLASS, oldest, now)
}

/// Runs a batch and answers its callers, which leaves it empty: unless the values of one of several jobs are at fault,
/// and each has to run alone. An error is the reason why the connection cannot be used any more.
async fn run_batch<J: Job, S: Session<J>>(
    queue: &Queue<J>,
    session: &mut S,
    batch: &mut Vec<J>,
    context: &Context,
) -> Result<(), String> {
    let (size, started) = (batch.len(), Instant::now());
    let _in_progress = queue.in_progress(size);
    let window = window(batch, context.deadline);
    let run = AssertUnwindSafe(session.run(batch, window)).catch_unwind();
    let outcome = timeout_at(window.end, run).await;
    context.metrics.statement(J::KIND, size, started.elapsed());
    let error = match outcome {
        Ok(Ok(Ok(output))) => {
            J::answer(batch, output);
            return Ok(());
        }
        Ok(Ok(Err(error))) => error,
        Ok(Err(_)) => {
            // Running it again could panic again.
            fail_once_ineffective(std::mem::take(batch), window, StoreError::Unavailable);
            return Err("a statement panicked".into());
        }
        Err(_) => {
            context.losses.fetch_add(1, Ordering::Relaxed);
            retry_or_fail(queue, batch, window, StoreError::Timeout);
            return Err(format!("no answer within {:?}", started.elapsed()));
        }
    };
    settle(queue, batch, context, window, &error)
}

/// What an error means for this kind of work.
fn failure<J: Job>(error: &RunError) -> Failure {
    match error.failure() {
        // Without the right to read there is nothing to serve: the connection ends, and the service is not ready.
        Failure::Unable if J::CLASS == Class::Read && error.is_forbidden() => Failure::Connection,
        failure => failure,
    }
}

/// Answers the callers of a batch that the database did not do, unless each of several jobs has to run alone, or returns
/// them to the queue. An error is the reason why the connection cannot be used any more.
fn settle<J: Job>(
    queue: &Queue<J>,
    batch: &mut Vec<J>,
    context: &Context,
    window: Window,
    error: &RunError,
) -> Result<(), String> {
    match failure::<J>(error) {
        Failure::Values | Failure::Unable if batch.len() > 1 => Ok(()),
        Failure::Values => {
            tracing::error!(kind = J::KIND, %error, "the database refused a statement");
            let refused = StoreError::Refused(error.to_string());
            batch.drain(..).for_each(|job| job.fail(refused.clone()));
            Ok(())
        }
        Failure::Unable => {
            // A right that is lacking is logged by its name when it is noticed, and lacks a while.
            if !error.is_forbidden() {
                tracing::error!(kind = J::KIND, %error, "the database cannot do a statement");
                queue.return_to_front(batch.extract_if(.., J::may_retry).collect());
            }
            let refused = StoreError::Refused(error.to_string());
            batch.drain(..).for_each(|job| job.fail(refused.clone()));
            Ok(())
        }
        Failure::Slow => {
            tracing::warn!(kind = J::KIND, %error, "the database did not do a statement in time");
            let now = Instant::now();
            let again = |job: &mut J| match J::CLASS {
                // It did nothing, and comes to an end when its caller has left, or too little time.
                Class::Write => true,
                Class::List => false,
                Class::Read => context.deadline.leaves_half(job.queued(), now) && job.may_retry(),
            };
            queue.return_to_front(batch.extract_if(.., again).collect());
            batch
                .drain(..)
                .for_each(|job| job.fail(StoreError::Timeout));
            Ok(())
        }
        Failure::Stale => {
            context.losses.fetch_add(1, Ordering::Relaxed);
            // Writes too. Each comes to an end when its caller has left, or too little time.
            queue.return_to_front(std::mem::take(batch));
            Err(error.to_string())
        }
        Failure::Late => {
            queue.return_to_front(std::mem::take(batch));
            Err(error.to_string())
        }
        Failure::Connection => {
            // Before another connection takes what may run again: it has to be checked first.
            context.losses.fetch_add(1, Ordering::Relaxed);
            retry_or_fail(queue, batch, window, StoreError::Unavailable);
            Err(error.to_string())
        }
    }
}

/// Returns to the queue what may run again, and fails the rest.
fn retry_or_fail<J: Job>(queue: &Queue<J>, batch: &mut Vec<J>, window: Window, error: StoreError) {
    let mut lost = std::mem::take(batch);
    let again = lost.extract_if(.., J::may_retry).collect();
    queue.return_to_front(again);
    fail_once_ineffective(lost, window, error);
}

/// Fails jobs. Those that write get their answer only when the statement cannot take effect any more.
fn fail_once_ineffective<J: Job>(jobs: Vec<J>, window: Window, error: StoreError) {
    if jobs.is_empty() {
        return;
    }
    tokio::spawn(async move {
        if J::CLASS == Class::Write {
            tokio::time::sleep_until(window.end).await;
        }
        jobs.into_iter().for_each(|job| job.fail(error.clone()));
    });
}

/// Answers all that waits with an error.
pub fn fail_all<J: Job>(queue: &Queue<J>, error: &StoreError) {
    let mut batch = Vec::new();
    queue.take(&mut batch, usize::MAX);
    batch.into_iter().for_each(|job| job.fail(error.clone()));
}
