//! Links on connections that fail and panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::NaiveDate;
use tokio::sync::oneshot;

use super::super::change::Change;
use super::super::job::RunError;
use super::super::lookup::Lookup;
use super::super::queue::Overlap;
use super::*;
use crate::domain::{DateOfBirth, Username};
use crate::telemetry::Metrics;

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// A user whose statements panic.
const PANICS: &str = "panics";

fn lookup(name: &str) -> (Lookup, Answer<Option<DateOfBirth>>) {
    let (reply, answer) = oneshot::channel();
    (
        Lookup::new(Username::from_stored(name.into()), reply),
        answer,
    )
}

fn change(name: &str) -> (Change, Answer<()>) {
    let (reply, answer) = oneshot::channel();
    let change = Change::new(Username::from_stored(name.into()), None, reply);
    (change, answer)
}

/// The answer, which must come.
async fn answered<T>(answer: Answer<T>) -> Result<T, StoreError> {
    timeout(LONG, answer).await.unwrap().unwrap()
}

fn shared(wait: Duration) -> Arc<Shared> {
    Arc::new(Shared {
        deadline: Deadline::new(wait),
        metrics: Metrics::new(&[]).store,
        losses: AtomicUsize::new(0),
    })
}

/// A server without a database. It counts connections, and panics where it is asked to.
#[derive(Default)]
struct Fake {
    connections: AtomicUsize,
    panics_at_first_connect: bool,
    panics_at_check: bool,
}

struct FakeSession {
    panics_at_check: bool,
}

impl<J: Job> Connect<J> for Fake
where
    FakeSession: Session<J>,
{
    type Session = FakeSession;

    async fn connect(&self) -> Result<FakeSession, ConnectError> {
        let earlier = self.connections.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.panics_at_first_connect || earlier > 0,
            "planted panic"
        );
        Ok(FakeSession {
            panics_at_check: self.panics_at_check && earlier == 0,
        })
    }
}

impl FakeSession {
    fn check_for_panic(&self) -> Result<(), String> {
        assert!(!self.panics_at_check, "planted panic");
        Ok(())
    }
}

impl Session<Lookup> for FakeSession {
    async fn run(
        &mut self,
        batch: &[Lookup],
        _: Window,
    ) -> Result<Vec<(String, NaiveDate)>, RunError> {
        let panics = |job: &Lookup| format!("{job:?}").contains(PANICS);
        assert!(!batch.iter().any(panics), "planted panic");
        Ok(Vec::new())
    }

    async fn check(&mut self) -> Result<(), String> {
        self.check_for_panic()
    }

    async fn close(self) {}
}

impl Session<Change> for FakeSession {
    async fn run(&mut self, batch: &[Change], _: Window) -> Result<(), RunError> {
        let panics = |job: &Change| format!("{job:?}").contains(PANICS);
        assert!(!batch.iter().any(panics), "planted panic");
        Ok(())
    }

    async fn check(&mut self) -> Result<(), String> {
        self.check_for_panic()
    }

    async fn close(self) {}
}

/// Long enough for any machine.
const LONG: Duration = Duration::from_secs(60);

fn lookups() -> Arc<Queue<Lookup>> {
    Arc::new(Queue::new(9, 9, Overlap::FromHalf))
}

#[tokio::test]
async fn a_statement_that_panics_fails_its_callers_and_no_others() {
    let (queue, server, shared) = (lookups(), Arc::new(Fake::default()), shared(LONG));
    let link = tokio::spawn(run(queue.clone(), server.clone(), shared));
    for connections in 1..=3 {
        let (bad, answer) = lookup(PANICS);
        queue.push(bad).unwrap();
        assert_eq!(answered(answer).await, Err(StoreError::Unavailable));
        let (good, answer) = lookup("alice");
        queue.push(good).unwrap();
        assert_eq!(answered(answer).await, Ok(None));
        assert!(queue.is_connected());
        assert_eq!(server.connections.load(Ordering::SeqCst), connections + 1);
    }
    queue.close();
    link.await.unwrap();
    assert!(!queue.is_connected());
}

#[tokio::test]
async fn a_write_that_panics_is_answered_only_when_it_cannot_take_effect_any_more() {
    let wait = Duration::from_millis(400);
    let queue: Arc<Queue<Change>> = Arc::new(Queue::new(9, 9, Overlap::WhenSlow));
    tokio::spawn(run(queue.clone(), Arc::new(Fake::default()), shared(wait)));
    let (bad, answer) = change(PANICS);
    let start_by = Deadline::new(wait).write_window(bad.queued()).start_by;
    queue.push(bad).unwrap();
    assert_eq!(answered(answer).await, Err(StoreError::Unavailable));
    assert!(Instant::now() >= start_by);
    let (good, answer) = change("alice");
    queue.push(good).unwrap();
    assert_eq!(answered(answer).await, Ok(()));
}

#[tokio::test]
async fn a_panic_outside_a_statement_costs_the_connection_only() {
    let server = Arc::new(Fake {
        panics_at_first_connect: true,
        ..Fake::default()
    });
    let queue = lookups();
    tokio::spawn(run(queue.clone(), server, shared(LONG)));
    let (good, answer) = lookup("alice");
    queue.push(good).unwrap();
    assert_eq!(answered(answer).await, Ok(None), "after a panic at connect");

    let server = Arc::new(Fake {
        panics_at_check: true,
        ..Fake::default()
    });
    let (queue, shared) = (lookups(), shared(LONG));
    tokio::spawn(run(queue.clone(), server.clone(), shared.clone()));
    let (good, answer) = lookup("alice");
    queue.push(good).unwrap();
    assert_eq!(answered(answer).await, Ok(None));
    // Another connection was lost: this one is checked before it is used again.
    shared.losses.fetch_add(1, Ordering::Relaxed);
    let (good, answer) = lookup("alice");
    queue.push(good).unwrap();
    assert_eq!(answered(answer).await, Ok(None), "after a panic at a check");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_link_that_pauses_refuses_work_only_while_no_other_is_connected() {
    let queue = lookups();
    queue.link_started();
    let pausing = tokio::spawn({
        let queue = queue.clone();
        async move { pause_before_retry(&queue, Duration::from_millis(200)).await }
    });
    // On this runtime's one thread, the pause begins now.
    tokio::task::yield_now().await;
    let (refused, answer) = lookup("alice");
    queue.push(refused).unwrap();
    assert_eq!(answered(answer).await, Err(StoreError::Unavailable));

    queue.link_started();
    let _connected = queue.connected();
    let (kept, mut answer) = lookup("alice");
    queue.push(kept).unwrap();
    pausing.await.unwrap();
    assert!(answer.try_recv().is_err(), "it waits for the other link");
    let mut batch = Vec::new();
    queue.take(&mut batch, 9);
    assert_eq!(batch.len(), 1);
}
