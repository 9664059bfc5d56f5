//! The operator's process while the API server is unavailable, and when the process is killed.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{
    converge::everything,
    process::Operator,
    server::Server,
    world::{World, assert_within, eventually},
};

/// How long the API server is unavailable, in seconds. The default is long enough for every connection to time out and
/// every back-off to reach its cap.
const LENGTH: &str = "OUTAGE_SECONDS";
const DEFAULT_LENGTH: u64 = 25;

/// Growth of one page of memory per second is noticed; noise of the allocator is not.
const GROWTH_MIB: f64 = 4.0;

/// Longest time from the API server's return until all children match the spec.
const RECOVERY: Duration = Duration::from_secs(10);

const RESOURCES: usize = 20;

fn length() -> Duration {
    let seconds = std::env::var(LENGTH).map_or(DEFAULT_LENGTH, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

async fn apply_all(world: &World, spec: &Value) {
    for index in 0..RESOURCES {
        world.apply(&format!("demo-{index}"), spec.clone()).await;
    }
}

async fn all_ready(world: &World) {
    for index in 0..RESOURCES {
        world.ready(&format!("demo-{index}")).await;
    }
}

/// Resources that the process uses while nothing fails.
struct Before {
    memory: f64,
    connections: usize,
    reconciles: u64,
}

impl Before {
    async fn measure(operator: &Operator, world: &World) -> Self {
        apply_all(world, &json!({})).await;
        all_ready(world).await;
        let before = Self {
            memory: operator.memory("VmHWM"),
            connections: operator.connections(),
            reconciles: operator.metrics().reconciles(),
        };
        let connections = before.connections;
        assert!(connections <= 3, "{connections} connections at rest");
        before
    }

    /// Waits until the outage is over, and asserts that memory, connections and retries stay bounded.
    async fn outlast(&self, operator: &Operator, kind: &str) {
        let (length, start) = (length(), Instant::now());
        let mut most = 0;
        while start.elapsed() < length {
            most = most.max(operator.connections());
            assert!(most <= 5, "{most} connections, {} before", self.connections);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (peak, now) = (operator.memory("VmHWM"), operator.memory("VmRSS"));
        let tries = operator.metrics().reconciles() - self.reconciles;
        report(&format!(
            "{kind} for {length:?}: {:.1} MiB at most before, {peak:.1} at most after, {now:.1} at its end; \
             {most} connections at most; {tries} reconciles of {RESOURCES} resources",
            self.memory
        ));
        let grown = peak - self.memory;
        assert!(grown < GROWTH_MIB, "{grown} MiB more");
        // Some quick retries, and then one every four seconds.
        let bound = RESOURCES as u64 * (8 + length.as_secs() / 4);
        assert!(tries < bound, "{tries} reconciles, at most {bound}");
    }
}

fn report(line: &str) {
    use std::io::Write;
    // Shown of tests that fail, or with --nocapture.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs_costs_neither_memory_nor_connections_and_is_used_again_at_once() {
    let server = Server::start();
    let world = World::on(&server, "outage").await;
    let operator = Operator::start(&server);
    let before = Before::measure(&operator, &world).await;
    // The outage begins while every resource is reconciled.
    apply_all(&world, &json!({"replicas": 3})).await;
    server.freeze();
    before.outlast(&operator, "frozen").await;
    server.thaw();
    let start = Instant::now();
    edit(&world, "demo-0").await;
    all_ready(&world).await;
    assert_within(RECOVERY, start, "recovery");
}

/// Retries, because the test's own connection may be one of the broken ones.
async fn edit(world: &World, name: &str) {
    let body = json!({"spec": {"replicas": 4}});
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&body));
    eventually("the API server accepts an edit", || async {
        let api = world.services();
        let edit = api.patch(name, &parameters, &patch);
        tokio::time::timeout(Duration::from_secs(2), edit)
            .await
            .ok()?
            .ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_refuses_costs_neither_and_is_used_again_at_once() {
    let server = Server::start();
    let world = World::on(&server, "refused").await;
    let mut door = Door::new(&server).await;
    let operator = Operator::start_at(&server, &format!("https://{}", door.address));
    let before = Before::measure(&operator, &world).await;
    door.close().await;
    apply_all(&world, &json!({"replicas": 3})).await;
    before.outlast(&operator, "refused").await;
    door.open().await;
    let start = Instant::now();
    all_ready(&world).await;
    assert_within(RECOVERY, start, "recovery");
}

/// A proxy to an API server. Closed, it refuses new connections and breaks those that exist.
struct Door {
    address: SocketAddr,
    server: String,
    task: JoinHandle<()>,
}

impl Door {
    /// Listens on an address of its own: a client that connects to a closed port of its own address again and again may
    /// get that port as its source port, and so connect to itself.
    async fn new(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server.url.trim_start_matches("https://").to_owned();
        let task = tokio::spawn(forward(listener, server.clone()));
        Self {
            address,
            server,
            task,
        }
    }

    async fn close(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = tokio::spawn(forward(listener, self.server.clone()));
    }
}

async fn forward(listener: TcpListener, server: String) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let server = server.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(server).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_at_rest_is_replaced_without_a_single_write() {
    let server = Server::start();
    let world = World::on(&server, "replaced").await;
    let operator = Operator::start(&server);
    for index in 0..5 {
        world.apply(&format!("demo-{index}"), everything()).await;
    }
    for index in 0..5 {
        world.ready(&format!("demo-{index}")).await;
    }
    drop(operator);
    let operator = Operator::start(&server);
    eventually("a pass over every resource", || async {
        (operator.metrics().reconciles() >= 5).then_some(())
    })
    .await;
    // Time for late writes.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operator.metrics().writes(), 0);
}
