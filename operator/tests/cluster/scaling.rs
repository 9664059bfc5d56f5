//! The number of pods: the resource's, or the autoscaler's, and never one instead of the other.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use hello_operator::child::{ChildId, Kind};
use kube::{
    api::{DynamicObject, Patch, PatchParams},
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

/// What the autoscaler's controller does.
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

/// Every number of replicas that was ever seen, from now on.
fn record(world: &World) -> Arc<Mutex<Vec<i64>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (api, sink) = (world.api(Kind::Deployment), Arc::clone(&seen));
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(live) | Event::InitApply(live)) = event {
                sink.lock()
                    .unwrap()
                    .push(live.data["spec"]["replicas"].as_i64().unwrap());
            }
        }
    });
    seen
}

fn spec(auto: bool, edit: i32) -> Value {
    let mut spec =
        json!({"replicas": 7, "resources": {"requests": {"memory": format!("{}Mi", 64 + edit)}}});
    if auto {
        spec["autoscaling"] = json!({"minReplicas": 3, "maxReplicas": 9});
    }
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn the_autoscaler_is_never_fought() {
    let world = World::new("autoscaler").await;
    let operator = world.operator();
    world.apply("demo", spec(true, 0)).await;
    world.ready("demo").await;
    assert_eq!(replicas(&world).await, 3, "starts with minReplicas");
    scale(&world, 7).await;
    let seen = record(&world);
    eventually("the record has started", || async {
        (!seen.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    for edit in 1..=20 {
        world.apply("demo", spec(true, edit)).await;
        world.ready("demo").await;
    }
    for auto in [false, true, false, true] {
        world.apply("demo", spec(auto, 0)).await;
        world.ready("demo").await;
        world.apply("demo", spec(auto, 50)).await;
        world.ready("demo").await;
    }
    world.settle(&operator).await;
    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() > 20, "{seen:?}");
    assert!(seen.iter().all(|replicas| *replicas == 7), "{seen:?}");
    assert!(
        !owners_of_replicas(&world.get(&app()).await.unwrap())
            .contains(&"hello-operator".to_owned())
    );
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
