//! The number of pods: set by the spec or by the autoscaler, never by both.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    runtime::watcher::{self, Event},
};
use serde_json::{Value, json};

use crate::world::{World, eventually};

fn app() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

async fn replicas(world: &World) -> Value {
    world.get(&app()).await.unwrap().data["spec"]["replicas"].clone()
}

/// Scales as the autoscaler's controller does.
async fn scale(world: &World, replicas: i32) {
    let patch = json!({"spec": {"replicas": replicas}});
    let parameters = PatchParams {
        field_manager: Some("kube-controller-manager".into()),
        ..PatchParams::default()
    };
    world
        .api(Kind::Deployment)
        .patch_scale("demo", &parameters, &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Every number of replicas that the Deployment has from now on, each change once.
async fn record(world: &World) -> Arc<Mutex<Vec<i64>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (api, sink) = (world.api(Kind::Deployment), Arc::clone(&seen));
    let (started, start) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event.unwrap() {
                Event::Apply(live) | Event::InitApply(live) => {
                    let mut seen = sink.lock().unwrap();
                    seen.push(live.data["spec"]["replicas"].as_i64().unwrap());
                    seen.dedup();
                }
                Event::InitDone => {
                    if let Some(started) = started.take() {
                        started.send(()).unwrap();
                    }
                }
                Event::Init | Event::Delete(_) => {}
            }
        }
    });
    start.await.unwrap();
    seen
}

/// Waits until the record has reached the last of these numbers, and holds exactly them.
async fn recorded(seen: &Mutex<Vec<i64>>, numbers: &[i64]) {
    eventually(&format!("{numbers:?}"), || async {
        let seen = seen.lock().unwrap();
        assert!(numbers.starts_with(&seen), "{seen:?}, not {numbers:?}");
        (*seen == numbers).then_some(())
    })
    .await;
}

/// The fixed number differs from those of the autoscaler.
fn spec(auto: bool, edit: i32) -> Value {
    let mut spec =
        json!({"replicas": 4, "resources": {"requests": {"memory": format!("{}Mi", 64 + edit)}}});
    if auto {
        spec["autoscaling"] = json!({"minReplicas": 3, "maxReplicas": 9});
    }
    spec
}

/// Waits until the number of replicas belongs to none of our field managers.
async fn not_ours(world: &World) {
    eventually("the operator does not own the number", || async {
        let owners = owners_of_replicas(&world.get(&app()).await.unwrap());
        let ours = owners
            .iter()
            .any(|owner| owner.starts_with("hello-operator"));
        (!ours).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_autoscaler_is_never_fought() {
    let world = World::new("autoscaler").await;
    let operator = world.operator();
    let seen = record(&world).await;
    world.apply("demo", spec(true, 0)).await;
    world.ready("demo").await;
    not_ours(&world).await;
    // It starts with minReplicas, never with the API server's default of one.
    recorded(&seen, &[3]).await;
    world.apply("demo", spec(true, 100)).await;
    world.ready("demo").await;
    recorded(&seen, &[3]).await;
    scale(&world, 7).await;
    for edit in 1..=20 {
        world.apply("demo", spec(true, edit)).await;
        world.ready("demo").await;
    }
    recorded(&seen, &[3, 7]).await;
    // Off: the spec's number directly. On: the current number, until the autoscaler changes it.
    let mut numbers = vec![3, 7];
    for round in 0..2 {
        world.apply("demo", spec(false, round)).await;
        world.ready("demo").await;
        numbers.push(4);
        recorded(&seen, &numbers).await;
        world.apply("demo", spec(false, 50)).await;
        world.ready("demo").await;
        world.apply("demo", spec(true, 50)).await;
        world.ready("demo").await;
        not_ours(&world).await;
        world.apply("demo", spec(true, round)).await;
        world.ready("demo").await;
        recorded(&seen, &numbers).await;
        scale(&world, 7).await;
        numbers.push(7);
        recorded(&seen, &numbers).await;
    }
    world.settle(&operator).await;
    recorded(&seen, &numbers).await;
    operator.stop().await;
}

fn owners_of_replicas(live: &DynamicObject) -> Vec<String> {
    let fields = live.metadata.managed_fields.iter().flatten();
    fields
        .filter(|entry| {
            let fields = serde_json::to_value(&entry.fields_v1).unwrap();
            !fields["f:spec"]["f:replicas"].is_null()
        })
        .filter_map(|entry| entry.manager.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_deployment_comes_back_with_the_number_of_the_autoscaler() {
    let world = World::new("comes-back").await;
    let operator = world.operator();
    let seen = record(&world).await;
    world.apply("demo", spec(true, 0)).await;
    world.ready("demo").await;
    scale(&world, 7).await;
    let status = json!({"status": {"desiredReplicas": 7, "currentReplicas": 7}});
    world
        .api(Kind::HorizontalPodAutoscaler)
        .patch_status("demo", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    recorded(&seen, &[3, 7]).await;
    let before = world.get(&app()).await.unwrap().uid();
    world
        .api(Kind::Deployment)
        .delete("demo", &DeleteParams::background())
        .await
        .unwrap();
    eventually("another Deployment", || async {
        let live = world.get(&app()).await?;
        (live.uid() != before).then_some(())
    })
    .await;
    not_ours(&world).await;
    world.apply("demo", spec(true, 1)).await;
    world.ready("demo").await;
    recorded(&seen, &[3, 7]).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_number_is_kept() {
    let world = World::new("fixed").await;
    let operator = world.operator();
    world.apply("demo", json!({"replicas": 3})).await;
    world.ready("demo").await;
    assert_eq!(replicas(&world).await, 3);
    scale(&world, 1).await;
    eventually("3 replicas again", || async {
        (replicas(&world).await == 3).then_some(())
    })
    .await;
    world.apply("demo", json!({"replicas": 0})).await;
    world.ready("demo").await;
    assert_eq!(replicas(&world).await, 0);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scale_subresource_of_the_resource_works() {
    let world = World::new("subresource").await;
    let operator = world.operator();
    world.apply("demo", json!({"replicas": 2})).await;
    world.ready("demo").await;
    let patch = json!({"spec": {"replicas": 4}});
    let scale = world
        .services()
        .patch_scale("demo", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(4));
    world.ready("demo").await;
    assert_eq!(replicas(&world).await, 4);
    let status = world
        .services()
        .get_scale("demo")
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(status.replicas, 4);
    assert!(
        status
            .selector
            .unwrap()
            .contains("app.kubernetes.io/instance=demo")
    );
    operator.stop().await;
}

/// The autoscaler's controller leaves a Deployment without pods alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_without_pods_is_drift_also_with_an_autoscaler() {
    let world = World::new("scaled-to-zero").await;
    let operator = world.operator();
    world
        .apply(
            "demo",
            json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}),
        )
        .await;
    world.ready("demo").await;
    world.settle(&operator).await;
    scale(&world, 0).await;
    eventually("the fewest pods are back", || async {
        (replicas(&world).await == 2).then_some(())
    })
    .await;
    world.ready("demo").await;
    // The number is the autoscaler's again.
    world.settle(&operator).await;
    scale(&world, 4).await;
    world.settle(&operator).await;
    assert_eq!(replicas(&world).await, 4);
    operator.stop().await;
}
