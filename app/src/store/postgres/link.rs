//! A task that owns one connection: takes batches from its queue, runs them under a deadline,
//! and connects again when the connection is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, timeout, timeout_at};

use super::change::{Job, RunError, Terms};
use super::queue::{Queue, Turn};
use super::{Pooler, PostgresOptions};
use crate::store::{DatabaseUrl, StoreError, schema};

/// First and longest pause between two attempts to connect. The longest bounds how long the
/// service is away after the database is back.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a connection may be idle before it is asked whether it still works.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// Counts lost connections. What took one connection, a restart or a failover, has mostly taken
/// the others too, and each of them is asked for a sign of life before it is used again.
#[derive(Debug, Default)]
pub struct Losses(AtomicUsize);

impl Losses {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why there is no usable connection.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("{0}")]
    Url(#[from] crate::store::InvalidDatabaseUrl),
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("no connection within {0:?}")]
    Deadline(Duration),
    #[error("the database is read-only")]
    ReadOnly,
    #[error("the schema is at version {found}, this program needs {needed}")]
    Schema { found: i64, needed: i64 },
}

/// Serves `queue` until it is closed and empty.
pub async fn run<J: Job>(queue: Arc<Queue<J>>, options: Arc<PostgresOptions>) {
    queue.link_started();
    let mut pause = BACK_OFF.0;
    let mut last_reason = String::new();
    while !queue.is_closing() {
        match connect::<J>(&options).await {
            Ok(link) => {
                pause = BACK_OFF.0;
                last_reason.clear();
                tracing::debug!(kind = J::KIND, "connected to the database");
                queue.connection_up();
                let lost = serve(&queue, link, &options).await;
                queue.connection_down();
                options.losses.0.fetch_add(1, Ordering::Relaxed);
                queue.wake_all();
                if let Some(reason) = lost {
                    tracing::warn!(kind = J::KIND, reason, "lost a database connection");
                }
            }
            Err(error) => {
                let reason = error.to_string();
                // The same reason again and again would fill the log without telling more.
                if reason != last_reason {
                    tracing::warn!(kind = J::KIND, reason, "no connection to the database");
                    last_reason = reason;
                }
                if pause == BACK_OFF.0 {
                    // Once may be chance: those who wait are not given up yet.
                    tokio::time::sleep(pause).await;
                } else {
                    pause_before_retry(&queue, pause).await;
                }
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
    }
    fail_all(&queue, &StoreError::Unavailable);
}

/// A connection, and the time by its server.
struct Link {
    connection: PgConnection,
    clock: ServerClock,
}

/// What the server's clock showed at the latest at a local instant.
#[derive(Debug, Clone, Copy)]
struct ServerClock {
    time: DateTime<Utc>,
    at: Instant,
}

impl ServerClock {
    /// The server's time at `instant`, or a little earlier: by the way of the answer that told it.
    fn at(self, instant: Instant) -> DateTime<Utc> {
        let since = instant.saturating_duration_since(self.at);
        // Only centuries ahead would it overflow.
        TimeDelta::from_std(since).map_or(self.time, |since| self.time + since)
    }
}

/// Connects, and checks that the server is one this queue's work can be done on.
async fn connect<J: Job>(options: &PostgresOptions) -> Result<Link, ConnectError> {
    let attempt = async {
        let mut connection = log_in(options).await?;
        let state = schema::postgres_state(&mut connection).await?;
        let clock = ServerClock {
            time: state.time,
            at: Instant::now(),
        };
        if J::WRITES && state.read_only {
            return Err(ConnectError::ReadOnly);
        }
        let needed = schema::postgres_version();
        // A newer schema is fine: during a rolling update the old pods serve on the new one.
        if state.version < needed {
            return Err(ConnectError::Schema {
                found: state.version,
                needed,
            });
        }
        Ok(Link { connection, clock })
    };
    timeout(options.connect_timeout, attempt)
        .await
        .unwrap_or(Err(ConnectError::Deadline(options.connect_timeout)))
}

/// Connects with the address as it is now, or with the previous one while the server does not know
/// a new password yet.
async fn log_in(options: &PostgresOptions) -> Result<PgConnection, ConnectError> {
    let now = connect_options(options, options.url.read()?)?;
    match now.connect().await {
        Err(refused) if is_refused_login(&refused) => match options.url.read_previous() {
            Some(previous) => Ok(connect_options(options, previous)?.connect().await?),
            None => Err(refused.into()),
        },
        answer => Ok(answer?),
    }
}

/// Whether the server knows the role and not the password, or not the role.
fn is_refused_login(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("28P01" | "28000"))
}

fn connect_options(
    options: &PostgresOptions,
    url: DatabaseUrl,
) -> Result<PgConnectOptions, ConnectError> {
    let url = match url {
        // The driver would log slow statements, and measures every one for it.
        DatabaseUrl::Postgres(url) => url
            .application_name("hello-app")
            .disable_statement_logging(),
        DatabaseUrl::Sqlite(_) => return Err(crate::store::InvalidDatabaseUrl::Scheme.into()),
    };
    Ok(match options.pooler {
        Pooler::None => url,
        // The server behind a connection changes with every transaction: nothing may be left
        // there, and poolers refuse start-up parameters that they cannot track.
        Pooler::Transaction => url.extra_float_digits(None),
    })
}

/// When the parts of a batch's time are over.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The last moment at which the server may begin with a batch that writes. A statement that
    /// is held up in the network, and whose callers were told that it failed, then does nothing:
    /// it would undo what they have written since.
    fence: Instant,
    /// The end of waiting for an answer.
    end: Instant,
}

