//! A service that starts from a backup, with the real controller of Jobs for the steps of its restore.

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    restore::{end, gone, reached, restores, staged, step, swapped},
    server::Server,
    world::{World, eventually},
};

const RESTORE: &str = "demo-bootstrap";

fn from(source: &Value) -> Value {
    let bootstrap = json!({"fromBackup": source});
    json!({"backup": {"schedule": "@yearly"}, "database": {"managed": {"bootstrap": bootstrap}}})
}

fn volume() -> Value {
    json!({"backup": "latest", "destination": {"volume": {"claimName": "shop-backup"}}})
}

async fn status(world: &World) -> Value {
    let live = world.services().get("demo").await.unwrap();
    live.data["status"].clone()
}

/// Waits until the service is not ready for this reason, with these words.
async fn waits(world: &World, reason: &str, words: &str) {
    eventually(&format!("{reason}: {words}"), || async {
        let ready = status(world).await["conditions"][0].clone();
        assert_ne!(ready["status"], "True", "{ready}");
        let message = ready["message"].as_str().unwrap_or_default();
        (ready["reason"] == reason && message.contains(words)).then_some(())
    })
    .await;
    for (kind, name) in [(Kind::Deployment, "demo"), (Kind::CronJob, "demo-backup")] {
        let there = world.get(&ChildId::new(kind, name)).await;
        assert!(there.is_none(), "{kind} {name}");
    }
    assert_eq!(
        status(world).await["database"]["bootstrap"]["phase"],
        "Restoring"
    );
}

async fn uid(world: &World) -> Option<String> {
    restores(world).get_opt(RESTORE).await.unwrap()?.uid()
}

/// Waits for what the status remembers.
async fn remembers(world: &World, phase: &str) {
    eventually(phase, || async {
        let known = status(world).await["database"]["bootstrap"].clone();
        (known["phase"] == phase).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_with_the_data_of_its_backup_and_only_once() {
    let server = Server::start();
    let world = World::on(&server, "bootstrap").await;
    let operator = world.operator();
    let mut known = Vec::new();

    // What is wrong with the source is reported by the service, and nothing is written meanwhile.
    world.apply("demo", from(&volume())).await;
    reached(&world, RESTORE, "Pending", "SourceInvalid").await;
    waits(
        &world,
        "BootstrapStalled",
        "PersistentVolumeClaim shop-backup does not exist",
    )
    .await;
    world.condition("demo", "Degraded", "True").await;
    world.settle(&operator).await;
    let first = uid(&world).await;

    // Another source is another order, of which one that is given up leaves nothing.
    let _controllers = Controllers::start(&server, &["job"]);
    world
        .apply("demo", from(&json!({"backup": "latest"})))
        .await;
    let pod = step(&world, &mut known, "stage").await;
    assert_ne!(uid(&world).await, first);
    let restore = restores(&world).get(RESTORE).await.unwrap();
    let owner = &restore.owner_references()[0];
    assert_eq!(
        (&*owner.kind, owner.controller),
        ("HelloService", Some(true))
    );
    waits(&world, "Bootstrapping", "demo-bootstrap is Staging").await;
    end(&world, &pod, 0, staged(3)).await;
    waits(&world, "BootstrapStalled", "3 added").await;

    // Deleted by hand, it is ordered again: there is no other way to the data.
    let delete = DeleteParams::default();
    let second = uid(&world).await;
    restores(&world).delete(RESTORE, &delete).await.unwrap();
    let pod = step(&world, &mut known, "discard").await;
    end(&world, &pod, 0, json!({"reason": "Discarded"})).await;
    let pod = step(&world, &mut known, "stage").await;
    assert_ne!(uid(&world).await, second);
    end(&world, &pod, 0, staged(0)).await;
    let pod = step(&world, &mut known, "swap").await;
    waits(&world, "Bootstrapping", "demo-bootstrap is Swapping").await;
    end(&world, &pod, 0, swapped()).await;
    world.ready("demo").await;
    remembers(&world, "Completed").await;
    let known_now = status(&world).await["database"]["bootstrap"].clone();
    assert_eq!(known_now["backup"], "hello-20260101T000000Z");
    eventually("backups are made", || async {
        let schedule = ChildId::new(Kind::CronJob, "demo-backup");
        world.get(&schedule).await.map(|_| ())
    })
    .await;

    restored_never_again(&world).await;
    // Another operator finds no status: nothing reports that it was lost.
    operator.stop().await;
    let (parameters, wipe) = (
        PatchParams::default(),
        Patch::Merge(json!({"status": null})),
    );
    let services = world.services();
    let wiped = services.patch_status("demo", &parameters, &wipe);
    wiped.await.unwrap();
    let operator = world.operator();
    remembers(&world, "NotNeeded").await;
    world.ready("demo").await;
    assert_eq!(uid(&world).await, None);
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

/// Whatever is lost or edited, nothing is restored over the data that serves.
async fn restored_never_again(world: &World) {
    let delete = DeleteParams::default();
    // An edit leaves the restore alone, which has the way back.
    let before = uid(world).await;
    world.apply("demo", from(&volume())).await;
    world.ready("demo").await;
    assert_eq!(uid(world).await, before);
    // The restore and the Deployment are lost.
    restores(world).delete(RESTORE, &delete).await.unwrap();
    gone(world, RESTORE).await;
    let deployment = ChildId::new(Kind::Deployment, "demo");
    let app = world.get(&deployment).await.and_then(|app| app.uid());
    world
        .api(Kind::Deployment)
        .delete("demo", &delete)
        .await
        .unwrap();
    eventually("the Deployment is back", || async {
        let live = world.get(&deployment).await?;
        (live.uid() != app).then_some(())
    })
    .await;
    remembers(world, "Completed").await;
    world.ready("demo").await;
    assert_eq!(uid(world).await, None);
}
