//! Deletions that wait for a last backup, with the real controllers of Jobs and of garbage.

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    kubelet::{end_at_once, new_pod},
    server::Server,
    world::{Jobs, World, eventually},
};

const FINALIZER: &str = "hello.internal/snapshot";
const CONTROLLERS: [&str; 2] = ["job", "garbage-collector-controller"];

fn spec(policy: &str) -> Value {
    json!({"deletionPolicy": policy, "backup": {"schedule": "@yearly"}})
}

fn proof(set: &str) -> Value {
    json!({"reason": "Verified", "time": "2026-01-01T00:00:00Z", "set": set, "sequence": 1, "sizeBytes": 123,
        "rows": 1000, "schemaVersion": 7, "restoreSeconds": 1.8, "count": 1, "warnings": []})
}

async fn end(world: &World, pod: &k8s_openapi::api::core::v1::Pod, result: &Value) {
    let code = i32::from(result["reason"] != "Verified");
    end_at_once(world, pod, code, &result.to_string()).await;
}

pub async fn delete(world: &World, name: &str, parameters: DeleteParams) {
    let services = world.services();
    services.delete(name, &parameters).await.unwrap();
}

pub async fn patch(world: &World, name: &str, patch: Value) {
    let (services, parameters) = (world.services(), PatchParams::default());
    services
        .patch(name, &parameters, &Patch::Merge(patch))
        .await
        .unwrap();
}

/// Waits until the resource is not ready for this reason, with these words.
pub async fn waits(world: &World, name: &str, reason: &str, words: &str) {
    eventually(&format!("{name}: {reason}: {words}"), || async {
        let live = world.services().get(name).await.unwrap();
        let ready = live.data["status"]["conditions"][0].clone();
        let message = ready["message"].as_str().unwrap_or_default();
        (ready["reason"] == reason && message.contains(words)).then_some(())
    })
    .await;
}

pub async fn gone(world: &World, name: &str) {
    eventually(&format!("{name} is gone"), || async {
        let live = world.services().get_opt(name).await.unwrap();
        live.is_none().then_some(())
    })
    .await;
}

fn data(name: &str) -> [ChildId; 2] {
    [
        ChildId::new(Kind::Secret, format!("{name}-credentials")),
        ChildId::new(Kind::PersistentVolumeClaim, format!("data-{name}-db-0")),
    ]
}

/// Whether an object is there to stay.
fn stays(live: Option<&DynamicObject>) -> bool {
    live.is_some_and(|live| {
        live.metadata.deletion_timestamp.is_none() && live.owner_references().is_empty()
    })
}

async fn data_stays(world: &World, name: &str) {
    for id in data(name) {
        assert!(stays(world.get(&id).await.as_ref()), "{id}");
    }
}

/// No kubelet takes the finalizer of claims off, so one that is being deleted is gone.
async fn data_goes(world: &World, name: &str) {
    for id in data(name) {
        eventually(&format!("{id} is gone"), || async {
            let live = world.get(&id).await;
            let there = live.is_some_and(|live| live.metadata.deletion_timestamp.is_none());
            (!there).then_some(())
        })
        .await;
    }
}

