//! One writer at a time.

use std::time::{Duration, Instant};

use hello_operator::lease::{DURATION, Elector};
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_handover_takes_less_than_a_second() {
    let world = World::new("handover").await;
    let candidate = |name: &str| Elector::new(world.client.clone(), "handover", name.into());
    let (mut first, mut second) = (candidate("first"), candidate("second"));
    first.acquire().await;
    let fences = (first.fence(), second.fence());
    let waiting = tokio::spawn(async move {
        second.acquire().await;
        second
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = tokio::time::Instant::now();
    assert!(!fences.0.remaining(now).is_zero());
    assert!(fences.1.remaining(now).is_zero(), "two leaders");
    let start = Instant::now();
    first.release().await;
    assert!(fences.0.remaining(now).is_zero(), "the fence closes first");
    waiting.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_replaced_within_the_lease_plus_2_seconds_and_not_sooner() {
    let world = World::new("takeover").await;
    let candidate = |name: &str| Elector::new(world.client.clone(), "takeover", name.into());
    let (mut first, mut second) = (candidate("first"), candidate("second"));
    first.acquire().await;
    let fence = first.fence();
    // Paused or dead: it never renews again.
    let start = Instant::now();
    second.acquire().await;
    assert!(
        start.elapsed() < DURATION + Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(
        fence.remaining(tokio::time::Instant::now()).is_zero(),
        "two writers"
    );
    // It comes back to life, and finds out.
    first.keep().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_stops_writing_before_its_lease_ends() {
    let world = World::new("cut").await;
    let mut elector = Elector::new(world.client.clone(), "cut", "only".into());
    elector.acquire().await;
    let operator = world.fenced_operator(world.client.clone(), elector.fence());
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    // Nobody renews: the operator sees changes, but must not act on them.
    let fence = elector.fence();
    eventually("the lease runs out", || async {
        fence
            .remaining(tokio::time::Instant::now())
            .is_zero()
            .then_some(())
    })
    .await;
    let writes = operator.writes();
    world.apply("demo", json!({"replicas": 5})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(operator.writes(), writes);
    // With the lease back, the work goes on by itself.
    elector.acquire().await;
    world.ready("demo").await;
    let lease = ApiResource {
        group: "coordination.k8s.io".into(),
        version: "v1".into(),
        api_version: "coordination.k8s.io/v1".into(),
        kind: "Lease".into(),
        plural: "leases".into(),
    };
    let leases: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "cut", &lease);
    assert_eq!(
        leases.get("hello-operator").await.unwrap().data["spec"]["holderIdentity"],
        "only"
    );
    operator.stop().await;
}