impl Limits {
    fn new<J: Job>(batch: &[J], deadline: Duration) -> Self {
        let now = Instant::now();
        let oldest = batch.iter().map(J::asked).min().unwrap_or(now);
        if J::WRITES {
            Self {
                fence: oldest + deadline * 3 / 4,
                end: oldest + deadline,
            }
        } else {
            // A read leaves time to be tried again once.
            Self {
                fence: now,
                end: now + deadline / 2,
            }
        }
    }
}

/// Takes the jobs to do next. Those nobody waits for any more are left out, and writes that have
/// too little of their time left are refused.
fn take<J: Job>(queue: &Queue<J>, batch: &mut Vec<J>, deadline: Duration) {
    queue.take(batch, J::MAX_BATCH);
    let too_late =
        |job: &mut J| job.is_abandoned() || (J::WRITES && job.asked().elapsed() > deadline / 2);
    batch
        .extract_if(.., too_late)
        .for_each(|job| job.fail(StoreError::Timeout));
}

/// Runs batches until the connection is lost (then says why) or the queue is closed.
async fn serve<J: Job>(
    queue: &Queue<J>,
    mut link: Link,
    options: &PostgresOptions,
) -> Option<String> {
    let mut batch = Vec::with_capacity(J::MAX_BATCH);
    let mut losses = options.losses.count();
    loop {
        let now = options.losses.count();
        if now != losses {
            losses = now;
            if let Err(reason) = check(&mut link.connection).await {
                return Some(reason);
            }
        }
        match queue.turn(J::asked) {
            Turn::Take => take(queue, &mut batch, options.deadline),
            Turn::Leave(rest) => tokio::time::sleep(rest).await,
            Turn::Wait if queue.is_closing() => {
                // Being polite to the server is not worth waiting for it.
                let _ = timeout(Duration::from_secs(1), link.connection.close()).await;
                return None;
            }
            Turn::Wait => {
                if timeout(IDLE_CHECK, queue.wait()).await.is_err()
                    && let Err(reason) = check(&mut link.connection).await
                {
                    return Some(reason);
                }
            }
        }
        if batch.is_empty() {
            continue;
        }
        let (size, started) = (batch.len(), Instant::now());
        let _under_way = queue.under_way(size);
        let limits = Limits::new(&batch, options.deadline);
        let run = run_batch(&mut link, &batch, limits, options.pooler);
        let outcome = timeout_at(limits.end, run).await;
        options
            .metrics
            .statement(J::WRITES, size, started.elapsed());
        match outcome {
            Ok(Ok(output)) => J::answer(&mut batch, output),
            Ok(Err(RunError::Database(error))) if is_statement_error(&error) => {
                tracing::error!(kind = J::KIND, %error, "the database refused a statement");
                let refused = StoreError::Refused(error.to_string());
                batch.drain(..).for_each(|job| job.fail(refused.clone()));
            }
            Ok(Err(RunError::Late)) => {
                batch
                    .drain(..)
                    .for_each(|job| job.fail(StoreError::Timeout));
                return Some(RunError::Late.to_string());
            }
            Ok(Err(RunError::Database(error))) => {
                retry_or_fail(queue, batch, limits, StoreError::Unavailable);
                return Some(error.to_string());
            }
            Err(_) => {
                retry_or_fail(queue, batch, limits, StoreError::Timeout);
                return Some(format!("no answer within {:?}", started.elapsed()));
            }
        }
    }
}

