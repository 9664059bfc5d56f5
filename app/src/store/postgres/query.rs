//! Statements for one caller at a time, which come too rarely to share one. They have connections of
//! their own, so that a long list never delays a greeting.

use std::any::Any;
use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::deadline::Class;
use super::job::{Job, Reply, Reruns, RunError, Terms};
use super::queue::Overlap;
use super::rights::{READ_ALL, WRITE_ALL};
use crate::store::StoreError;
use crate::store::schema::Right;

/// A statement, or a few that need not be one transaction.
pub trait Statement: Send + Sync + 'static {
    /// The answer.
    type Output: Send + 'static;
    /// Whether it may run again after its connection was lost: it changes nothing.
    const REPEATABLE: bool;

    /// Runs it. One that writes does nothing when the server begins after [`Terms::start_by`].
    fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> impl Future<Output = Result<Self::Output, RunError>> + Send;
}

/// A statement of any kind, and the caller that waits for its answer. Those that change something have connections of
/// their own, which a long list does not occupy.
pub struct Query<const CHANGES: bool> {
    work: Box<dyn Work>,
    queued: Instant,
    reruns: Reruns,
}

impl<const CHANGES: bool> fmt::Debug for Query<CHANGES> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Query").finish_non_exhaustive()
    }
}

impl<const CHANGES: bool> Query<CHANGES> {
    /// A query that runs `statement` for a caller who came at `queued`.
    pub fn new<S: Statement>(statement: S, queued: Instant, reply: Reply<S::Output>) -> Self {
        Self {
            work: Box::new(Pending { statement, reply }),
            queued,
            reruns: Reruns::new(),
        }
    }
}

/// The answer of a statement; [`Work::answer`] knows its type.
type AnyOutput = Box<dyn Any + Send>;

/// [`Statement`] without its types.
trait Work: Send + Sync {
    fn run<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        terms: Terms<'a>,
    ) -> BoxFuture<'a, Result<AnyOutput, RunError>>;
    fn answer(self: Box<Self>, output: AnyOutput);
    fn fail(self: Box<Self>, error: StoreError);
    fn is_abandoned(&self) -> bool;
    fn is_repeatable(&self) -> bool;
}

struct Pending<S: Statement> {
    statement: S,
    reply: Reply<S::Output>,
}

impl<S: Statement> Work for Pending<S> {
    fn run<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        terms: Terms<'a>,
    ) -> BoxFuture<'a, Result<AnyOutput, RunError>> {
        async move {
            let output = self.statement.run(connection, terms).await?;
            Ok(Box::new(output) as AnyOutput)
        }
        .boxed()
    }

    fn answer(self: Box<Self>, output: AnyOutput) {
        // The type is always the one that the run of the same statement has boxed.
        if let Ok(output) = output.downcast::<S::Output>() {
            // Fails only when the caller has left.
            let _ = self.reply.send(Ok(*output));
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn is_repeatable(&self) -> bool {
        S::REPEATABLE
    }
}

impl<const CHANGES: bool> Job for Query<CHANGES> {
    const KIND: &'static str = if CHANGES { "change" } else { "list" };
    const MAX_BATCH: usize = 1;
    const OVERLAP: Overlap = Overlap::FromHalf;
    const CLASS: Class = if CHANGES { Class::Write } else { Class::List };
    const RIGHTS: &'static [Right] = if CHANGES { WRITE_ALL } else { READ_ALL };
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
    type Output = Vec<AnyOutput>;

    async fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms<'_>,
    ) -> Result<Self::Output, RunError> {
        let mut outputs = Vec::with_capacity(batch.len());
        for job in batch {
            outputs.push(job.work.run(connection, terms).await?);
        }
        Ok(outputs)
    }

    fn answer(batch: &mut Vec<Self>, outputs: Self::Output) {
        for (job, output) in batch.drain(..).zip(outputs) {
            job.work.answer(output);
        }
    }

    fn queued(&self) -> Instant {
        self.queued
    }

    fn is_abandoned(&self) -> bool {
        self.work.is_abandoned()
    }

    fn may_retry(&mut self) -> bool {
        self.work.is_repeatable() && self.reruns.take()
    }

    fn fail(self, error: StoreError) {
        self.work.fail(error);
    }
}
