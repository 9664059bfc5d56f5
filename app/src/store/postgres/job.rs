//! Work for a connection: what a batch is, and how it is run and answered.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::Overlap;
use crate::store::StoreError;

/// Where a caller waits for its answer.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// How a batch is run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A statement that writes does nothing when the server begins with it at this time or later. It is
    /// [`super::deadline::Window::start_by`] by the clock of the server.
    pub start_by: DateTime<Utc>,
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
    /// Whether the connection must be allowed to write.
    const WRITES: bool;
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

    /// Whether the job may run again after its connection was lost; true at most once.
    fn may_retry(&mut self) -> bool;

    /// Answers with an error.
    fn fail(self, error: StoreError);
}

/// Why a batch has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database, or the way to it, failed.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The server began after [`Terms::start_by`], and so did nothing.
    #[error("the server began with the statement too late")]
    Late,
}
