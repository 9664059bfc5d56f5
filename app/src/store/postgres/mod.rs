//! PostgreSQL without a pool: a few connections, each owned by a task, and statements that carry
//! many requests at once.

mod change;
mod conditional;
mod link;
mod lists;
mod query;
mod queue;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::change::{Change, Job, Lookup, Reply};
use self::conditional::ChangeIf;
pub use self::link::Losses;
use self::query::Single;
use self::queue::Queue;
use super::{Birthdays, DatabaseUrlSource, Health, Precondition, Store, StoreError, StoreFuture};
use crate::domain::{DateOfBirth, Username};
use crate::telemetry::StoreMetrics;

/// What is between the service and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Nothing: a connection stays with one server process.
    #[default]
    None,
    /// A pooler such as PgBouncer that gives each transaction any server connection.
    Transaction,
}

impl std::str::FromStr for Pooler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "transaction" => Ok(Self::Transaction),
            other => Err(format!("`{other}` is neither `none` nor `transaction`")),
        }
    }
}

/// How to reach PostgreSQL, and the bounds to keep.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where the address comes from.
    pub url: DatabaseUrlSource,
    /// Connections that read. Never more are opened.
    pub read_connections: usize,
    /// Connections that write. Never more are opened.
    pub write_connections: usize,
    /// Connections for lists and friendships. Never more are opened.
    pub query_connections: usize,
    /// The longest a caller waits for an answer.
    pub deadline: Duration,
    /// The longest one attempt to connect takes.
    pub connect_timeout: Duration,
    /// The most requests that may wait for one kind of connection.
    pub queue_capacity: usize,
    /// What is between the service and the server.
    pub pooler: Pooler,
    /// Counts connections that were lost.
    pub losses: Arc<Losses>,
    /// Where batch sizes and times are counted.
    pub metrics: Arc<StoreMetrics>,
}

/// The store on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    reads: Arc<Queue<Lookup>>,
    writes: Arc<Queue<Change>>,
    singles: Arc<Queue<Single>>,
    deadline: Duration,
    was_ready: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Starts the connections' tasks and returns at once: the database may be away, or not
    /// migrated yet, and [`Store::health`] tells when that changes.
    pub fn start(options: PostgresOptions) -> Self {
        let options = Arc::new(options);
        let reads = queue(options.queue_capacity);
        let writes = queue(options.queue_capacity);
        let singles = queue(options.queue_capacity);
        let mut tasks = Vec::new();
        for _ in 0..options.read_connections {
            tasks.push(tokio::spawn(link::run(reads.clone(), options.clone())));
        }
        for _ in 0..options.write_connections {
            tasks.push(tokio::spawn(link::run(writes.clone(), options.clone())));
        }
        for _ in 0..options.query_connections {
            tasks.push(tokio::spawn(link::run(singles.clone(), options.clone())));
        }
        Self {
            reads,
            writes,
            singles,
            deadline: options.deadline,
            was_ready: AtomicBool::new(false),
            tasks: Mutex::new(tasks),
        }
    }

    /// Queues a job and waits for its answer, at most for the caller's deadline.
    async fn ask<J: Job, T>(
        &self,
        queue: &Queue<J>,
        job: impl FnOnce(Reply<T>) -> J + Send,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        queue.push(job(reply))?;
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            // The task was dropped with the job in hand: the runtime is shutting down.
            Ok(Err(_)) => Err(StoreError::Unavailable),
            Err(_) => Err(StoreError::Timeout),
        }
    }
}

fn queue<J: Job>(capacity: usize) -> Arc<Queue<J>> {
    Arc::new(Queue::new(capacity, J::MAX_BATCH, J::BESIDE))
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
        self.single(ChangeIf {
            username,
            born,
            precondition,
        })
    }
}

impl Store for PostgresStore {
    fn health(&self) -> Health {
        if self.reads.is_connected() && self.writes.is_connected() && self.singles.is_connected() {
            self.was_ready.store(true, Ordering::Relaxed);
            Health::Ready
        } else if self.was_ready.load(Ordering::Relaxed) {
            Health::Away
        } else {
            Health::Starting
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.reads.close();
            self.writes.close();
            self.singles.close();
            let tasks =
                std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            futures::future::join_all(tasks).await;
        }
        .boxed()
    }
}
