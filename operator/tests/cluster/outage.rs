//! The operator's process: while the API server is really away, and killed.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{
    converge::everything,
    process::Operator,
    server::Server,
    world::{World, eventually},
};

/// Long enough for every connection to be given up and every back-off to reach its cap.
const OUTAGE: Duration = Duration::from_secs(30);

/// One page of memory more a second would be seen; noise of the allocator is not.
const GROWTH_MIB: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs_costs_neither_memory_nor_connections_and_is_used_again_at_once() {
    let server = Server::start();
    let world = World::on(&server, "outage").await;
    let operator = Operator::start(&server);
    for index in 0..20 {
        world.apply(&format!("demo-{index}"), json!({})).await;
    }
    for index in 0..20 {
        world.ready(&format!("demo-{index}")).await;
    }
    let (memory, connections) = (operator.memory("VmHWM"), operator.connections());
    assert!(connections <= 3, "{connections} connections at rest");
    // It is in the middle of work on every resource when it happens.
    for index in 0..20 {
        world
            .apply(&format!("demo-{index}"), json!({"replicas": 3}))
            .await;
    }
    server.freeze();
    let start = Instant::now();
    while start.elapsed() < OUTAGE {
        let now = operator.connections();
        assert!(now <= 5, "{now} connections, {connections} before");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let grown = operator.memory("VmHWM") - memory;
    assert!(grown < GROWTH_MIB, "{grown} MiB more");
    server.thaw();
    let start = Instant::now();
    edit(&world, "demo-0").await;
    for index in 0..20 {
        world.ready(&format!("demo-{index}")).await;
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Our own connection may still be one of those that died.
async fn edit(world: &World, name: &str) {
    let body = json!({"spec": {"replicas": 4}});
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&body));
    eventually("the API server takes an edit", || async {
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
    eventually("it has looked at every resource", || async {
        (operator.metrics().reconciles() >= 5).then_some(())
    })
    .await;
    // Whatever it might do late.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operator.metrics().writes(), 0);
}
