//! Connections that do the work of kinds for which the server has no room, beside that of their own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::batch::{Context, run_next};
use super::crew::Counted;
use super::deadline::Class;
use super::job::Job;
use super::queue::Queue;
use super::session::{Refusal, Session};

/// How long it takes until a connection that may not do some work is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A queue that connections of other kinds may serve.
pub trait Helped<S>: Send + Sync {
    /// For logs.
    fn kind(&self) -> &'static str;

    /// Whether its work changes something.
    fn writes(&self) -> bool;

    /// Whether none of its own connections can serve it, since the server has no room for them or they serve others.
    fn is_orphaned(&self) -> bool;

    /// Whether work waits for others.
    fn has_work(&self) -> bool;

    /// Whether it may be run now.
    fn may_run(&self) -> bool;

    /// Counts a connection that is there for this work, too.
    fn helper(&self) -> Counted<'_>;

    /// Whether a connection may do this work.
    fn ask<'a>(&'a self, session: &'a mut S) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Runs a batch. An error is the reason why the connection cannot be used any more.
    fn help<'a>(
        &'a self,
        session: &'a mut S,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<(), String>>;
}

impl<J: Job, S: Session<J>> Helped<S> for Queue<J> {
    fn kind(&self) -> &'static str {
        J::KIND
    }

    fn writes(&self) -> bool {
        J::CLASS == Class::Write
    }

    fn is_orphaned(&self) -> bool {
        Self::is_orphaned(self)
    }

    fn has_work(&self) -> bool {
        Self::is_orphaned(self) && !self.is_empty()
    }

    fn may_run(&self) -> bool {
        self.crew().admits(J::CLASS)
    }

    fn helper(&self) -> Counted<'_> {
        Self::helper(self)
    }

    fn ask<'a>(&'a self, session: &'a mut S) -> BoxFuture<'a, Result<(), Refusal>> {
        session.take_on().boxed()
    }

    fn help<'a>(
        &'a self,
        session: &'a mut S,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            run_next(self, session, &mut Vec::new(), context)
                .await
                .map(drop)
        }
        .boxed()
    }
}

/// What one connection does for others.
pub struct Helper<'a, S> {
    context: &'a Context,
    /// How many connections had been lost before this one was opened.
    losses: usize,
    others: Vec<Other<'a, S>>,
}

/// Another kind of work, as one connection sees it.
struct Other<'a, S> {
    queue: &'a dyn Helped<S>,
    /// While this connection is there for it.
    helper: Option<Counted<'a>>,
    asked: Option<Instant>,
    refusal: String,
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub enum Unfit {
    /// It cannot be used any more.
    Lost(String),
    /// Another one was lost since it was opened, perhaps with a failover that it does not know of. It may go on to read, as
    /// long as the connections that write say nothing else, but not write in their place.
    Outdated,
}

impl<'a, S: Send> Helper<'a, S> {
    /// For a connection that was opened after so many had been lost, and the queues of all kinds.
    pub fn new(queues: &'a [Arc<dyn Helped<S>>], context: &'a Context, losses: usize) -> Self {
        let others = queues.iter().map(|queue| Other {
            queue: &**queue,
            helper: None,
            asked: None,
            refusal: String::new(),
        });
        Self {
            context,
            losses,
            others: others.collect(),
        }
    }

    /// Runs a batch of each kind of work that nobody else does. Meanwhile the connection is not there for `own`.
    pub async fn help<J: Job>(&mut self, own: &Queue<J>, session: &mut S) -> Result<(), Unfit> {
        if !own.crew().is_crowded() {
            self.others.iter_mut().for_each(|other| other.helper = None);
            return Ok(());
        }
        for other in &mut self.others {
            if !other.queue.is_orphaned() {
                continue;
            }
            let losses = self.context.losses.load(Ordering::Relaxed);
            if other.queue.writes() && J::CLASS != Class::Write && losses != self.losses {
                return Err(Unfit::Outdated);
            }
            if other.is_to_be_asked() {
                let _away = own.away();
                other.ask(session).await?;
            }
            let is_there = other.helper.is_some();
            if is_there && other.queue.has_work() && other.queue.may_run() {
                let _away = own.away();
                let helped = other.queue.help(session, self.context).await;
                helped.map_err(Unfit::Lost)?;
            }
        }
        Ok(())
    }

    /// Whether others wait for help.
    pub fn is_wanted(&self) -> bool {
        self.others
            .iter()
            .any(|other| other.helper.is_some() && other.queue.has_work())
    }
}

impl<S: Send> Other<'_, S> {
    /// Whether it is not known if this connection may do the work, or was not recently.
    fn is_to_be_asked(&self) -> bool {
        let recently = self.asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN);
        self.helper.is_none() && !recently
    }

    /// Asks that.
    async fn ask(&mut self, session: &mut S) -> Result<(), Unfit> {
        self.asked = Some(Instant::now());
        match self.queue.ask(session).await {
            Ok(()) => {
                self.helper = Some(self.queue.helper());
                self.refusal.clear();
            }
            Err(Refusal::Lost(reason)) => return Err(Unfit::Lost(reason)),
            Err(Refusal::Unable(reason)) if reason != self.refusal => {
                tracing::warn!(
                    kind = self.queue.kind(),
                    reason,
                    "a connection cannot do this work, and the database has no room for another"
                );
                self.refusal = reason;
            }
            Err(Refusal::Unable(_)) => {}
        }
        Ok(())
    }
}
