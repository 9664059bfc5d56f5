//! The operator with many resources on a real API server: times, calls, memory and connections.
//!
//! A stand-in acts as the controllers and kubelets would, so that resources become ready.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a measurement fails.
#![allow(clippy::print_stdout)] // It prints its table.
#![allow(missing_docs)] // Not an interface.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clap::Parser;
use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};

use crate::{
    process::Operator,
    server::Server,
    stand_in::{Jobs, StandIn},
};

#[allow(dead_code)] // The tests use it.
#[path = "../../tests/cluster/definitions.rs"]
mod definitions;
#[allow(dead_code)] // The tests use more of it.
#[path = "../../tests/cluster/process.rs"]
mod process;
#[allow(dead_code)] // The tests use more of it.
#[path = "../../tests/cluster/server.rs"]
mod server;
#[allow(dead_code)] // The tests use more of it.
#[path = "../../tests/cluster/stand_in.rs"]
mod stand_in;

/// Measures the operator with many resources on a real API server.
#[derive(Parser)]
struct Options {
    /// Numbers of resources to measure with, one after the other
    #[arg(default_values_t = [0, 100, 1_000, 10_000])]
    sizes: Vec<usize>,
    /// Above this number the resources are paused: they have a status, and no children
    #[arg(long, default_value_t = 1_000)]
    most_with_children: usize,
    /// Seconds at rest during which writes are counted
    #[arg(long, default_value_t = 20)]
    rest: u64,
    /// Number of unrelated Secrets and ConfigMaps to add; 0 leaves that part out
    #[arg(long, default_value_t = 600)]
    unrelated: usize,
    /// Size of each of them in kB
    #[arg(long, default_value_t = 500)]
    unrelated_size: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Resources in one namespace.
const PER_NAMESPACE: usize = 20;

/// Requests at once while objects are made.
const PARALLEL: usize = 16;

/// Longest time without a single reconcile while there is work to do.
const STALL: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let options = Options::parse();
    println!(
        "| resources | observed s | converged s | reconciles/s | calls each | writes each | connections peak (rest) \
         | MiB at rest (peak) | after a restart: s, MiB at rest (peak), writes | writes in {} s at rest |",
        options.rest
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let last = options
        .sizes
        .iter()
        .rposition(|size| *size <= options.most_with_children);
    let mut notes = Vec::new();
    for (index, size) in options.sizes.iter().enumerate() {
        let run = Run::new(&options, *size).await;
        run.measure().await;
        if Some(index) == last && options.unrelated > 0 {
            notes.push(run.unrelated().await);
        }
    }
    for note in notes {
        println!("\n{note}");
    }
}

/// One size on a server of its own.
struct Run<'a> {
    options: &'a Options,
    size: usize,
    children: bool,
    server: Server,
    client: Client,
    controllers: Vec<tokio::task::JoinHandle<()>>,
}

/// What was measured while the operator worked.
struct Work {
    observed: Duration,
    converged: Duration,
    reconciles: u64,
    connections: usize,
}

impl<'a> Run<'a> {
    async fn new(options: &'a Options, size: usize) -> Self {
        let server = Server::bare();
        let client = server.client();
        let children = size <= options.most_with_children;
        populate(&client, size, children).await;
        let controllers = if children {
            StandIn::KINDS
                .map(|kind| tokio::spawn(run_controller(client.clone(), kind)))
                .into()
        } else {
            Vec::new()
        };
        Self {
            options,
            size,
            children,
            server,
            client,
            controllers,
        }
    }

    /// Lets the operator work, rest and restart, and prints a row.
    async fn measure(&self) {
        let start = Instant::now();
        let operator = Operator::start(&self.server);
        let work = self.work(&operator, start).await;
        settle(&operator).await;
        let done = operator.metrics();
        tokio::time::sleep(Duration::from_secs(self.options.rest)).await;
        let written_at_rest = operator.metrics().writes() - done.writes();
        let each = |count: u64| count as f64 / self.size.max(1) as f64;
        let (connections, memory) = (operator.connections(), Memory::measure(&operator));
        drop(operator);
        let (restarted, after, again) = self.restart().await;
        println!(
            "| {} | {:.2} | {:.1} | {:.0} | {:.1} | {:.2} | {} ({connections}) | {memory} | {:.1}, {after}, {} | {written_at_rest} |",
            self.label(),
            work.observed.as_secs_f64(),
            work.converged.as_secs_f64(),
            work.reconciles as f64 / work.converged.as_secs_f64(),
            each(done.calls()),
            each(done.writes()),
            work.connections,
            restarted.as_secs_f64(),
            again.metrics().writes(),
        );
    }

    fn label(&self) -> String {
        let what = if self.children { "" } else { " (paused)" };
        format!("{}{what}", self.size)
    }

