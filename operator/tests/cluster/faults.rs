//! An API server that fails in every way: the final state is always the same.

use std::time::{Duration, Instant};

use hello_operator::{
    kubernetes::connection::{ANSWER, DEADLINE},
    object::{child::ChildId, kind::Kind},
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    converge::{CHILDREN, everything, versions},
    injector::{FAULTS, Faults, Mode, Target},
    world::{Operator, World, assert_within, eventually},
};

/// Longest time from the end of all faults until all children match the spec.
const RECOVERY: Duration = Duration::from_secs(10);

/// Longest time until every fault has happened.
const STORM: Duration = Duration::from_secs(60);

fn app() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

async fn image(world: &World) -> String {
    let live = world.get(&app()).await.unwrap();
    let containers = &live.data["spec"]["template"]["spec"]["containers"];
    containers[0]["image"].as_str().unwrap().to_owned()
}

fn everything_of(version: u32) -> Value {
    let mut spec = everything();
    spec["image"] = format!("hello-app:{version}").into();
    spec
}

async fn ready_within(world: &World, limit: Duration, since: Instant) {
    world.ready("demo").await;
    assert_within(limit, since, "recovery");
}

/// Waits until writes have stopped.
async fn rests(world: &World, operator: &Operator) {
    world.settle(operator).await;
    let writes = operator.writes();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operator.writes(), writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_every_kind_end_in_the_wanted_state_within_10_seconds() {
    let world = World::new("storm").await;
    let faults = Faults::new(Mode::Storm);
    let operator = world.operator_through(faults.client());
    world.apply("demo", everything()).await;
    // There is always something to write, until every fault has happened.
    let (mut version, storm) = (0, Instant::now());
    while let Some(fault) = FAULTS.iter().find(|fault| faults.seen(fault) < 2) {
        assert!(storm.elapsed() < STORM, "no fault: {fault}");
        version += 1;
        world.apply("demo", everything_of(version)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    faults.set(Mode::Calm);
    ready_within(&world, RECOVERY, Instant::now()).await;
    assert_eq!(image(&world).await, format!("hello-app:{version}"));
    assert_eq!(world.children("demo").await.len() as u64, CHILDREN);
    rests(&world, &operator).await;
    operator.stop().await;
}

/// Not even later requests are answered: only the operator's own deadline ends the wait.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_is_waited_for_no_longer_than_its_deadline() {
    let calls = World::new("silent").await;
    let faults = Faults::new(Mode::Calm);
    let operator = calls.operator_through(faults.client());
    calls.apply("demo", json!({})).await;
    calls.ready("demo").await;
    faults.set(Mode::Silent(Target::All));
    calls.apply("demo", json!({"image": "hello-app:2"})).await;
    // Another operator gets answers to its lists only, so it cannot begin to watch.
    let watches = World::new("silent-watches").await;
    let deaf = Faults::new(Mode::Silent(Target::Watches));
    let other = watches.operator_through(deaf.client());
    eventually("requests without an answer", || async {
        (faults.seen("silent") > 0 && deaf.seen("silent") > 10).then_some(())
    })
    .await;
    faults.set(Mode::Calm);
    deaf.set(Mode::Calm);
    let start = Instant::now();
    watches.apply("demo", json!({})).await;
    ready_within(&calls, DEADLINE + RECOVERY, start).await;
    ready_within(&watches, ANSWER + RECOVERY, start).await;
    assert_eq!(image(&calls).await, "hello-app:2");
    rests(&calls, &operator).await;
    operator.stop().await;
    other.stop().await;
}

/// A list that the operator acts on may be older than its own last writes.
#[tokio::test(flavor = "multi_thread")]
async fn stale_lists_revert_nothing() {
    let world = World::new("stale").await;
    let faults = Faults::new(Mode::Calm);
    let operator = world.operator_through(faults.client());
    world.apply("demo", everything_of(1)).await;
    world.ready("demo").await;
    // The watches list again, so that the kept lists hold the present objects.
    faults.expire_watches();
    list_again(&world, &faults, &operator).await;
    faults.keep_lists();
    let mut spec = everything_of(2);
    spec["expose"] = json!({"ingress": {"host": "other.example.com"}});
    spec["monitoring"] = json!({});
    world.apply("demo", spec.clone()).await;
    world.ready("demo").await;
    let scale = Patch::Merge(json!({"spec": {"replicas": 7}}));
    let deployments = world.api(Kind::Deployment);
    deployments
        .patch_scale("demo", &PatchParams::default(), &scale)
        .await
        .unwrap();
    world.settle(&operator).await;
    world.ready("demo").await;
    world.settle(&operator).await;

    let (before, lists) = (versions(&world).await, faults.lists());
    assert!(lists > 25, "{lists} kinds of lists");
    faults.set(Mode::Stale);
    faults.expire_watches();
    eventually("nearly every list had a stale answer", || async {
        (faults.lists() < lists / 4).then_some(())
    })
    .await;
    world.settle(&operator).await;
    let after = versions(&world).await;
    let children = |versions: &std::collections::BTreeMap<String, Option<String>>| {
        let mut children = versions.clone();
        // Its status may report the stale state.
        children.remove("HelloService");
        children
    };
    assert_eq!(children(&after), children(&before));
    spec["image"] = "hello-app:3".into();
    world.apply("demo", spec).await;
    ready_within(&world, RECOVERY, Instant::now()).await;
    assert_eq!(image(&world).await, "hello-app:3");
    let replicas = world.get(&app()).await.unwrap().data["spec"]["replicas"].clone();
    assert_eq!(replicas, 7);
    rests(&world, &operator).await;
    operator.stop().await;
}

/// Expires every watch, and waits until the operator has listed again and is at rest.
async fn list_again(world: &World, faults: &Faults, operator: &Operator) {
    eventually("every watch has expired", || async {
        (faults.seen("expired") > Kind::ALL.len() as u32).then_some(())
    })
    .await;
    world.settle(operator).await;
}
