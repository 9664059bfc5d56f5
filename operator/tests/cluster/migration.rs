//! A migration runs before its rollout, alone, and once.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, PostParams},
    runtime::watcher::{self, Event},
};
use serde_json::json;

use crate::{
    kubelet,
    world::{Jobs, World, eventually},
};

fn image(deployment: &DynamicObject) -> &str {
    deployment.data["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
}

fn app() -> ChildId {
    ChildId::new(Kind::Deployment, "demo")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_migration_leaves_the_old_pods_and_does_not_loop() {
    let world = World::new("migration-fails").await;
    let operator = world.operator();
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    world.ready("demo").await;
    world.set_jobs(Jobs::Fail);
    world.apply("demo", json!({"image": "hello-app:2"})).await;
    let condition = world.condition("demo", "Migrated", "False").await;
    eventually("the failure is reported", || async {
        let condition = world.condition("demo", "Migrated", "False").await;
        (condition["reason"] == "MigrationFailed").then_some(())
    })
    .await;
    assert!(condition["message"].is_string());
    world.settle(&operator).await;
    let job = only_job(&world).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(
        only_job(&world).await.uid(),
        job.uid(),
        "the Job was created again"
    );
    assert_eq!(image(&world.get(&app()).await.unwrap()), "hello-app:1");
    // The number of pods still follows the spec.
    world
        .apply("demo", json!({"image": "hello-app:2", "replicas": 4}))
        .await;
    eventually("replicas follow", || async {
        (world.get(&app()).await?.data["spec"]["replicas"] == 4).then_some(())
    })
    .await;
    assert_eq!(image(&world.get(&app()).await.unwrap()), "hello-app:1");

    // Deleting the Job tries again.
    world.set_jobs(Jobs::Succeed);
    world
        .api(Kind::Job)
        .delete(&job.name_any(), &DeleteParams::background())
        .await
        .unwrap();
    world.ready("demo").await;
    assert_eq!(image(&world.get(&app()).await.unwrap()), "hello-app:2");
    operator.stop().await;
}

/// Its controller gathers changes of pods for a second before it writes them down.
#[tokio::test(flavor = "multi_thread")]
async fn the_rollout_begins_when_the_pod_of_the_migration_has_succeeded() {
    let world = World::new("migration-pod").await;
    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    let name = eventually("a migration", || async {
        let live = world.services().get("demo").await.unwrap();
        let migration = &live.data["status"]["migration"];
        (migration["phase"] == "Running").then(|| migration["job"].as_str().unwrap().to_owned())
    })
    .await;
    let job = only_job(&world).await;
    assert_eq!(job.name_any(), name);
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job.uid(), "controller": true});
    let pod = json!({"metadata": {"name": "m", "labels": job.labels(), "ownerReferences": [owner]},
        "spec": job.data["spec"]["template"]["spec"]});
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let pod = serde_json::from_value(pod).unwrap();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    kubelet::report(&world, &pod, json!({"phase": "Running"})).await;
    world.settle(&operator).await;
    assert!(world.get(&app()).await.is_none(), "it has not ended");
    kubelet::report(&world, &pod, json!({"phase": "Succeeded"})).await;
    world.ready("demo").await;
    assert_eq!(
        only_job(&world).await.data["status"]["succeeded"],
        json!(null)
    );
    operator.stop().await;
}

async fn only_job(world: &World) -> DynamicObject {
    let mut jobs = world
        .api(Kind::Job)
        .list(&kube::api::ListParams::default())
        .await
        .unwrap()
        .items;
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_in_a_row_never_run_two_migrations_at_once() {
    let world = World::new("migration-edits").await;
    let operator = world.operator();
    world.apply("demo", json!({"image": "hello-app:0"})).await;
    world.ready("demo").await;
    let most = most_jobs_at_once(&world);
    world.set_jobs(Jobs::Hang);
    for version in 1..=6 {
        world
            .apply("demo", json!({"image": format!("hello-app:{version}")}))
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(30 * version)).await;
    }
    eventually("a Job for the last edit", || async {
        let jobs = world
            .api(Kind::Job)
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        jobs.iter()
            .any(|job| image(job) == "hello-app:6")
            .then_some(())
    })
    .await;
    assert_eq!(
        image(&world.get(&app()).await.unwrap()),
        "hello-app:0",
        "rolled out before its migration"
    );
    world.set_jobs(Jobs::Succeed);
    world.ready("demo").await;
    assert_eq!(image(&world.get(&app()).await.unwrap()), "hello-app:6");
    assert_eq!(*most.lock().unwrap(), 1);
    operator.stop().await;
}

/// Watches the Jobs, and records the largest number that existed at the same time.
fn most_jobs_at_once(world: &World) -> Arc<Mutex<usize>> {
    let most = Arc::new(Mutex::new(0));
    let (api, seen) = (world.api(Kind::Job), Arc::clone(&most));
    tokio::spawn(async move {
        let mut present = std::collections::HashSet::new();
        let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(job) | Event::InitApply(job)) => {
                    present.insert(job.name_any());
                }
                Ok(Event::Delete(job)) => {
                    present.remove(&job.name_any());
                }
                _ => {}
            }
            let mut most = seen.lock().unwrap();
            *most = present.len().max(*most);
        }
    });
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_an_earlier_image_migrates_again() {
    let world = World::new("migration-back").await;
    let operator = world.operator();
    for image in ["hello-app:1", "hello-app:2"] {
        world.apply("demo", json!({"image": image})).await;
        world.ready("demo").await;
    }
    world.set_jobs(Jobs::Fail);
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    world.condition("demo", "Migrated", "False").await;
    world.settle(&operator).await;
    assert_eq!(image(&world.get(&app()).await.unwrap()), "hello-app:2");
    operator.stop().await;
}
