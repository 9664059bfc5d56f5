//! The queue between requests and the connections that answer them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::crew::{Counted, Crew};
use crate::store::StoreError;

/// How long work is left to a connection that is busy before another one takes it.
const MAX_LEAVE: Duration = Duration::from_millis(2);

/// When a connection that is free takes work although another one is busy. Small batches cost the
/// server more than large ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Once half as much waits as is in progress: then the server and this program work at the same
    /// time.
    FromHalf,
    /// Only when that takes unusually long: a second batch would cost the server another flush of
    /// its log.
    WhenSlow,
}

/// Work that waits for a connection. All that has queued while the connection was busy is taken
/// together: batches grow with the load, and a single request does not wait.
#[derive(Debug)]
pub struct Queue<J> {
    jobs: Mutex<VecDeque<J>>,
    ready: Notify,
    capacity: usize,
    /// As much as one connection takes at a time.
    batch: usize,
    overlap: Overlap,
    /// Jobs in the batches that are being run.
    in_progress: AtomicUsize,
    /// Tasks that serve the queue, connected or not.
    links: AtomicUsize,
    connected: AtomicUsize,
    /// Of the connected ones, those that do the work of others just now.
    away: AtomicUsize,
    /// Connections of other kinds that do this work, too.
    helpers: AtomicUsize,
    crew: Arc<Crew>,
    /// Links whose last attempt to connect failed.
    failing: AtomicUsize,
    closing: AtomicBool,
}

/// What a connection that is free should do.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Take a batch.
    Take,
    /// Leave it to a busy one, and look again after this time.
    Leave(Duration),
    /// Wait for work.
    Wait,
}

/// Counts jobs as in progress for as long as it lives.
#[derive(Debug)]
pub struct InProgress<'a> {
    all: &'a AtomicUsize,
    jobs: usize,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.jobs, Ordering::SeqCst);
    }
}

impl<J> Queue<J> {
    /// An empty queue that takes up to `capacity` waiting jobs, for connections that take up to
    /// `batch` at a time.
    pub fn new(capacity: usize, batch: usize, overlap: Overlap, crew: Arc<Crew>) -> Self {
        Self {
            jobs: Mutex::new(VecDeque::new()),
            ready: Notify::new(),
            capacity,
            batch,
            overlap,
            in_progress: AtomicUsize::new(0),
            links: AtomicUsize::new(0),
            connected: AtomicUsize::new(0),
            away: AtomicUsize::new(0),
            helpers: AtomicUsize::new(0),
            crew,
            failing: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        }
    }

    /// Adds a job at the end.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when the queue is full, [`StoreError::Unavailable`] when it is
    /// closing.
    pub fn push(&self, job: J) -> Result<(), StoreError> {
        if self.is_closing() {
            return Err(StoreError::Unavailable);
        }
        let waiting = {
            let mut jobs = self.lock();
            if jobs.len() >= self.capacity {
                return Err(StoreError::Overloaded);
            }
            jobs.push_back(job);
            jobs.len()
        };
        // A busy connection looks at the queue when it is free. Another one is woken for the first job,
        // in case that this takes long, and when there is enough for itself.
        if waiting == 1 || self.is_enough(waiting) {
            // The one that was busy last: its process of the server is still in the caches.
            self.ready.notify_last();
        }
        self.call_others();
        Ok(())
    }

    /// Returns jobs to the front, in order, whatever the capacity: they were accepted already.
    pub fn return_to_front(&self, jobs: Vec<J>) {
        if jobs.is_empty() {
            return;
        }
        let mut queue = self.lock();
        for job in jobs.into_iter().rev() {
            queue.push_front(job);
        }
        drop(queue);
        self.ready.notify_one();
        self.call_others();
    }

    fn call_others(&self) {
        if self.is_orphaned() {
            self.crew.call();
        }
    }

    /// Whether a connection that is free should take so many jobs at once.
    fn is_enough(&self, waiting: usize) -> bool {
        let in_progress = self.in_progress.load(Ordering::SeqCst);
        let overlap = self.overlap == Overlap::FromHalf && waiting * 2 >= in_progress;
        in_progress == 0 || waiting >= self.batch || overlap
    }

    /// What a connection that is free should do; `queued` is when a job was queued.
    pub fn turn(&self, queued: impl Fn(&J) -> Instant) -> Turn {
        let jobs = self.lock();
        let Some(oldest) = jobs.front() else {
            return Turn::Wait;
        };
        if self.is_enough(jobs.len()) {
            return Turn::Take;
        }
        match MAX_LEAVE.saturating_sub(queued(oldest).elapsed()) {
            Duration::ZERO => Turn::Take,
            rest => Turn::Leave(rest),
        }
    }

