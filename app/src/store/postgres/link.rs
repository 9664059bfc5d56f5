//! A task that owns one connection: takes batches from its queue, runs them under a deadline,
//! and connects again when the connection is lost.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, timeout};

use super::PostgresOptions;
use super::jobs::Job;
use super::queue::Queue;
use crate::store::{DatabaseUrl, StoreError, schema};

/// First and longest pause between two attempts to connect. The longest bounds how long the
/// service is away after the database is back.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a connection may be idle before it is asked whether it still works.
const IDLE_CHECK: Duration = Duration::from_secs(5);

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
    let mut pause = BACK_OFF.0;
    let mut last_reason = String::new();
    while !queue.is_closing() {
        match connect::<J>(&options).await {
            Ok(connection) => {
                pause = BACK_OFF.0;
                last_reason.clear();
                tracing::debug!(kind = J::KIND, "connected to the database");
                queue.connection_up();
                let lost = serve(&queue, connection, &options).await;
                queue.connection_down();
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
                refuse_while_away(&queue, pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
    }
    fail_all(&queue, &StoreError::Unavailable);
}

/// Connects, and checks that the server is one this queue's work can be done on.
async fn connect<J: Job>(options: &PostgresOptions) -> Result<PgConnection, ConnectError> {
    let attempt = async {
        let mut connection = connect_options(options)?.connect().await?;
        let (read_only, found) = schema::postgres_state(&mut connection).await?;
        if J::WRITES && read_only {
            return Err(ConnectError::ReadOnly);
        }
        let needed = schema::postgres_version();
        // A newer schema is fine: during a rolling update the old pods serve on the new one.
        if found < needed {
            return Err(ConnectError::Schema { found, needed });
        }
        Ok(connection)
    };
    timeout(options.connect_timeout, attempt)
        .await
        .unwrap_or(Err(ConnectError::Deadline(options.connect_timeout)))
}

fn connect_options(options: &PostgresOptions) -> Result<PgConnectOptions, ConnectError> {
    match options.url.read()? {
        DatabaseUrl::Postgres(url) => Ok(url.application_name("hello-app")),
        DatabaseUrl::Sqlite(_) => Err(crate::store::InvalidDatabaseUrl::Scheme.into()),
    }
}

/// Runs batches until the connection is lost (then says why) or the queue is closed.
async fn serve<J: Job>(
    queue: &Queue<J>,
    mut connection: PgConnection,
    options: &PostgresOptions,
) -> Option<String> {
    let deadline = options.statement_deadline(J::WRITES);
    let mut batch = Vec::with_capacity(J::MAX_BATCH);
    loop {
        queue.take(&mut batch, J::MAX_BATCH);
        batch.retain(|job| !job.is_abandoned());
        if batch.is_empty() {
            if queue.is_closing() {
                // Being polite to the server is not worth waiting for it.
                let _ = timeout(Duration::from_secs(1), connection.close()).await;
                return None;
            }
            if timeout(IDLE_CHECK, queue.wait()).await.is_err()
                && let Err(reason) = check(&mut connection).await
            {
                return Some(reason);
            }
            continue;
        }
        let (size, started) = (batch.len(), Instant::now());
        let outcome = timeout(deadline, J::run(&mut connection, &mut batch)).await;
        options
            .metrics
            .statement(J::WRITES, size, started.elapsed());
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) if is_statement_error(&error) => {
                tracing::error!(kind = J::KIND, %error, "the database refused a statement");
                let refused = StoreError::Refused(error.to_string());
                batch.drain(..).for_each(|job| job.fail(refused.clone()));
            }
            Ok(Err(error)) => {
                retry_or_fail(queue, &mut batch, &StoreError::Unavailable);
                return Some(error.to_string());
            }
            Err(_) => {
                retry_or_fail(queue, &mut batch, &StoreError::Timeout);
                return Some(format!("no answer within {deadline:?}"));
            }
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

fn retry_or_fail<J: Job>(queue: &Queue<J>, batch: &mut Vec<J>, error: &StoreError) {
    let mut again = Vec::new();
    for mut job in batch.drain(..) {
        if job.may_retry() {
            again.push(job);
        } else {
            job.fail(error.clone());
        }
    }
    queue.put_back(again);
}

/// Waits for `pause`; meanwhile, unless another connection serves the queue, answers at once
/// that the database is away instead of letting callers wait for their deadline.
async fn refuse_while_away<J: Job>(queue: &Queue<J>, pause: Duration) {
    let end = Instant::now() + pause;
    while !queue.is_closing() {
        if queue.is_connected() {
            tokio::time::sleep_until(end).await;
            return;
        }
        fail_all(queue, &StoreError::Unavailable);
        if tokio::time::timeout_at(end, queue.wait()).await.is_err() {
            return;
        }
    }
}

fn fail_all<J: Job>(queue: &Queue<J>, error: &StoreError) {
    let mut batch = Vec::new();
    queue.take(&mut batch, usize::MAX);
    batch.into_iter().for_each(|job| job.fail(error.clone()));
}