    /// Waits until every resource has converged.
    async fn work(&self, operator: &Operator, start: Instant) -> Work {
        let mut work = Work {
            observed: Duration::ZERO,
            converged: Duration::ZERO,
            reconciles: 0,
            connections: 0,
        };
        let mut progress = Instant::now();
        let size = self.size as u64;
        loop {
            let metrics = operator.metrics();
            work.connections = work.connections.max(operator.connections());
            let observed =
                operator.is_ready() && metrics.sum("hello_operator_resources", &[]) == size;
            if observed && work.observed.is_zero() {
                work.observed = start.elapsed();
            }
            if metrics.reconciles() > work.reconciles {
                progress = Instant::now();
            }
            work.reconciles = metrics.reconciles();
            // A paused resource converges with one status; a restarted operator reads and writes nothing.
            let finished = if self.children {
                metrics.sum("hello_operator_resources_ready", &[])
            } else {
                metrics.reconciles()
            };
            if observed && finished >= size {
                work.converged = start.elapsed();
                return work;
            }
            assert!(
                progress.elapsed() < STALL,
                "no progress: {finished} of {size}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the operator again after everything has converged.
    async fn restart(&self) -> (Duration, Memory, Operator) {
        let operator = Operator::start(&self.server);
        let work = self.work(&operator, Instant::now()).await;
        settle(&operator).await;
        (work.converged, Memory::measure(&operator), operator)
    }

    /// What unrelated objects cost the operator.
    async fn unrelated(&self) -> String {
        let (_, before, operator) = self.restart().await;
        let count = self.options.unrelated;
        let text = "x".repeat(self.options.unrelated_size * 1000);
        stream::iter(0..count)
            .for_each_concurrent(4, |index| {
                let (kind, field) = if index % 2 == 0 {
                    ("Secret", "stringData")
                } else {
                    ("ConfigMap", "data")
                };
                let body = json!({"apiVersion": "v1", "kind": kind,
                    "metadata": {"name": format!("unrelated-{index}"), "namespace": "default"}, field: {"blob": text}});
                create(&self.client, body)
            })
            .await;
        settle(&operator).await;
        let present = Memory::measure(&operator);
        drop(operator);
        let (_, restarted, _operator) = self.restart().await;
        format!(
            "{count} unrelated Secrets and ConfigMaps of {} kB beside {} resources: \
             {:+.1} MiB at rest; after a restart {:+.1} MiB at rest and {:+.1} MiB at the peak",
            self.options.unrelated_size,
            self.size,
            present.rest - before.rest,
            restarted.rest - before.rest,
            restarted.peak - before.peak
        )
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for controller in &self.controllers {
            controller.abort();
        }
    }
}

/// Resident memory in MiB.
struct Memory {
    rest: f64,
    peak: f64,
}

impl Memory {
    fn measure(operator: &Operator) -> Self {
        Self {
            rest: operator.memory("VmRSS"),
            peak: operator.memory("VmHWM"),
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1})", self.rest, self.peak)
    }
}

/// Longest time to wait for rest: of many resources, some are always due for the pass that each gets every ten minutes.
const CALM: Duration = Duration::from_secs(30);

/// Waits until nothing has happened for three seconds.
async fn settle(operator: &Operator) {
    let start = Instant::now();
    let mut before = operator.metrics().calls();
    while start.elapsed() < CALM {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = operator.metrics().calls();
        if now == before {
            return;
        }
        before = now;
    }
}

async fn create(client: &Client, body: Value) {
    let object: DynamicObject = serde_json::from_value(body).unwrap();
    let types = object.types.clone().unwrap();
    let kind = kube::core::GroupVersionKind::try_from(types).unwrap();
    let resource = kube::api::ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match object.metadata.namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Creates the resources, so that the operator finds all of them when it starts.
async fn populate(client: &Client, size: usize, children: bool) {
    let namespace = |index: usize| format!("bench-{}", index / PER_NAMESPACE);
    stream::iter((0..size).step_by(PER_NAMESPACE))
        .for_each_concurrent(PARALLEL, |index| {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(index)}});
            create(client, body)
        })
        .await;
    let spec = json!({
        "paused": !children,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 9},
        "expose": {"ingress": {"host": "hello.example.com"}},
        "backup": {"schedule": "0 2 * * *"},
    });
    stream::iter(0..size)
        .for_each_concurrent(PARALLEL, |index| {
            let body = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
                "metadata": {"name": format!("hello-{index}"), "namespace": namespace(index)}, "spec": spec});
            create(client, body)
        })
        .await;
}

/// Acts as the controller of one kind would, in all namespaces.
async fn run_controller(client: Client, kind: hello_operator::object::kind::Kind) {
    let stand_in = StandIn::new(client.clone(), Arc::new(Mutex::new(Jobs::Succeed)));
    let api: Api<DynamicObject> = Api::all_with(client, &kind.resource());
    watcher(api, watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .for_each_concurrent(PARALLEL, |object| {
            let stand_in = stand_in.clone();
            async move {
                if let Ok(object) = object {
                    stand_in.act(kind, &object).await;
                }
            }
        })
        .await;
}
