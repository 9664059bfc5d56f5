//! Work for a connection: what a batch is, and how it is run and answered.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::deadline::Class;
use super::queue::Overlap;
use crate::store::StoreError;
use crate::store::server_error::LOCK_NOT_AVAILABLE;

/// Where a caller waits for its answer.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// How a batch is run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A statement that writes does nothing when the server begins with it at this time or later. It is
    /// [`super::deadline::Window::start_by`] by the clock of the server.
    pub start_by: DateTime<Utc>,
    /// It is rolled back when it is not done by this time, [`super::deadline::Window::done_by`] by the clock of the server.
    pub done_by: DateTime<Utc>,
    /// Whether statements may stay prepared on the connection.
    pub persistent: bool,
}

/// Work that can share a statement with more of its kind.
pub trait Job: Send + Sync + Sized + 'static {
    /// For logs.
    const KIND: &'static str;
    /// The most that go into one statement.
    const MAX_BATCH: usize;
    /// When a second batch may run at the same time as the first.
    const OVERLAP: Overlap;
    /// What it does, and so how much time it has.
    const CLASS: Class;
    /// Settings of the server for connections that do only this work.
    const SETTINGS: &'static [(&'static str, &'static str)];
    /// The answer of the database to a whole batch.
    type Output: Send;

    /// Runs the whole batch.
    fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms,
    ) -> impl Future<Output = Result<Self::Output, RunError>> + Send;

    /// Gives every job of a batch its part of the answer.
    fn answer(batch: &mut Vec<Self>, output: Self::Output);

    /// When the job was queued.
    fn queued(&self) -> Instant;

    /// Whether the caller has left.
    fn is_abandoned(&self) -> bool;

    /// Whether the job may run again after its connection was lost. Each call that answers with true counts as a run.
    fn may_retry(&mut self) -> bool;

    /// Answers with an error.
    fn fail(self, error: StoreError);
}

/// How often work that changes nothing may still run again. What takes one connection, the end of a server or of a network,
/// takes the others a moment later, and so may interrupt the same work on each of them. It also ends when its caller leaves.
#[derive(Debug)]
pub struct Reruns(u8);

impl Reruns {
    /// More than the connections that one event can take from a read. The bound is for work that itself ends connections.
    const MOST: u8 = 3;

    /// For work that has not run yet.
    pub const fn new() -> Self {
        Self(Self::MOST)
    }

    /// Takes one, if there is one left.
    pub fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

/// Why a batch has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database, or the way to it, failed.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The server began after [`Terms::start_by`] or was not done by [`Terms::done_by`], and so did nothing.
    #[error("the server was too late with the statement")]
    Late,
    /// Writes go to another server by now, so this one was not asked.
    #[error("writes go to another server")]
    OtherServer,
}

/// What an error says about the connection and about what the statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The statement's own values are at fault: it did nothing, and others are not concerned.
    Values,
    /// It took too long, or waited too long for a lock: it did nothing.
    Slow,
    /// The session is over, or what was prepared in it does not fit any more: the server ended it, the schema has
    /// changed, or a pooler has changed the server. It did nothing, and can run on a new connection.
    Stale,
    /// The server's own clock refused it: it did nothing. The connection is checked again, since its view of that clock
    /// may be wrong.
    Late,
    /// The connection, or the server behind it, cannot be used any more: it is shut down, does not accept writes, or is
    /// out of sync.
    Connection,
}

impl RunError {
    /// What the error means.
    pub fn failure(&self) -> Failure {
        const VALUES: [&str; 2] = ["22", "23"];
        const CONFLICT: &str = "40";
        const SLOW: [&str; 2] = ["57014", LOCK_NOT_AVAILABLE];
        // The server ends a session (57P01, 57P05) in place of a statement's answer only when it has not committed it:
        // where it has, and waits for a standby, it closes the connection without an error.
        const STALE: [&str; 6] = ["08P01", "0A000", "26000", "42P05", "57P01", "57P05"];
        let error = match self {
            Self::Late => return Failure::Late,
            Self::OtherServer => return Failure::Stale,
            Self::Database(sqlx::Error::Database(error)) => error,
            Self::Database(_) => return Failure::Connection,
        };
        match error.code().as_deref() {
            Some(code) if SLOW.contains(&code) || code.starts_with(CONFLICT) => Failure::Slow,
            Some(code) if VALUES.iter().any(|class| code.starts_with(class)) => Failure::Values,
            Some(code) if STALE.contains(&code) => Failure::Stale,
            _ => Failure::Connection,
        }
    }
}
