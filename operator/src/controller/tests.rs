use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
};

use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{outcome::Outcome, *};
use crate::{controller::watches::Change, kubernetes::own_writes::OwnWrites, object::key::Key};

const SECOND: Duration = Duration::from_secs(1);

/// A resource that is never due by itself.
const SETTLED: Outcome = Outcome::after(Duration::from_secs(86_400), "unchanged");

/// Reconciles by the names of the resources, and counts.
#[derive(Default)]
struct Fake {
    /// Reconciles that began, by name.
    begun: Mutex<BTreeMap<String, usize>>,
    /// Messages of panics that were to be reported, by name.
    panics: Mutex<BTreeMap<String, Vec<String>>>,
    running: AtomicUsize,
    most: AtomicUsize,
    ended: AtomicUsize,
}

impl Fake {
    fn begun(&self, name: &str) -> usize {
        let begun = self.begun.lock().unwrap();
        begun.get(name).copied().unwrap_or_default()
    }

    fn panics(&self, name: &str) -> Vec<String> {
        let panics = self.panics.lock().unwrap();
        panics.get(name).cloned().unwrap_or_default()
    }
}

impl Reconcile for Fake {
    async fn reconcile(&self, key: &Key) -> Outcome {
        let name = key.name.to_string();
        *self.begun.lock().unwrap().entry(name.clone()).or_default() += 1;
        match name.split('-').next() {
            Some("bad" | "worse") => {
                sleep(SECOND / 10).await;
                panic!("planted");
            }
            Some("hanging") => std::future::pending().await,
            Some("slow") => {
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
                sleep(SECOND * 3).await;
                self.running.fetch_sub(1, Ordering::SeqCst);
                self.ended.fetch_add(1, Ordering::SeqCst);
                SETTLED
            }
            _ => SETTLED,
        }
    }

    async fn report_panic(&self, key: &Key, message: &str) {
        let name = key.name.to_string();
        let mut panics = self.panics.lock().unwrap();
        panics.entry(name).or_default().push(message.to_owned());
        drop(panics);
        assert!(!key.name.starts_with("worse"), "planted in the report");
    }
}

/// A loop that runs with a fake.
struct Loop {
    fake: Arc<Fake>,
    metrics: Arc<Metrics>,
    signals: mpsc::Sender<Signal>,
    stop: state::Sender<bool>,
    task: JoinHandle<Result<(), WatchEnded>>,
}

impl Loop {
    fn start() -> Self {
        Self::with(JoinSet::new())
    }

    /// With these tasks as its watches.
    fn with(tasks: JoinSet<()>) -> Self {
        let (fake, metrics) = (Arc::<Fake>::default(), Arc::<Metrics>::default());
        let (sender, signals) = mpsc::channel(64);
        let (stop, stopped) = state::channel(false);
        let watches = Watches {
            signals,
            tasks,
            own_writes: OwnWrites::default(),
        };
        let health = Arc::<Health>::default();
        let run = run(
            Arc::clone(&fake),
            CONCURRENCY,
            watches,
            Arc::clone(&metrics),
            health,
            stopped,
        );
        Self {
            fake,
            metrics,
            signals: sender,
            stop,
            task: tokio::spawn(run),
        }
    }

    async fn changed(&self, name: &str) {
        self.changed_in("ns", name).await;
    }

    async fn changed_in(&self, namespace: &str, name: &str) {
        let key = Key::new(namespace, name);
        let change = Change::foreign(key);
        self.signals.send(Signal::Changed(change)).await.unwrap();
    }

