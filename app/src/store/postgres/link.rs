//! A task that owns one connection: it takes batches from its queue, runs them under a deadline, and
//! connects again when the connection is lost.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::batch::{Context, fail_all, run_next};
use super::crew::Counted;
use super::help::{Helped, Helper, Unfit};
use super::job::Job;
use super::queue::{Queue, Turn};
use super::session::{Connect, ConnectError, Session};
use crate::store::StoreError;

/// First and longest pause between two attempts to connect. The longest bounds how long the service is
/// away after the database is back.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The longest one while the server has no room, and other connections do the work. It logs each attempt.
const BACK_OFF_IN_A_CROWD: Duration = Duration::from_secs(10);
/// How long a connection may be idle before it is checked.
const IDLE_CHECK: Duration = Duration::from_secs(1);
/// How long a busy one may go unchecked: the clock of its server may step.
const BUSY_CHECK: Duration = Duration::from_secs(10);

/// What all links of a store share; `S` is a connection.
pub struct Shared<S> {
    /// What their batches share.
    pub context: Context,
    /// The work of all kinds.
    pub queues: Vec<Arc<dyn Helped<S>>>,
}

/// How a connection ended.
enum End {
    /// The queue is closed and empty.
    Closed,
    /// There was none.
    NotConnected(ConnectError),
    /// It cannot be used any more.
    Lost(String),
    /// It is to be opened again, see [`Unfit::Outdated`].
    Outdated,
}

impl From<Unfit> for End {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Lost(reason) => Self::Lost(reason),
            Unfit::Outdated => Self::Outdated,
        }
    }
}

/// Serves `queue` until it is closed and empty. A panic costs the connection, not the task.
pub async fn run<J, C>(queue: Arc<Queue<J>>, server: Arc<C>, shared: Arc<Shared<C::Session>>)
where
    J: Job,
    C: Connect<J>,
{
    queue.link_started();
    let mut pause = BACK_OFF.0;
    let mut last_reason = String::new();
    let mut left_out = None;
    while !queue.is_closing() {
        let session = session(&queue, &*server, &shared, &mut left_out);
        match AssertUnwindSafe(session).catch_unwind().await {
            Ok(End::NotConnected(error)) => {
                last_reason = not_connected::<J>(&error, last_reason);
                if !error.has_no_room() {
                    left_out = None;
                } else if left_out.is_none() {
                    left_out = Some(queue.crew().left_out());
                }
                if pause == BACK_OFF.0 {
                    // Once may be chance: callers that wait are not refused yet.
                    tokio::time::sleep(pause).await;
                } else {
                    pause_before_retry(&queue, pause).await;
                }
                let longest = if left_out.is_some() && queue.crew().is_connected() {
                    BACK_OFF_IN_A_CROWD
                } else {
                    BACK_OFF.1
                };
                pause = (pause * 2).min(longest);
                continue;
            }
            Ok(End::Closed) => {}
            Ok(End::Lost(reason)) => {
                tracing::warn!(kind = J::KIND, reason, "lost a database connection");
                shared.context.losses.fetch_add(1, Ordering::Relaxed);
            }
            Ok(End::Outdated) => {
                tracing::info!(kind = J::KIND, "opening a database connection again");
            }
            Err(_) => {
                // The callers of the batch, if there was one, have their answer: it was dropped.
                tracing::error!(kind = J::KIND, "a database connection's task panicked");
                shared.context.losses.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(BACK_OFF.0).await;
            }
        }
        pause = BACK_OFF.0;
        last_reason.clear();
        queue.wake_all();
    }
    if !queue.is_connected() {
        fail_all(&queue, &StoreError::Unavailable);
    }
    // It stays left out, so that others go on to do its work.
    std::mem::forget(left_out);
}

/// Reports why there is no connection, unless it was the last reason already: it would fill the log. Returns the reason.
fn not_connected<J: Job>(error: &ConnectError, last_reason: String) -> String {
    let reason = error.to_string();
    if reason == last_reason {
        return last_reason;
    }
    let message = if error.has_no_room() {
        "the database has no room for another connection: those that are open do this work, too"
    } else {
        "no connection to the database"
    };
    tracing::warn!(kind = J::KIND, reason, "{message}");
    reason
}

/// Connects and serves until the connection ends. Once connected, the link is not `left_out` any more.
async fn session<'a, J: Job, C: Connect<J>>(
    queue: &'a Queue<J>,
    server: &C,
    shared: &Shared<C::Session>,
    left_out: &mut Option<Counted<'a>>,
) -> End {
    let losses = shared.context.losses.load(Ordering::Relaxed);
    match server.connect().await {
        Ok(session) => {
            tracing::debug!(kind = J::KIND, "connected to the database");
            let _connected = queue.connected();
            let _counted = shared.context.metrics.connected(J::KIND);
            *left_out = None;
            serve(queue, session, shared, losses).await
        }
        Err(error) => {
            shared.context.metrics.not_connected(J::KIND, error.label());
            End::NotConnected(error)
        }
    }
}

/// Runs batches until the connection is lost or the queue is closed. Before it was opened, so many others had been lost.
async fn serve<J: Job, S: Session<J>>(
    queue: &Queue<J>,
    mut session: S,
    shared: &Shared<S>,
    losses: usize,
) -> End {
    let mut batch = Vec::with_capacity(J::MAX_BATCH);
    let mut helper = Helper::new(&shared.queues, &shared.context, losses);
    let mut losses = shared.context.losses.load(Ordering::Relaxed);
    let mut checked = Instant::now();
    loop {
        let now = shared.context.losses.load(Ordering::Relaxed);
        if now != losses || checked.elapsed() > BUSY_CHECK {
            losses = now;
            if let Err(reason) = session.check().await {
                return End::Lost(reason);
            }
            checked = Instant::now();
        }
        // Before it looks for work, so that none is missed.
        let called = pin!(queue.crew().called());
        if let Err(unfit) = helper.help(queue, &mut session).await {
            if matches!(unfit, Unfit::Outdated) {
                session.close().await;
            }
            return unfit.into();
        }
        let has_run = match queue.turn(J::queued) {
            Turn::Take => match run_next(queue, &mut session, &mut batch, &shared.context).await {
                Ok(has_run) => has_run,
                Err(reason) => return End::Lost(reason),
            },
            Turn::Leave(rest) => {
                tokio::time::sleep(rest).await;
                true
            }
            Turn::Wait if queue.is_closing() && !helper.is_wanted() => {
                session.close().await;
                return End::Closed;
            }
            Turn::Wait => false,
        };
        if has_run {
            continue;
        }
        if timeout(IDLE_CHECK, work(queue, called)).await.is_err() {
            if let Err(reason) = session.check().await {
                return End::Lost(reason);
            }
            checked = Instant::now();
        }
    }
}

/// Waits until there may be work of its own, or it is `called` for that of others.
async fn work<J: Job>(queue: &Queue<J>, called: impl Future<Output = ()>) {
    // What is there already has to wait until others are done.
    if queue.is_empty() && !queue.is_closing() {
        tokio::select! {
            () = queue.wait() => {}
            () = called => {}
        }
    } else {
        called.await;
    }
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

#[cfg(test)]
mod tests;