async fn is_absent(world: &World, kind: Kind, name: &str) {
    let id = ChildId::new(kind, name);
    eventually(&format!("{id} is gone"), || async {
        world.get(&id).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_deleted_only_after_a_last_backup_that_is_proved() {
    let server = Server::start();
    let world = World::on(&server, "last-backup").await;
    let operator = world.operator();
    let mut spec = spec("Snapshot");
    spec["autoscaling"] = json!({"minReplicas": 2, "maxReplicas": 3});
    world.apply("demo", spec).await;
    world.ready("demo").await;
    let _controllers = Controllers::start(&server, &CONTROLLERS);
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(live.finalizers(), [FINALIZER]);
    data_stays(&world, "demo").await;

    delete(&world, "demo", DeleteParams::background()).await;
    waits(&world, "demo", "SnapshotPending", "is being made").await;
    let app = world.get(&ChildId::new(Kind::Deployment, "demo")).await;
    assert_eq!(app.unwrap().data["spec"]["replicas"], 0);
    is_absent(&world, Kind::HorizontalPodAutoscaler, "demo").await;
    is_absent(&world, Kind::CronJob, "demo-backup").await;

    // A failure stops the deletion, also for the next operator.
    let mut known = Vec::new();
    let pod = new_pod(&world, "backup", &known).await;
    known.push(pod.uid().unwrap());
    let full = json!({"reason": "DestinationFull", "time": "2026-01-01T00:00:00Z", "message": "no space left"});
    end(&world, &pod, &full).await;
    waits(&world, "demo", "SnapshotFailed", "no space left").await;
    world.condition("demo", "Degraded", "True").await;
    operator.stop().await;
    let operator = world.operator();
    world.settle(&operator).await;
    data_stays(&world, "demo").await;

    // It is made again at once on request, and when its spec is corrected; an application that was started again makes what
    // was begun before worthless.
    let now = json!({"metadata": {"annotations": {"hello.internal/backup-requested-at": "now"}}});
    patch(&world, "demo", now).await;
    let pod = new_pod(&world, "backup", &known).await;
    known.push(pod.uid().unwrap());
    let image = json!({"spec": {"backup": {"image": "postgres:18.1"}}});
    patch(&world, "demo", image).await;
    let pod = new_pod(&world, "backup", &known).await;
    assert!(format!("{:?}", pod.spec).contains("postgres:18.1"));
    known.push(pod.uid().unwrap());
    let deployments = world.api(Kind::Deployment);
    let scaled = Patch::Merge(json!({"spec": {"replicas": 1}}));
    let parameters = PatchParams::default();
    deployments
        .patch("demo", &parameters, &scaled)
        .await
        .unwrap();
    let last = new_pod(&world, "backup", &known).await;
    let job = |pod: &k8s_openapi::api::core::v1::Pod| {
        pod.labels()["batch.kubernetes.io/job-name"].clone()
    };
    assert_ne!(job(&last), job(&pod));
    data_stays(&world, "demo").await;

    end(&world, &last, &proof("hello-20260101T000000Z")).await;
    gone(&world, "demo").await;
    data_goes(&world, "demo").await;
    let backups = ChildId::new(Kind::PersistentVolumeClaim, "demo-backup");
    assert!(stays(world.get(&backups).await.as_ref()));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_ends_the_wait_for_a_last_backup() {
    let server = Server::start();
    let world = World::on(&server, "no-last-backup").await;
    let operator = world.operator();
    for name in ["kept", "dropped"] {
        world.apply(name, spec("Snapshot")).await;
    }
    for name in ["kept", "dropped"] {
        world.ready(name).await;
    }
    let _controllers = Controllers::start(&server, &CONTROLLERS);
    for name in ["kept", "dropped"] {
        delete(&world, name, DeleteParams::background()).await;
        waits(&world, name, "SnapshotPending", "is being made").await;
    }
    for (name, policy) in [("kept", "Retain"), ("dropped", "Delete")] {
        let policy = json!({"spec": {"deletionPolicy": policy}});
        patch(&world, name, policy).await;
        gone(&world, name).await;
    }
    data_goes(&world, "dropped").await;
    data_stays(&world, "kept").await;
    operator.stop().await;
}

/// The garbage collector takes the children first, also the database's server.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_in_the_foreground_waits_for_a_last_backup_too() {
    let server = Server::start();
    let world = World::on(&server, "foreground").await;
    let operator = world.operator();
    world.apply("demo", spec("Snapshot")).await;
    world.ready("demo").await;
    let _controllers = Controllers::start(&server, &CONTROLLERS);
    delete(&world, "demo", DeleteParams::foreground()).await;
    waits(&world, "demo", "SnapshotPending", "is being made").await;
    data_stays(&world, "demo").await;
    let pod = new_pod(&world, "backup", &[]).await;
    end(&world, &pod, &proof("hello-20260101T000000Z")).await;
    gone(&world, "demo").await;
    data_goes(&world, "demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_served_and_what_is_paused_is_let_go_without_a_backup() {
    let world = World::new("never-served").await;
    let operator = world.operator();
    world.set_jobs(Jobs::Fail);
    world.apply("demo", spec("Snapshot")).await;
    waits(&world, "demo", "MigrationFailed", "").await;
    delete(&world, "demo", DeleteParams::background()).await;
    gone(&world, "demo").await;
    data_stays(&world, "demo").await;

    // A pause holds a deletion that is to wait, and says so.
    world.set_jobs(Jobs::Succeed);
    world.apply("held", spec("Snapshot")).await;
    world.ready("held").await;
    patch(&world, "held", json!({"spec": {"paused": true}})).await;
    world.condition("held", "Paused", "True").await;
    delete(&world, "held", DeleteParams::background()).await;
    waits(&world, "held", "Paused", "is being deleted").await;
    world.settle(&operator).await;
    let app = world.get(&ChildId::new(Kind::Deployment, "held")).await;
    assert_eq!(app.unwrap().data["spec"]["replicas"], 2);
    patch(
        &world,
        "held",
        json!({"spec": {"deletionPolicy": "Retain"}}),
    )
    .await;
    gone(&world, "held").await;
    data_stays(&world, "held").await;
    operator.stop().await;
}

/// Neither a pause nor a spec that is not valid makes a namespace hang.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_being_deleted_waits_for_no_last_backup() {
    let world = World::new("going-namespace").await;
    let operator = world.operator();
    for name in ["usual", "paused", "invalid"] {
        world.apply(name, spec("Snapshot")).await;
    }
    for name in ["usual", "paused", "invalid"] {
        world.ready(name).await;
    }
    patch(&world, "paused", json!({"spec": {"paused": true}})).await;
    patch(
        &world,
        "invalid",
        json!({"spec": {"config": {"timeZone": "Mars/Olympus"}}}),
    )
    .await;
    waits(&world, "invalid", "InvalidSpec", "Mars/Olympus").await;
    // One of them waits already.
    delete(&world, "usual", DeleteParams::background()).await;
    waits(&world, "usual", "SnapshotPending", "is being made").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let parameters = DeleteParams::default();
    namespaces
        .delete("going-namespace", &parameters)
        .await
        .unwrap();
    // The controller of namespaces deletes what is in it; it does not run here.
    for name in ["paused", "invalid"] {
        delete(&world, name, DeleteParams::background()).await;
    }
    for name in ["usual", "paused", "invalid"] {
        gone(&world, name).await;
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_finalizer_follows_the_policy_and_those_of_others_stay() {
    let world = World::new("finalizers").await;
    let operator = world.operator();
    let finalizers = |expected: &'static [&'static str]| {
        let world = &world;
        async move {
            eventually(&format!("{expected:?}"), || async {
                let live = world.services().get("demo").await.unwrap();
                (live.finalizers() == expected).then_some(())
            })
            .await;
        }
    };
    world.apply("demo", spec("Retain")).await;
    world.ready("demo").await;
    finalizers(&[]).await;
    let other = json!({"metadata": {"finalizers": ["example.com/keep"]}});
    patch(&world, "demo", other).await;
    world.apply("demo", spec("Snapshot")).await;
    finalizers(&["example.com/keep", FINALIZER]).await;
    world.ready("demo").await;
    // Whoever takes it off gets it back, as long as nothing is deleted.
    let removed = json!({"metadata": {"finalizers": ["example.com/keep"]}});
    patch(&world, "demo", removed).await;
    finalizers(&["example.com/keep", FINALIZER]).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
    let operator = world.operator();
    for policy in ["Delete", "Snapshot", "Retain"] {
        world.apply("demo", spec(policy)).await;
        match policy {
            "Snapshot" => finalizers(&["example.com/keep", FINALIZER]).await,
            _ => finalizers(&["example.com/keep"]).await,
        }
    }
    let free = json!({"metadata": {"finalizers": null}});
    patch(&world, "demo", free).await;
    // By hand, as the documentation says: the data stays.
    world.apply("demo", spec("Snapshot")).await;
    finalizers(&[FINALIZER]).await;
    operator.stop().await;
    delete(&world, "demo", DeleteParams::background()).await;
    patch(&world, "demo", json!({"metadata": {"finalizers": null}})).await;
    gone(&world, "demo").await;
    data_stays(&world, "demo").await;
}
