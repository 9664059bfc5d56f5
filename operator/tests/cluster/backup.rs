//! Backups that a person requests, what is known of how they ended, with the real controller of Jobs, and schedules that are
//! wrong.

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    kubelet::{end_at_once, new_pod},
    server::Server,
    world::{Operator, World, eventually},
};

/// Requests a backup by the annotation, and waits for its pod.
async fn requested(world: &World, value: &str, known: &mut Vec<String>) -> Pod {
    annotate(world, "hello.internal/backup-requested-at", value).await;
    let pod = new_pod(world, "backup", known).await;
    known.push(pod.uid().unwrap());
    pod
}

async fn annotate(world: &World, key: &str, value: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    let services = world.services();
    services
        .patch("demo", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// Ends the pod of a backup with this result. Its Job does not try again.
async fn end(world: &World, pod: &Pod, result: &Value) {
    let code = i32::from(result["reason"] != "Verified");
    end_at_once(world, pod, code, &result.to_string()).await;
}

fn failure(reason: &str, message: &str) -> Value {
    json!({"reason": reason, "time": "2026-01-01T00:00:00Z", "message": message})
}

fn proof(set: &str) -> Value {
    json!({"reason": "Verified", "time": "2026-01-01T00:00:00Z", "set": set, "sequence": 1, "sizeBytes": 123,
        "rows": 1000, "schemaVersion": 7, "restoreSeconds": 1.8, "count": 1, "warnings": []})
}

async fn status(world: &World) -> Value {
    let live = world.services().get("demo").await.unwrap();
    live.data["status"]["backup"].clone()
}

async fn runs(world: &World) -> Vec<DynamicObject> {
    let labels = ListParams::default().labels("app.kubernetes.io/component=backup");
    world.api(Kind::Job).list(&labels).await.unwrap().items
}

async fn verified(world: &World, reason: &str) -> Value {
    eventually(reason, || async {
        let live = world.services().get("demo").await.unwrap();
        let conditions = live.data["status"]["conditions"].as_array()?.clone();
        let mut conditions = conditions.into_iter();
        conditions.find(|c| c["type"] == "BackupVerified" && c["reason"] == reason)
    })
    .await
}

/// What is known of a run stays when its Job is deleted, and the request is not repeated.
async fn is_known_without_its_job(world: &World, operator: &Operator, run: &str, proved: &Value) {
    let jobs = world.api(Kind::Job);
    let background = DeleteParams::background();
    jobs.delete(run, &background).await.unwrap();
    eventually("the run is gone", || async {
        runs(world).await.is_empty().then_some(())
    })
    .await;
    annotate(world, "test", "1").await;
    world.settle(operator).await;
    assert!(runs(world).await.is_empty());
    assert_eq!(&status(world).await, proved);
}

/// An image that is not the operator's own may have read what it should not.
async fn words_of_other_images_are_not_repeated(
    world: &World,
    schedule: &ChildId,
    known: &mut Vec<String>,
) {
    let spec = json!({"backup": {"schedule": "@yearly", "image": "elsewhere/postgres:18"}});
    world.apply("demo", spec).await;
    let image = |live: DynamicObject| live.data["spec"]["jobTemplate"].to_string();
    eventually("the other image", || async {
        let live = world.get(schedule).await?;
        image(live).contains("elsewhere/postgres:18").then_some(())
    })
    .await;
    let pod = requested(world, "third", known).await;
    end(world, &pod, &failure("RestoreFailed", "hunter2")).await;
    verified(world, "RestoreFailed").await;
    let live = world.services().get("demo").await.unwrap();
    assert!(!live.data["status"].to_string().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_backup_is_made_once_and_its_end_outlives_its_job() {
    let server = Server::start();
    let world = World::on(&server, "requested").await;
    let operator = world.operator();
    let spec = json!({"backup": {"schedule": "@yearly"}});
    world.apply("demo", spec).await;
    world.ready("demo").await;
    verified(&world, "NeverRun").await;
    let _controllers = Controllers::start(&server, &["job"]);
    let mut known = Vec::new();

    let pod = requested(&world, "first", &mut known).await;
    let run = runs(&world).await.remove(0);
    let schedule = ChildId::new(Kind::CronJob, "demo-backup");
    let owner = &run.owner_references()[0];
    assert_eq!(
        Some(&owner.uid),
        world.get(&schedule).await.unwrap().metadata.uid.as_ref()
    );
    assert!(owner.controller == Some(true), "its history limits apply");
    verified(&world, "Pending").await;
    end(&world, &pod, &proof("hello-20260101T000000Z")).await;
    let condition = verified(&world, "Verified").await;
    assert_eq!(condition["status"], "True");
    let proved = status(&world).await;
    assert_eq!(proved["lastVerified"]["file"], "hello-20260101T000000Z");
    assert_eq!(proved["lastVerified"]["seconds"], 1.8);
    assert_eq!(
        (&proved["count"], &proved["lastRequest"]),
        (&json!(1), &json!(run.name_any()))
    );
    assert_eq!(proved["lastAttempt"]["reason"], "Verified");

    is_known_without_its_job(&world, &operator, &run.name_any(), &proved).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
    let operator = world.operator();

    // A failure is named, and the proved one is still known.
    let pod = requested(&world, "second", &mut known).await;
    end(&world, &pod, &failure("DumpFailed", "no space left")).await;
    let condition = verified(&world, "DumpFailed").await;
    assert_eq!(condition["status"], "False");
    let words = condition["message"].as_str().unwrap();
    assert!(words.contains("no space left"), "{words}");
    assert_eq!(status(&world).await["lastVerified"], proved["lastVerified"]);
    world.ready("demo").await;
    world.condition("demo", "Degraded", "True").await;

    words_of_other_images_are_not_repeated(&world, &schedule, &mut known).await;
    operator.stop().await;
}

/// Nothing is said about backups. They can be disabled, and what they have made stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_managed_database_has_backups_until_they_are_disabled() {
    let world = World::new("nightly").await;
    let operator = world.operator();
    world.apply_exactly("demo", &json!({})).await;
    world.ready("demo").await;
    let [schedule, claim] =
        [Kind::CronJob, Kind::PersistentVolumeClaim].map(|kind| ChildId::new(kind, "demo-backup"));
    eventually("the schedule is there", || world.get(&schedule)).await;
    let volume = eventually("the claim is there", || world.get(&claim)).await;
    verified(&world, "NeverRun").await;
    // The default is not written into the spec, where it would be drift to whoever keeps the manifest.
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(live.data["spec"]["backup"], Value::Null);

    let off = json!({"backup": {"enabled": false}});
    world.apply_exactly("demo", &off).await;
    verified(&world, "Disabled").await;
    eventually("the schedule is gone", || async {
        world.get(&schedule).await.is_none().then_some(())
    })
    .await;
    world.ready("demo").await;
    let left = world.get(&claim).await.unwrap();
    assert_eq!(left.metadata.uid, volume.metadata.uid);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_schedule_is_explained_and_holds_up_nothing_else() {
    let world = World::new("schedule").await;
    let operator = world.operator();
    // Well formed, and yet no hour has 61 minutes, and no February 30 days.
    let job = ChildId::new(Kind::CronJob, "demo-backup");
    for (schedule, words) in [
        ("61 2 * * *", "minute: \"61\""),
        ("0 2 30 2 *", "never fires"),
    ] {
        world
            .apply("demo", json!({"backup": {"schedule": schedule}}))
            .await;
        let condition = world.condition("demo", "BackupVerified", "False").await;
        assert_eq!(condition["reason"], "BackupScheduleInvalid");
        let message = condition["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        world.condition("demo", "Degraded", "True").await;
        world.ready("demo").await;
        assert!(world.get(&job).await.is_none());
    }
    world
        .apply("demo", json!({"backup": {"schedule": "1 2 * * *"}}))
        .await;
    world.ready("demo").await;
    world.condition("demo", "Degraded", "False").await;
    // What is there stays when the next schedule is wrong.
    world
        .apply("demo", json!({"backup": {"schedule": "1 24 * * *"}}))
        .await;
    world.condition("demo", "Degraded", "True").await;
    let live = world.get(&job).await.unwrap();
    assert_eq!(live.data["spec"]["schedule"], "1 2 * * *");
    operator.stop().await;
}