    /// Counts `jobs` as in progress.
    pub fn in_progress(&self, jobs: usize) -> InProgress<'_> {
        self.in_progress.fetch_add(jobs, Ordering::SeqCst);
        InProgress {
            all: &self.in_progress,
            jobs,
        }
    }

    /// Takes up to `limit` jobs into `batch`.
    pub fn take(&self, batch: &mut Vec<J>, limit: usize) {
        let mut jobs = self.lock();
        let count = jobs.len().min(limit);
        batch.extend(jobs.drain(..count));
    }

    /// Waits until a job may be there or the queue is closing. It may wake without either.
    pub async fn wait(&self) {
        let notified = self.ready.notified();
        if !self.is_closing() && self.is_empty() {
            notified.await;
        }
    }

    /// Wakes all connections that wait, so that they check themselves.
    pub fn wake_all(&self) {
        self.ready.notify_waiters();
    }

    /// Accepts no more jobs; those that wait are still run.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.ready.notify_waiters();
    }

    /// Whether [`Queue::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Counts one more connection of its own, for as long as the returned values live.
    pub fn connected(&self) -> (Counted<'_>, Counted<'_>) {
        (Counted::new(&self.connected), self.crew.connected())
    }

    /// Counts one of these as busy with the work of others.
    pub fn away(&self) -> Counted<'_> {
        let away = Counted::new(&self.away);
        if !self.is_empty() {
            self.call_others();
        }
        away
    }

    /// Counts a connection of another kind that does this work, too.
    pub fn helper(&self) -> Counted<'_> {
        Counted::new(&self.helpers)
    }

    /// Whether any connection serves this queue.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::SeqCst) > 0 || self.helpers.load(Ordering::SeqCst) > 0
    }

    /// Whether none of its own connections is there, in a crowd.
    pub fn is_orphaned(&self) -> bool {
        self.crew.is_crowded()
            && self.connected.load(Ordering::SeqCst) <= self.away.load(Ordering::SeqCst)
    }

    /// Whether no work waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The links of all kinds.
    pub fn crew(&self) -> &Crew {
        &self.crew
    }

    /// Counts one more task that serves the queue.
    pub fn link_started(&self) {
        self.links.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts one more link that cannot connect. Returns whether none can now.
    pub fn link_failing(&self) -> bool {
        self.failing.fetch_add(1, Ordering::SeqCst) + 1 >= self.links.load(Ordering::SeqCst)
    }

    /// Counts one link less that cannot connect: it retries.
    pub fn link_trying(&self) {
        self.failing.fetch_sub(1, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<J>> {
        // No code that can panic runs under the lock, so the queue is consistent also after a panic.
        self.jobs
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[test]
    fn keeps_order_and_refuses_beyond_capacity() {
        let queue = Queue::new(3, 9, Overlap::WhenSlow, Arc::default());
        for job in 1..=3 {
            queue.push(job).unwrap();
        }
        assert_eq!(queue.push(4), Err(StoreError::Overloaded));
        let mut batch = Vec::new();
        queue.take(&mut batch, 2);
        assert_eq!(batch, [1, 2]);
        queue.return_to_front(batch);
        let mut again = Vec::new();
        queue.take(&mut again, 9);
        assert_eq!(again, [1, 2, 3]);
        queue.close();
        assert_eq!(queue.push(5), Err(StoreError::Unavailable));
    }

    #[tokio::test]
    async fn a_push_before_the_wait_is_not_lost() {
        let queue = Queue::new(3, 9, Overlap::WhenSlow, Arc::default());
        queue.push(1).unwrap();
        queue.wait().await;
        let mut batch = Vec::new();
        queue.take(&mut batch, 9);
        assert_eq!(batch, [1]);
    }

    #[tokio::test]
    async fn the_connection_that_was_busy_last_is_woken_first() {
        let queue = Queue::new(3, 9, Overlap::WhenSlow, Arc::default());
        let (mut long_idle, mut just_idle) = (pin!(queue.wait()), pin!(queue.wait()));
        assert!(poll!(&mut long_idle).is_pending());
        assert!(poll!(&mut just_idle).is_pending());
        queue.push(1).unwrap();
        assert!(poll!(&mut long_idle).is_pending());
        assert!(poll!(&mut just_idle).is_ready());
    }

    #[test]
    fn work_is_left_to_a_busy_connection_but_not_for_long() {
        let queue = Queue::new(9, 3, Overlap::WhenSlow, Arc::default());
        let since = |ago| move |_: &i32| Instant::now() - ago;
        assert_eq!(queue.turn(since(MAX_LEAVE)), Turn::Wait);
        queue.push(1).unwrap();
        assert_eq!(queue.turn(since(Duration::ZERO)), Turn::Take);
        let busy = queue.in_progress(1);
        assert!(
            matches!(queue.turn(since(MAX_LEAVE / 2)), Turn::Leave(rest) if rest <= MAX_LEAVE / 2)
        );
        assert_eq!(queue.turn(since(MAX_LEAVE)), Turn::Take);
        for job in 2..=3 {
            queue.push(job).unwrap();
        }
        assert_eq!(
            queue.turn(since(Duration::ZERO)),
            Turn::Take,
            "a whole batch"
        );
        let mut batch = Vec::new();
        queue.take(&mut batch, 2);
        assert!(matches!(queue.turn(since(Duration::ZERO)), Turn::Leave(_)));
        drop(busy);
        assert_eq!(queue.turn(since(Duration::ZERO)), Turn::Take);
    }

    #[test]
    fn a_second_batch_of_reads_is_at_least_half_as_large() {
        let queue = Queue::new(99, 50, Overlap::FromHalf, Arc::default());
        let first = queue.in_progress(5);
        let now = |_: &i32| Instant::now();
        for job in 1..=2 {
            queue.push(job).unwrap();
            assert!(matches!(queue.turn(now), Turn::Leave(_)), "{job}");
        }
        queue.push(3).unwrap();
        assert_eq!(queue.turn(now), Turn::Take);
        drop(first);
        let _second = queue.in_progress(7);
        assert!(matches!(queue.turn(now), Turn::Leave(_)));
    }
}
