//! A task that owns one connection: it takes batches from its queue, runs them under a deadline, and
//! connects again when the connection is lost.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::deadline::{Deadline, Window};
use super::job::{Failure, Job};
use super::queue::{Queue, Turn};
use super::session::{Connect, ConnectError, Session};
use crate::store::StoreError;
use crate::telemetry::StoreMetrics;

/// First and longest pause between two attempts to connect. The longest bounds how long the service is
/// away after the database is back.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a connection may be idle before it is checked.
const IDLE_CHECK: Duration = Duration::from_secs(1);
/// How long a busy one may go unchecked: the clock of its server may step.
const BUSY_CHECK: Duration = Duration::from_secs(10);

/// What all links of a store share.
#[derive(Debug)]
pub struct Shared {
    /// How long callers wait.
    pub deadline: Deadline,
    /// Where sizes and times of batches are counted.
    pub metrics: Arc<StoreMetrics>,
    /// Connections that were lost. What took one, a restart or a failover, has mostly taken the others
    /// too, so each of them is checked before it is used again.
    pub losses: AtomicUsize,
}

/// How a connection ended.
enum End {
    /// The queue is closed and empty.
    Closed,
    /// There was none.
    NotConnected(ConnectError),
    /// It cannot be used any more.
    Lost(String),
}

/// Serves `queue` until it is closed and empty. A panic costs the connection, not the task.
pub async fn run<J: Job, C: Connect<J>>(queue: Arc<Queue<J>>, server: Arc<C>, shared: Arc<Shared>) {
    queue.link_started();
    let mut pause = BACK_OFF.0;
    let mut last_reason = String::new();
    while !queue.is_closing() {
        let session = AssertUnwindSafe(session(&queue, &*server, &shared)).catch_unwind();
        match session.await {
            Ok(End::NotConnected(error)) => {
                let reason = error.to_string();
                // The same reason again and again would fill the log.
                if reason != last_reason {
                    tracing::warn!(kind = J::KIND, reason, "no connection to the database");
                    last_reason = reason;
                }
                if pause == BACK_OFF.0 {
                    // Once may be chance: callers that wait are not refused yet.
                    tokio::time::sleep(pause).await;
                } else {
                    pause_before_retry(&queue, pause).await;
                }
                pause = (pause * 2).min(BACK_OFF.1);
                continue;
            }
            Ok(End::Closed) => {}
            Ok(End::Lost(reason)) => {
                tracing::warn!(kind = J::KIND, reason, "lost a database connection");
            }
            Err(_) => {
                // The callers of the batch, if there was one, have their answer: it was dropped.
                tracing::error!(kind = J::KIND, "a database connection's task panicked");
                tokio::time::sleep(BACK_OFF.0).await;
            }
        }
        pause = BACK_OFF.0;
        last_reason.clear();
        shared.losses.fetch_add(1, Ordering::Relaxed);
        queue.wake_all();
    }
    fail_all(&queue, &StoreError::Unavailable);
}

/// Connects and serves until the connection ends.
async fn session<J: Job, C: Connect<J>>(queue: &Queue<J>, server: &C, shared: &Shared) -> End {
    match server.connect().await {
        Ok(session) => {
            tracing::debug!(kind = J::KIND, "connected to the database");
            let _connected = queue.connected();
            serve(queue, session, shared).await
        }
        Err(error) => End::NotConnected(error),
    }
}

/// Runs batches until the connection is lost or the queue is closed.
async fn serve<J: Job>(queue: &Queue<J>, mut session: impl Session<J>, shared: &Shared) -> End {
    let mut batch = Vec::with_capacity(J::MAX_BATCH);
    let mut losses = shared.losses.load(Ordering::Relaxed);
    let mut checked = Instant::now();
    loop {
        let now = shared.losses.load(Ordering::Relaxed);
        if now != losses || checked.elapsed() > BUSY_CHECK {
            losses = now;
            if let Err(reason) = session.check().await {
                return End::Lost(reason);
            }
            checked = Instant::now();
        }
        match queue.turn(J::queued) {
            Turn::Take => take(queue, &mut batch, shared.deadline),
            Turn::Leave(rest) => tokio::time::sleep(rest).await,
            Turn::Wait if queue.is_closing() => {
                session.close().await;
                return End::Closed;
            }
            Turn::Wait => {
                if timeout(IDLE_CHECK, queue.wait()).await.is_err() {
                    if let Err(reason) = session.check().await {
                        return End::Lost(reason);
                    }
                    checked = Instant::now();
                }
            }
        }
        if batch.is_empty() {
            continue;
        }
        if let Err(reason) = run_batch(queue, &mut session, &mut batch, shared).await {
            return End::Lost(reason);
        }
        // They did nothing together.
        let mut apart = std::mem::take(&mut batch).into_iter();
        while let Some(job) = apart.next() {
            batch.push(job);
            if let Err(reason) = run_batch(queue, &mut session, &mut batch, shared).await {
                give_up(queue, apart.collect());
                return End::Lost(reason);
            }
        }
    }
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
    let too_late = |job: &mut J| {
        job.is_abandoned()
            || match (J::WRITES, J::PATIENT) {
                (true, _) => !deadline.admits_write(job.queued(), now),
                (false, true) => !deadline.admits_patient(job.queued(), now),
                (false, false) => false,
            }
    };
    batch
        .extract_if(.., too_late)
        .for_each(|job| job.fail(StoreError::Timeout));
}

