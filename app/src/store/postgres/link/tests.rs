//! Links on connections that fail and panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::NaiveDate;
use tokio::sync::oneshot;

use super::super::change::Change;
use super::super::crew::Crew;
use super::super::deadline::{Class, Deadline, Window};
use super::super::job::RunError;
use super::super::lookup::Lookup;
use super::super::queue::Overlap;
use super::super::session::Refusal;
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

/// Waits until something is so.
async fn until(mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, wait).await.unwrap();
}

fn shared(wait: Duration) -> Arc<Shared<FakeSession>> {
    Arc::new(Shared {
        context: Context {
            deadline: Deadline::new(wait),
            metrics: Metrics::new(&[]).store,
            losses: AtomicUsize::new(0),
        },
        queues: Vec::new(),
    })
}

/// A server without a database. It counts connections, and panics where it is asked to.
#[derive(Default)]
struct Fake {
    connections: AtomicUsize,
    panics_at_first_connect: bool,
    panics_at_check: bool,
    /// It has no room for connections of this kind.
    no_room_for: Option<&'static str>,
    /// From this connection on, there is none.
    away_from: Option<usize>,
    /// So many connections are lost with their first statement.
    lost_at_first: usize,
}

struct FakeSession {
    panics_at_check: bool,
    is_lost: bool,
}

impl<J: Job> Connect<J> for Fake
where
    FakeSession: Session<J>,
{
    type Session = FakeSession;

    async fn connect(&self) -> Result<FakeSession, ConnectError> {
        if self.no_room_for == Some(J::KIND) {
            return Err(ConnectError::NoRoom("too many connections".into()));
        }
        let earlier = self.connections.fetch_add(1, Ordering::SeqCst);
        if self.away_from.is_some_and(|from| earlier >= from) {
            return Err(ConnectError::Timeout(LONG));
        }
        assert!(
            !self.panics_at_first_connect || earlier > 0,
            "planted panic"
        );
        Ok(FakeSession {
            panics_at_check: self.panics_at_check && earlier == 0,
            is_lost: earlier < self.lost_at_first,
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
        if self.is_lost {
            return Err(sqlx::Error::WorkerCrashed.into());
        }
        Ok(Vec::new())
    }

    async fn check(&mut self) -> Result<(), String> {
        self.check_for_panic()
    }

    async fn take_on(&mut self) -> Result<(), Refusal> {
        Ok(())
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

    async fn take_on(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn close(self) {}
}

/// Long enough for any machine.
const LONG: Duration = Duration::from_secs(60);

fn lookups() -> Arc<Queue<Lookup>> {
    Arc::new(Queue::new(9, 9, Overlap::FromHalf, Arc::default()))
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
    // Half of it is time for the last write, on any machine.
    let wait = Duration::from_secs(2);
    let queue: Arc<Queue<Change>> = Arc::new(Queue::new(9, 9, Overlap::WhenSlow, Arc::default()));
    tokio::spawn(run(queue.clone(), Arc::new(Fake::default()), shared(wait)));
    let (bad, answer) = change(PANICS);
    let queued = bad.queued();
    let start_by = Deadline::new(wait)
        .window(Class::Write, queued, queued)
        .start_by;
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
    shared.context.losses.fetch_add(1, Ordering::Relaxed);
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

/// What takes one connection takes the others, one after another.
#[tokio::test]
async fn a_read_survives_the_loss_of_several_connections_but_not_of_any_number() {
    for (lost_at_first, expected) in [(3, Ok(None)), (4, Err(StoreError::Unavailable))] {
        let server = Arc::new(Fake {
            lost_at_first,
            ..Fake::default()
        });
        let queue = lookups();
        let (job, answer) = lookup("alice");
        queue.push(job).unwrap();
        tokio::spawn(run(queue.clone(), server, shared(LONG)));
        assert_eq!(answered(answer).await, expected, "{lost_at_first}");
    }
}

/// At the end, what waits is done by those that can.
#[tokio::test]
async fn a_link_without_connection_fails_nothing_at_the_end_that_another_does() {
    let (queue, shared) = (lookups(), shared(LONG));
    let server = Arc::new(Fake {
        away_from: Some(1),
        ..Fake::default()
    });
    let links = [(); 2].map(|()| tokio::spawn(run(queue.clone(), server.clone(), shared.clone())));
    // The second one has tried in vain.
    until(|| queue.is_connected() && server.connections.load(Ordering::SeqCst) > 1).await;
    let answers: Vec<_> = (0..50)
        .map(|number| {
            let (job, answer) = lookup(&format!("u{number}"));
            queue.return_to_front(vec![job]);
            answer
        })
        .collect();
    queue.close();
    for answer in answers {
        assert_eq!(answered(answer).await, Ok(None));
    }
    for link in links {
        link.await.unwrap();
    }
}

/// A link for greetings, which has a connection, and one for writes that the server has no room for.
struct Crowd {
    reads: Arc<Queue<Lookup>>,
    writes: Arc<Queue<Change>>,
    server: Arc<Fake>,
    shared: Arc<Shared<FakeSession>>,
}

fn in_a_crowd() -> Crowd {
    let crew: Arc<Crew> = Arc::default();
    let reads = Arc::new(Queue::new(9, 9, Overlap::FromHalf, crew.clone()));
    let writes = Arc::new(Queue::new(9, 9, Overlap::WhenSlow, crew));
    let server = Arc::new(Fake {
        no_room_for: Some(Change::KIND),
        ..Fake::default()
    });
    let shared = Arc::new(Shared {
        queues: vec![reads.clone(), writes.clone()],
        ..Arc::into_inner(shared(LONG)).unwrap()
    });
    tokio::spawn(run(reads.clone(), server.clone(), shared.clone()));
    tokio::spawn(run(writes.clone(), server.clone(), shared.clone()));
    Crowd {
        reads,
        writes,
        server,
        shared,
    }
}

#[tokio::test]
async fn a_connection_does_the_work_of_those_that_the_server_has_no_room_for() {
    let Crowd {
        reads,
        writes,
        server,
        ..
    } = in_a_crowd();
    until(|| writes.is_connected()).await;
    let (write, answer) = change("alice");
    writes.push(write).unwrap();
    assert_eq!(answered(answer).await, Ok(()));
    let (read, answer) = lookup("alice");
    reads.push(read).unwrap();
    assert_eq!(answered(answer).await, Ok(None));
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    // What was accepted is done at the end, too.
    let (write, answer) = change("bob");
    writes.push(write).unwrap();
    reads.close();
    writes.close();
    assert_eq!(answered(answer).await, Ok(()));
}

/// It may be one to a former primary.
#[tokio::test]
async fn a_connection_does_not_write_for_others_when_one_was_lost_since_it_was_opened() {
    let Crowd {
        writes,
        server,
        shared,
        ..
    } = in_a_crowd();
    until(|| writes.is_connected()).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    shared.context.losses.fetch_add(1, Ordering::Relaxed);
    let (write, answer) = change("alice");
    writes.push(write).unwrap();
    assert_eq!(answered(answer).await, Ok(()));
    assert_eq!(server.connections.load(Ordering::SeqCst), 2, "a new one");
}