async fn run_batch<J: Job>(
    link: &mut Link,
    batch: &[J],
    limits: Limits,
    pooler: Pooler,
) -> Result<J::Output, RunError> {
    let fence = link.clock.at(limits.fence);
    match pooler {
        Pooler::None => {
            J::run(
                &mut link.connection,
                batch,
                Terms {
                    fence,
                    persistent: true,
                },
            )
            .await
        }
        Pooler::Transaction => {
            let mut transaction = link.connection.begin().await?;
            let terms = Terms {
                fence,
                persistent: false,
            };
            let output = J::run(&mut transaction, batch, terms).await?;
            transaction.commit().await?;
            Ok(output)
        }
    }
}

/// Asks an idle connection for a sign of life.
async fn check(connection: &mut PgConnection) -> Result<(), String> {
    match timeout(Duration::from_secs(1), connection.ping()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("idle connection is dead".into()),
    }
}

/// Whether only the statement failed. Anything else means the connection, or the server behind
/// it, is of no use any more: shut down, failed over to read-only, or out of sync.
fn is_statement_error(error: &sqlx::Error) -> bool {
    const READ_ONLY: &str = "25006";
    const OPERATOR_INTERVENTION: &str = "57";
    const CONNECTION_EXCEPTION: &str = "08";
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code != READ_ONLY
                && !code.starts_with(OPERATOR_INTERVENTION)
                && !code.starts_with(CONNECTION_EXCEPTION)
        }),
        _ => false,
    }
}

/// Puts back what may run again, and fails the rest once it is sure not to take effect any more.
fn retry_or_fail<J: Job>(queue: &Queue<J>, batch: Vec<J>, limits: Limits, error: StoreError) {
    let mut again = Vec::new();
    let mut lost = Vec::new();
    for mut job in batch {
        if job.may_retry() {
            again.push(job)
        } else {
            lost.push(job)
        }
    }
    queue.put_back(again);
    if lost.is_empty() {
        return;
    }
    tokio::spawn(async move {
        if J::WRITES {
            tokio::time::sleep_until(limits.fence).await;
        }
        lost.into_iter().for_each(|job| job.fail(error.clone()));
    });
}

/// Waits for `pause`. While no link is connected, those who ask meanwhile are told at once that the
/// database is away, instead of waiting for their deadline.
async fn pause_before_retry<J: Job>(queue: &Queue<J>, pause: Duration) {
    let end = Instant::now() + pause;
    if queue.link_failing() {
        while !queue.is_closing() {
            let mut batch = Vec::new();
            queue.take(&mut batch, usize::MAX);
            // Asked once the jobs are in hand: none that came after another link was connected is
            // told that there is none.
            if queue.is_connected() {
                queue.put_back(batch);
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
mod tests {
    use tokio::sync::oneshot;

    use super::super::change::Lookup;
    use super::super::queue::Beside;
    use super::*;
    use crate::domain::Username;

    fn job() -> (
        Lookup,
        oneshot::Receiver<Result<Option<crate::domain::DateOfBirth>, StoreError>>,
    ) {
        let (reply, answer) = oneshot::channel();
        (
            Lookup::new(Username::from_stored("alice".into()), reply),
            answer,
        )
    }

    #[tokio::test]
    async fn a_link_that_pauses_refuses_work_only_while_no_other_is_connected() {
        let queue = Arc::new(Queue::new(9, 9, Beside::HalfAsMuch));
        queue.link_started();
        let pausing = tokio::spawn({
            let queue = queue.clone();
            async move { pause_before_retry(&queue, Duration::from_millis(200)).await }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (refused, answer) = job();
        queue.push(refused).unwrap();
        assert_eq!(answer.await.unwrap(), Err(StoreError::Unavailable));

        queue.link_started();
        queue.connection_up();
        let (kept, mut answer) = job();
        queue.push(kept).unwrap();
        pausing.await.unwrap();
        assert!(answer.try_recv().is_err(), "it waits for the other link");
        let mut batch = Vec::new();
        queue.take(&mut batch, 9);
        assert_eq!(batch.len(), 1);
    }
}
