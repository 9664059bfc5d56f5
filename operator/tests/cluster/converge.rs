//! From a resource to a service that is ready, and no write after that.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hello_operator::{
    object::{child::ChildId, kind::Kind},
    service::report::delay::QUIET,
};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::world::{World, eventually};

/// How many children [`everything`] gives, the claim of the data included.
pub const CHILDREN: u64 = 22;

/// Every field that adds a child.
pub fn everything() -> serde_json::Value {
    json!({
        "autoscaling": {"minReplicas": 2, "maxReplicas": 9},
        "expose": {"ingress": {"host": "hello.example.com"}, "httpRoute": {"parentRefs": [{"name": "public"}]}},
        "monitoring": {"serviceMonitor": true},
        "backup": {"schedule": "0 2 * * *"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_converges_with_few_writes() {
    let world = World::new("converge").await;
    let operator = world.operator();
    let start = Instant::now();
    world.apply("demo", everything()).await;
    world.ready("demo").await;
    let took = start.elapsed();
    world.settle(&operator).await;
    let children = world.children("demo").await;
    assert_eq!(
        children.len() as u64,
        CHILDREN,
        "{:?}",
        children
            .iter()
            .map(|(id, _)| id.to_string())
            .collect::<Vec<_>>()
    );
    // The StatefulSet's controller creates the data's claim.
    let made = CHILDREN - 1;
    // One write for each child, one for the replicas, and a status at the start and at the end. A slow start is
    // reported step by step.
    assert_eq!(operator.writes_to_children(), made + 1);
    let statuses = operator.writes() - operator.writes_to_children();
    let most = if took < QUIET { 2 } else { 4 };
    assert!(statuses <= most, "{statuses} statuses in {took:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_at_rest_nor_after_a_restart() {
    let world = World::new("rest").await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let before = versions(&world).await;
    operator.stop().await;

    world.finds_nothing_to_write().await;
    assert_eq!(versions(&world).await, before);

    // Nor in repeated passes.
    let operator = world.resyncing_operator(Duration::from_secs(1));
    eventually("several passes at rest", || async {
        (operator.reconciles() >= 5).then_some(())
    })
    .await;
    assert_eq!(operator.writes(), 0);
    assert_eq!(versions(&world).await, before);
    operator.stop().await;
}

/// Resource versions of the resource and of all its children: every write changes one.
pub async fn versions(world: &World) -> BTreeMap<String, Option<String>> {
    let mut versions: BTreeMap<String, Option<String>> = world
        .children("demo")
        .await
        .into_iter()
        .map(|(id, live)| (id.to_string(), live.resource_version()))
        .collect();
    let service = world.services().get("demo").await.unwrap();
    versions.insert("HelloService".into(), service.resource_version());
    versions
}

/// Their watches report that the kinds are empty, so neither convergence nor later passes list them.
#[tokio::test(flavor = "multi_thread")]
async fn empty_kinds_are_not_listed() {
    let world = World::new("empty-kinds").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let seen = || (operator.calls(&["list"]), operator.reconciles());
    let before = seen();
    let note = json!({"metadata": {"annotations": {"example.com/look": "again"}}});
    world
        .services()
        .patch("demo", &PatchParams::default(), &Patch::Merge(&note))
        .await
        .unwrap();
    eventually("a pass over the resource", || async {
        (seen().1 > before.1).then_some(())
    })
    .await;
    world.settle(&operator).await;
    let after = seen();
    // Nine kinds, and the pods.
    assert_eq!(after.0 - before.0, 10 * (after.1 - before.1));
    // From the first object on they are listed.
    world.apply("demo", everything()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let children = world.children("demo").await.len();
    world.apply("demo", json!({})).await;
    eventually("what is no longer wanted is gone", || async {
        (world.children("demo").await.len() < children - 4).then_some(())
    })
    .await;
    operator.stop().await;
}

/// The children are unwanted again before the watch has reported them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_for_a_moment_only_is_not_left_behind() {
    let world = World::new("moment").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    for _ in 0..5 {
        world.apply("demo", everything()).await;
        let route = ChildId::new(Kind::HTTPRoute, "demo");
        eventually("the route is there", || world.get(&route)).await;
        world.apply("demo", json!({})).await;
        eventually("it is gone", || async {
            world.get(&route).await.is_none().then_some(())
        })
        .await;
    }
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_resource_is_not_retried_hot_and_recovers_when_edited() {
    let world = World::new("invalid").await;
    let operator = world.operator();
    world
        .apply("demo", json!({"config": {"timeZone": "Mars/Olympus"}}))
        .await;
    world.condition("demo", "Ready", "False").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        operator.reconciles() <= 2,
        "{} reconciles",
        operator.reconciles()
    );
    world
        .apply("demo", json!({"config": {"timeZone": "Europe/Berlin"}}))
        .await;
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_changes_nothing_and_still_reports() {
    let world = World::new("paused").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world
        .apply("demo", json!({"paused": true, "replicas": 5}))
        .await;
    world.condition("demo", "Paused", "True").await;
    world.settle(&operator).await;
    let deployment = ChildId::new(Kind::Deployment, "demo");
    assert_eq!(
        world.get(&deployment).await.unwrap().data["spec"]["replicas"],
        2
    );
    world.apply("demo", json!({"replicas": 5})).await;
    world.ready("demo").await;
    assert_eq!(
        world.get(&deployment).await.unwrap().data["spec"]["replicas"],
        5
    );
    operator.stop().await;
}