/// When a batch may run.
fn window<J: Job>(batch: &[J], deadline: Deadline) -> Window {
    let now = Instant::now();
    let oldest = batch.iter().map(J::queued).min().unwrap_or(now);
    match (J::WRITES, J::PATIENT) {
        (true, _) => deadline.write_window(oldest),
        (false, true) => deadline.patient_window(oldest),
        (false, false) => deadline.read_window(now),
    }
}

/// Runs a batch and answers its callers, which leaves it empty: unless the values of one of several jobs are at fault,
/// and each has to run alone. An error is the reason why the connection cannot be used any more.
async fn run_batch<J: Job>(
    queue: &Queue<J>,
    session: &mut impl Session<J>,
    batch: &mut Vec<J>,
    shared: &Shared,
) -> Result<(), String> {
    let (size, started) = (batch.len(), Instant::now());
    let _in_progress = queue.in_progress(size);
    let window = window(batch, shared.deadline);
    let run = AssertUnwindSafe(session.run(batch, window)).catch_unwind();
    let outcome = timeout_at(window.end, run).await;
    shared.metrics.statement(J::WRITES, size, started.elapsed());
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
            shared.losses.fetch_add(1, Ordering::Relaxed);
            retry_or_fail(queue, batch, window, StoreError::Timeout);
            return Err(format!("no answer within {:?}", started.elapsed()));
        }
    };
    match error.failure() {
        Failure::Values if size > 1 => Ok(()),
        Failure::Values => {
            tracing::error!(kind = J::KIND, %error, "the database refused a statement");
            let refused = StoreError::Refused(error.to_string());
            batch.drain(..).for_each(|job| job.fail(refused.clone()));
            Ok(())
        }
        Failure::Slow => {
            tracing::warn!(kind = J::KIND, %error, "the database did not do a statement in time");
            // A write did nothing, and comes to an end when its caller has left, or too little time. A read may run
            // only once more, if it has the time.
            let again = batch
                .extract_if(.., |job| J::WRITES || (!J::PATIENT && job.may_retry()))
                .collect();
            queue.return_to_front(again);
            batch
                .drain(..)
                .for_each(|job| job.fail(StoreError::Timeout));
            Ok(())
        }
        Failure::Stale => {
            shared.losses.fetch_add(1, Ordering::Relaxed);
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
            shared.losses.fetch_add(1, Ordering::Relaxed);
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
        if J::WRITES {
            tokio::time::sleep_until(window.end).await;
        }
        jobs.into_iter().for_each(|job| job.fail(error.clone()));
    });
}

/// Waits for `pause`. While no link is connected, callers that come meanwhile are refused at once
/// instead of waiting for their deadline.
async fn pause_before_retry<J: Job>(queue: &Queue<J>, pause: Duration) {
    let end = Instant::now() + pause;
    if queue.link_failing() {
        while !queue.is_closing() {
            let mut batch = Vec::new();
            queue.take(&mut batch, usize::MAX);
            // Checked once the jobs are taken: no job that came after another link was connected is
            // refused.
            if queue.is_connected() {
                queue.return_to_front(batch);
                break;
            }
            batch
                .into_iter()
                .for_each(|job| job.fail(StoreError::Unavailable));
            if timeout_at(end, queue.wait()).await.is_err() {
                break;
            }
        }
    }
    if !queue.is_closing() {
        tokio::time::sleep_until(end).await;
    }
    queue.link_trying();
}

fn fail_all<J: Job>(queue: &Queue<J>, error: &StoreError) {
    let mut batch = Vec::new();
    queue.take(&mut batch, usize::MAX);
    batch.into_iter().for_each(|job| job.fail(error.clone()));
}

#[cfg(test)]
mod tests;