    async fn stop(self) -> Result<(), WatchEnded> {
        self.stop.send(true).unwrap();
        self.task.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_stays_with_its_resource() {
    let it = Loop::start();
    for name in ["bad", "worse", "good"] {
        it.changed(name).await;
    }
    sleep(SECOND).await;
    assert_eq!(it.fake.panics("bad"), ["planted"]);
    assert_eq!(it.fake.panics("worse"), ["planted"]);
    assert_eq!(it.fake.begun("good"), 1);
    // Two reconciles, and one report.
    assert_eq!(it.metrics.reconcile_panics.get(), 3);
    assert_eq!(it.metrics.resources_backing_off.get(), 2);
    let text = it.metrics.render();
    assert!(text.contains("hello_operator_reconciles_total{outcome=\"panic\"} 2"));
    assert!(text.contains("hello_operator_reconcile_panics_total 3"));
    // The others go on, and each of the two is tried again with growing delays: after 30 s, 60 s, 120 s and 240 s, of
    // which up to 30 % are jitter.
    it.changed("good").await;
    sleep(SECOND * 19).await;
    assert_eq!(it.fake.begun("good"), 2);
    assert_eq!(it.fake.begun("bad"), 1);
    sleep(SECOND * 11).await;
    assert_eq!(it.fake.begun("bad"), 2);
    sleep(SECOND * 430).await;
    for name in ["bad", "worse"] {
        assert_eq!(it.fake.begun(name), 5, "{name}");
    }
    assert_eq!(it.stop().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_hangs_ends_at_its_deadline() {
    let it = Loop::start();
    it.changed("hanging").await;
    it.changed("good").await;
    sleep(SECOND * 59).await;
    assert_eq!(it.fake.begun("good"), 1);
    assert_eq!(it.fake.begun("hanging"), 1);
    assert_eq!(it.metrics.reconciles_running.get(), 1);
    sleep(SECOND * 3).await;
    assert_eq!(it.fake.begun("hanging"), 2);
    let text = it.metrics.render();
    assert!(text.contains("hello_operator_reconciles_total{outcome=\"timeout\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn a_bounded_number_is_reconciled_at_once() {
    let it = Loop::start();
    for number in 0..2 * CONCURRENCY {
        it.changed_in(&format!("ns-{number}"), "slow").await;
    }
    sleep(SECOND).await;
    assert_eq!(it.fake.running.load(Ordering::SeqCst), CONCURRENCY);
    sleep(SECOND * 6).await;
    assert_eq!(it.fake.ended.load(Ordering::SeqCst), 2 * CONCURRENCY);
    assert_eq!(it.fake.most.load(Ordering::SeqCst), CONCURRENCY);
}

/// Each of their reconciles takes as long as it may.
#[tokio::test(start_paused = true)]
async fn a_namespace_of_slow_resources_delays_no_other() {
    let it = Loop::start();
    for number in 0..4 * CONCURRENCY {
        it.changed_in("noisy", &format!("hanging-{number}")).await;
    }
    sleep(SECOND).await;
    let busy = it.metrics.reconciles_running.get();
    assert_eq!(usize::try_from(busy), Ok(CONCURRENCY / 2));
    for number in 0..10 {
        let name = format!("good-{number}");
        it.changed_in("quiet", &name).await;
        sleep(SECOND / 10).await;
        assert_eq!(it.fake.begun(&name), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_when_the_process_stops_is_given_time_to_end() {
    let it = Loop::start();
    it.changed("slow").await;
    sleep(SECOND).await;
    let fake = Arc::clone(&it.fake);
    assert_eq!(it.stop().await, Ok(()));
    assert_eq!(fake.ended.load(Ordering::SeqCst), 1);
    // But not forever.
    let it = Loop::start();
    it.changed("hanging").await;
    sleep(SECOND).await;
    let start = Instant::now();
    assert_eq!(it.stop().await, Ok(()));
    assert_eq!(start.elapsed().as_secs(), STOP_GRACE.as_secs());
}

/// Whatever it was watching would be missed from then on.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_or_panics_ends_the_loop() {
    let mut tasks = JoinSet::new();
    tasks.spawn(std::future::pending());
    tasks.spawn(async {
        sleep(SECOND).await;
        panic!("planted");
    });
    let it = Loop::with(tasks);
    assert_eq!(it.task.await.unwrap(), Err(WatchEnded));
    let it = Loop::start();
    drop(it.signals);
    assert_eq!(it.task.await.unwrap(), Err(WatchEnded));
}

#[tokio::test(start_paused = true)]
async fn after_an_interrupted_watch_every_resource_is_looked_at() {
    let it = Loop::start();
    for name in ["a", "b", "c"] {
        it.changed(name).await;
    }
    sleep(SECOND).await;
    it.signals.send(Signal::Interrupted).await.unwrap();
    sleep(CATCH_UP).await;
    for name in ["a", "b", "c"] {
        assert_eq!(it.fake.begun(name), 2, "{name}");
    }
}
