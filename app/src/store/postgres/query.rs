//! Work for one caller at a time: what is asked too rarely to share statements. It has connections
//! of its own, so that a long list never holds up a greeting.

use std::any::Any;
use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::change::{Job, Reply, RunError, Terms};
use super::queue::Beside;
use crate::store::StoreError;

/// A statement, or a few that need not be one transaction.
pub trait Statement: Send + Sync + 'static {
    /// What it tells.
    type Output: Send + 'static;
    /// Whether it may run again after its connection was lost: it changes nothing.
    const REPEATABLE: bool;

    /// Runs it. One that writes does nothing when the server comes to it only after the fence.
    fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms,
    ) -> impl Future<Output = Result<Self::Output, RunError>> + Send;
}

/// A statement of any kind, and somebody who waits for its answer.
pub struct Single {
    work: Box<dyn Work>,
    asked: Instant,
    retried: bool,
}

impl fmt::Debug for Single {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Single").finish_non_exhaustive()
    }
}

impl Single {
    /// Asks for `statement`.
    pub fn new<S: Statement>(statement: S, reply: Reply<S::Output>) -> Self {
        Self {
            work: Box::new(Asked { statement, reply }),
            asked: Instant::now(),
            retried: false,
        }
    }
}

/// What a statement told; [`Work::answer`] knows its type.
type AnyOutput = Box<dyn Any + Send>;

/// [`Statement`] without its types.
trait Work: Send + Sync {
    fn run<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        terms: Terms,
    ) -> BoxFuture<'a, Result<AnyOutput, RunError>>;
    fn answer(self: Box<Self>, output: AnyOutput);
    fn fail(self: Box<Self>, error: StoreError);
    fn is_abandoned(&self) -> bool;
    fn is_repeatable(&self) -> bool;
}

struct Asked<S: Statement> {
    statement: S,
    reply: Reply<S::Output>,
}

impl<S: Statement> Work for Asked<S> {
    fn run<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        terms: Terms,
    ) -> BoxFuture<'a, Result<AnyOutput, RunError>> {
        async move {
            let output = self.statement.run(connection, terms).await?;
            Ok(Box::new(output) as AnyOutput)
        }
        .boxed()
    }

    fn answer(self: Box<Self>, output: AnyOutput) {
        // Always the type that this statement's own run has boxed.
        if let Ok(output) = output.downcast::<S::Output>() {
            // The caller may have gone away; then nobody misses the answer.
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

impl Job for Single {
    const KIND: &'static str = "single";
    const MAX_BATCH: usize = 1;
    const BESIDE: Beside = Beside::HalfAsMuch;
    const WRITES: bool = true;
    type Output = Vec<AnyOutput>;

    async fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms,
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

    fn asked(&self) -> Instant {
        self.asked
    }

    fn is_abandoned(&self) -> bool {
        self.work.is_abandoned()
    }

    fn may_retry(&mut self) -> bool {
        self.work.is_repeatable() && !std::mem::replace(&mut self.retried, true)
    }

    fn fail(self, error: StoreError) {
        self.work.fail(error);
    }
}
