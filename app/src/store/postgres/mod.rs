//! PostgreSQL without a pool: a few connections, each owned by a task, and statements that answer many
//! requests at once.

mod batch;
mod change;
mod conditional;
mod crew;
mod deadline;
mod fence;
mod help;
mod job;
mod link;
mod lists;
mod lookup;
mod options;
mod query;
mod queue;
mod refusals;
mod rights;
mod server;
mod server_session;
mod session;
mod shares;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use self::batch::Context;
use self::change::Change;
use self::conditional::ChangeIf;
use self::crew::Crew;
use self::deadline::Deadline;
use self::help::Helped;
use self::job::{Job, Reply};
use self::link::Shared;
use self::lookup::Lookup;
pub use self::options::{Pooler, PostgresOptions};
use self::query::{Query, Statement};
use self::queue::Queue;
use self::rights::Rights;
use self::server::Server;
use self::server_session::ServerSession;
use self::shares::{Share, Shares};
use super::{Birthdays, Health, Precondition, Store, StoreError, StoreFuture};
use crate::aside::Aside;
use crate::domain::{DateOfBirth, Username};

/// The store on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    reads: Arc<Queue<Lookup>>,
    writes: Arc<Queue<Change>>,
    lists: Arc<Queue<Query<false>>>,
    changes: Arc<Queue<Query<true>>>,
    /// For lists whose cost grows with the number of friends: while they take long, other lists have a connection.
    long_lists: Shares,
    deadline: Deadline,
    was_ready: AtomicBool,
    links: Mutex<Vec<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Starts the links and returns at once: the database may be away, or not migrated yet.
    /// [`Store::health`] reports when that changes.
    pub fn start(options: PostgresOptions) -> Self {
        let deadline = Deadline::new(options.deadline);
        let server = Arc::new(Server {
            url: options.url,
            aside: Aside::default(),
            connect_timeout: options.connect_timeout,
            too_short: AtomicU32::new(0),
            deadline,
            pooled: Arc::new(AtomicBool::new(options.pooler == Pooler::Transaction)),
            written: Arc::default(),
            rights: Arc::new(Rights::new(options.metrics.clone())),
        });
        let (capacity, crew) = (options.queue_capacity, Arc::default());
        let reads = queue(capacity, &crew);
        let writes = queue(capacity, &crew);
        let lists = queue(capacity, &crew);
        let changes = queue(capacity, &crew);
        let queues: Vec<Arc<dyn Helped<ServerSession>>> = vec![
            reads.clone(),
            writes.clone(),
            changes.clone(),
            lists.clone(),
        ];
        let shared = Arc::new(Shared {
            context: Context {
                deadline,
                metrics: options.metrics,
                losses: AtomicUsize::new(0),
            },
            queues,
        });
        let mut links = Vec::new();
        links.extend(start(&reads, options.read_connections, &server, &shared));
        links.extend(start(&writes, options.write_connections, &server, &shared));
        links.extend(start(&lists, options.query_connections, &server, &shared));
        links.extend(start(
            &changes,
            options.change_connections,
            &server,
            &shared,
        ));
        Self {
            reads,
            writes,
            lists,
            changes,
            long_lists: Shares::new(options.query_connections, capacity),
            deadline,
            was_ready: AtomicBool::new(false),
            links: Mutex::new(links),
        }
    }

    /// Queues a job and waits for its answer, at most until the deadline.
    async fn ask<J: Job, T>(
        &self,
        queue: &Queue<J>,
        job: impl FnOnce(Reply<T>) -> J + Send,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        queue.push(job(reply))?;
        match timeout(self.deadline.wait(), answer).await {
            Ok(Ok(answer)) => answer,
            // The job was dropped: its link panicked, or the runtime is shutting down.
            Ok(Err(_)) => Err(StoreError::Unavailable),
            Err(_) => Err(StoreError::Timeout),
        }
    }

    /// Runs a statement for one caller.
    fn query<S: Statement>(&self, statement: S) -> StoreFuture<'_, S::Output> {
        let now = Instant::now();
        if S::REPEATABLE {
            self.ask(&self.lists, move |reply| Query::new(statement, now, reply))
                .boxed()
        } else {
            self.ask(&self.changes, move |reply| {
                Query::new(statement, now, reply)
            })
            .boxed()
        }
    }

    /// Runs a statement that may take long, for one caller. It gets its share of the connections, to keep until it ends.
    fn long_query<S: Statement>(
        &self,
        statement: impl FnOnce(Share) -> S + Send + 'static,
    ) -> StoreFuture<'_, S::Output> {
        let queued = Instant::now();
        let answer = async move {
            let statement = statement(self.long_lists.take().await?);
            self.ask(&self.lists, move |reply| {
                Query::new(statement, queued, reply)
            })
            .await
        };
        async move {
            timeout_at(queued + self.deadline.wait(), answer)
                .await
                .unwrap_or(Err(StoreError::Timeout))
        }
        .boxed()
    }
}

fn queue<J: Job>(capacity: usize, crew: &Arc<Crew>) -> Arc<Queue<J>> {
    Arc::new(Queue::new(capacity, J::MAX_BATCH, J::OVERLAP, crew.clone()))
}

/// Starts `count` links that serve `queue`.
fn start<J: Job>(
    queue: &Arc<Queue<J>>,
    count: usize,
    server: &Arc<Server>,
    shared: &Arc<Shared<ServerSession>>,
) -> impl Iterator<Item = JoinHandle<()>> {
    (0..count).map(|_| tokio::spawn(link::run(queue.clone(), server.clone(), shared.clone())))
}

impl Birthdays for PostgresStore {
    fn get(&self, username: Username) -> StoreFuture<'_, Option<DateOfBirth>> {
        self.ask(&self.reads, |reply| Lookup::new(username, reply))
            .boxed()
    }

    fn put(&self, username: Username, born: DateOfBirth) -> StoreFuture<'_, ()> {
        self.ask(&self.writes, move |reply| {
            Change::new(username, Some(born), reply)
        })
        .boxed()
    }

    fn delete(&self, username: Username) -> StoreFuture<'_, ()> {
        self.ask(&self.writes, |reply| Change::new(username, None, reply))
            .boxed()
    }

    fn change_if(
        &self,
        username: Username,
        born: Option<DateOfBirth>,
        precondition: Precondition,
    ) -> StoreFuture<'_, bool> {
        self.query(ChangeIf {
            username,
            born,
            precondition,
        })
    }
}

impl Store for PostgresStore {
    fn health(&self) -> Health {
        // At first everything has to work: a new version that cannot write must not replace one that can. Later, reads
        // that are answered are better than none: no other pod writes either.
        let was_ready = self.was_ready.load(Ordering::Relaxed);
        let rest =
            self.writes.is_connected() && self.lists.is_connected() && self.changes.is_connected();
        match (self.reads.is_connected(), was_ready || rest) {
            (true, true) => {
                self.was_ready.store(true, Ordering::Relaxed);
                Health::Ready
            }
            (false, _) if was_ready => Health::Away,
            _ => Health::Starting,
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.reads.close();
            self.writes.close();
            self.lists.close();
            self.changes.close();
            let links =
                std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner));
            futures::future::join_all(links).await;
            // What nobody did: the connection that would have done it was lost.
            batch::fail_all(&self.reads, &StoreError::Unavailable);
            batch::fail_all(&self.writes, &StoreError::Unavailable);
            batch::fail_all(&self.lists, &StoreError::Unavailable);
            batch::fail_all(&self.changes, &StoreError::Unavailable);
        }
        .boxed()
    }
}
