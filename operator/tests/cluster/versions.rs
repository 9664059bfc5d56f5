//! Changes of the data's version, with the real controllers of Jobs and of garbage.

use std::collections::BTreeMap;

use hello_operator::object::{child::ChildId, kind::Kind, names};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    kubelet::{self, end_at_once, new_pod},
    restore::{end, gone, staged, step, swapped},
    server::Server,
    snapshot::{patch, waits},
    world::{Jobs, World, eventually},
};

const CONTROLLERS: [&str; 2] = ["job", "garbage-collector-controller"];
const BACKUP: &str = "hello-20260101T000000Z";

/// A service under the policy with which a claim goes with its server.
fn spec(version: Option<&str>, image: &str) -> Value {
    json!({"deletionPolicy": "Delete", "backup": {"schedule": "@yearly"},
        "database": {"managed": {"image": image, "dataVersion": version}}})
}

fn old() -> Value {
    spec(None, "postgres:16")
}

fn new() -> Value {
    spec(Some("18"), "postgres:18")
}

fn claim(version: &str) -> ChildId {
    ChildId::new(Kind::PersistentVolumeClaim, format!("{version}-demo-db-0"))
}

async fn database(world: &World) -> Value {
    let live = world.services().get("demo").await.unwrap();
    live.data["status"]["database"].clone()
}

async fn set(world: &World) -> Option<DynamicObject> {
    let id = ChildId::new(Kind::StatefulSet, "demo-db");
    world.get(&id).await
}

fn volume(set: &DynamicObject) -> String {
    let template = &set.data["spec"]["volumeClaimTemplates"][0]["metadata"]["name"];
    template.as_str().unwrap().to_owned()
}

fn image(set: &DynamicObject) -> String {
    let containers = &set.data["spec"]["template"]["spec"]["containers"];
    containers[0]["image"].as_str().unwrap().to_owned()
}

/// Waits for the server of this volume.
async fn serves_from(world: &World, name: &str) {
    eventually(&format!("a server with {name}"), || async {
        let set = set(world).await?;
        (volume(&set) == name).then_some(())
    })
    .await;
}

async fn replicas(world: &World) -> i64 {
    let app = world.get(&ChildId::new(Kind::Deployment, "demo")).await;
    app.unwrap().data["spec"]["replicas"].as_i64().unwrap()
}

/// The pod of the backup before the change, which has the programs of the new image.
async fn backing_up(world: &World, known: &mut Vec<String>) -> Pod {
    let pod = new_pod(world, "backup", known).await;
    known.push(pod.uid().unwrap());
    assert_eq!(replicas(world).await, 0);
    let container = &pod.spec.as_ref().unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some("postgres:18"));
    let set = set(world).await.unwrap();
    assert_eq!((&*volume(&set), &*image(&set)), ("data", "postgres:16"));
    pod
}

async fn backed_up(world: &World, pod: &Pod) {
    let proof = json!({"reason": "Verified", "time": "2026-01-01T00:00:00Z", "set": BACKUP, "sequence": 1,
        "sizeBytes": 123, "rows": 5, "schemaVersion": 7, "restoreSeconds": 1.8, "count": 1, "warnings": []});
    kubelet::end(world, pod, 0, &proof.to_string()).await;
}

/// The schema of the new volume is there. The controller of Jobs runs, so its pod does the work.
async fn migrated(world: &World, known: &mut Vec<String>) {
    let pod = new_pod(world, "migration", known).await;
    known.push(pod.uid().unwrap());
    kubelet::end(world, &pod, 0, "").await;
}

async fn restored(world: &World, known: &mut Vec<String>) {
    migrated(world, known).await;
    let pod = step(world, known, "stage").await;
    assert_eq!(replicas(world).await, 0);
    end(world, &pod, 0, staged(0)).await;
    let pod = step(world, known, "swap").await;
    end(world, &pod, 0, swapped()).await;
}

/// Changes the version of the data of a new service, without the controllers of Jobs, until its server is another one.
pub async fn change_once(world: &World, name: &str) {
    world.apply(name, old()).await;
    world.ready(name).await;
    world.apply(name, new()).await;
    let labels = format!("app.kubernetes.io/instance={name},app.kubernetes.io/component=backup");
    let listed = ListParams::default().labels(&labels);
    let jobs = world.api(Kind::Job);
    let job = eventually("the backup", || async {
        jobs.list(&listed).await.unwrap().items.pop()
    })
    .await;
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid(),
        "controller": true}]);
    let pod = json!({"metadata": {"name": format!("{name}-proof"), "labels": job.labels(), "ownerReferences": owner},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "backup", "image": "postgres:18"}]}});
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let pod = serde_json::from_value(pod).unwrap();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    backed_up(world, &pod).await;
    // One that ended long ago without a known proof is made again.
    let now = jiff::Timestamp::now().to_string();
    let end = |type_: &str| json!({"type": type_, "status": "True", "reason": "x", "lastTransitionTime": now});
    let status = json!({"status": {"startTime": now, "completionTime": now, "succeeded": 1,
        "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0,
        "conditions": [end("SuccessCriteriaMet"), end("Complete")]}});
    let parameters = PatchParams::default();
    let (job, status) = (job.name_any(), Patch::Merge(status));
    jobs.patch_status(&job, &parameters, &status).await.unwrap();
    let set = ChildId::new(Kind::StatefulSet, names::database(name));
    eventually("another server", || async {
        let live = world.get(&set).await?;
        (volume(&live) == "data-18").then_some(())
    })
    .await;
}

/// A service of PostgreSQL 16, and its controllers.
async fn served(server: &Server, world: &World) -> Controllers {
    world.apply("demo", old()).await;
    world.ready("demo").await;
    world.set_jobs(Jobs::Hang);
    let controllers = Controllers::start(server, &CONTROLLERS);
    let claim = world.get(&claim("data")).await.unwrap();
    assert_eq!(claim.owner_references()[0].kind, "StatefulSet");
    controllers
}

async fn is_kept(world: &World, volume: &str, uid: Option<String>) {
    let live = world.get(&claim(volume)).await.unwrap();
    assert_eq!(live.uid(), uid, "{volume}");
    assert!(live.metadata.deletion_timestamp.is_none(), "{volume}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_comes_by_a_proved_backup_and_goes_back_by_consent() {
    let server = Server::start();
    let world = World::on(&server, "versions").await;
    let operator = world.operator();
    let _controllers = served(&server, &world).await;
    let first = world.get(&claim("data")).await.unwrap().uid();
    let mut known = Vec::new();

    world.apply("demo", new()).await;
    waits(&world, "demo", "Upgrading", "is backed up").await;
    let pod = backing_up(&world, &mut known).await;
    backed_up(&world, &pod).await;
    restored(&world, &mut known).await;
    world.ready("demo").await;
    let set = set(&world).await.unwrap();
    assert_eq!((&*volume(&set), &*image(&set)), ("data-18", "postgres:18"));
    assert_eq!(replicas(&world).await, 2);
    is_kept(&world, "data", first.clone()).await;
    let old_claim = world.get(&claim("data")).await.unwrap();
    assert!(old_claim.owner_references().is_empty());
    let second = world.get(&claim("data-18")).await.unwrap();
    assert_eq!(
        second.annotations()[names::DATA_ANNOTATION],
        names::COMPLETE
    );
    let status = database(&world).await;
    assert_eq!(status["dataVersion"], "18");
    assert_eq!(status["upgrade"], Value::Null);
    assert_eq!(status["former"][0]["claim"], "data-demo-db-0");
    assert_eq!(status["former"][0]["image"], "postgres:16");
    operator.stop().await;
    world.finds_nothing_to_write().await;

    let operator = world.operator();
    goes_back(&world, &mut known, (second.uid(), first)).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

/// The former claim lacks what was written since: that is said, and nothing happens until it is accepted.
async fn goes_back(
    world: &World,
    known: &mut Vec<String>,
    (second, first): (Option<String>, Option<String>),
) {
    world.apply("demo", old()).await;
    waits(
        world,
        "demo",
        "UpgradeBlocked",
        "what was written since then",
    )
    .await;
    world.condition("demo", "Degraded", "True").await;
    assert_eq!(replicas(world).await, 2);
    let set = set(world).await.unwrap();
    assert_eq!((&*volume(&set), &*image(&set)), ("data-18", "postgres:18"));
    let live = world.services().get("demo").await.unwrap();
    let message = live.data["status"]["conditions"][0]["message"].clone();
    let message = message.as_str().unwrap();
    let (_, value) = message.split_once("accept-new-data=").unwrap();
    let accepted: BTreeMap<&str, &str> = [(names::ACCEPT_DATA_ANNOTATION, value)].into();
    patch(
        world,
        "demo",
        json!({"metadata": {"annotations": accepted}}),
    )
    .await;
    serves_from(world, "data").await;
    migrated(world, known).await;
    world.ready("demo").await;
    is_kept(world, "data", first).await;
    is_kept(world, "data-18", second).await;
    let status = database(world).await;
    assert_eq!(status["dataVersion"], Value::Null);
    assert_eq!(status["former"][0]["dataVersion"], "18");
    // The same value accepts nothing the next time.
    world.apply("demo", new()).await;
    waits(
        world,
        "demo",
        "UpgradeBlocked",
        "what was written since then",
    )
    .await;
    world.apply("demo", old()).await;
    world.ready("demo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_goes_back() {
    let server = Server::start();
    let world = World::on(&server, "versions-back").await;
    let operator = world.operator();
    let _controllers = served(&server, &world).await;
    let first = world.get(&claim("data")).await.unwrap().uid();
    let server_uid = set(&world).await.unwrap().uid();
    let mut known = Vec::new();

    // A backup that fails has touched nothing.
    world.apply("demo", new()).await;
    let pod = backing_up(&world, &mut known).await;
    let full = json!({"reason": "DestinationFull", "time": "2026-01-01T00:00:00Z", "message": "no space left"});
    end_at_once(&world, &pod, 1, &full.to_string()).await;
    waits(&world, "demo", "UpgradeFailed", "no space left").await;
    world.condition("demo", "Degraded", "True").await;
    world.apply("demo", old()).await;
    world.ready("demo").await;
    assert_eq!(set(&world).await.unwrap().uid(), server_uid);
    assert_eq!(replicas(&world).await, 2);

    // Nor has a restore that is at work. The former server starts only once no step of it can follow.
    world.apply("demo", new()).await;
    let pod = backing_up(&world, &mut known).await;
    backed_up(&world, &pod).await;
    migrated(&world, &mut known).await;
    let _at_work = step(&world, &mut known, "stage").await;
    let restore = database(&world).await["upgrade"]["restore"].clone();
    serves_from(&world, "data-18").await;
    world.apply("demo", old()).await;
    serves_from(&world, "data").await;
    world.ready("demo").await;
    is_kept(&world, "data", first).await;
    let pod = step(&world, &mut known, "discard").await;
    end(&world, &pod, 0, json!({"reason": "Discarded"})).await;
    gone(&world, restore.as_str().unwrap()).await;

    // What the new claim has is not known to be complete.
    world.apply("demo", new()).await;
    waits(&world, "demo", "UpgradeBlocked", "not known to be complete").await;
    assert_eq!(replicas(&world).await, 2);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_status_starts_nothing() {
    let server = Server::start();
    let world = World::on(&server, "versions-lost").await;
    let operator = world.operator();
    let _controllers = served(&server, &world).await;
    let mut known = Vec::new();
    world.apply("demo", new()).await;
    let pod = backing_up(&world, &mut known).await;
    backed_up(&world, &pod).await;
    migrated(&world, &mut known).await;
    let _at_work = step(&world, &mut known, "stage").await;
    operator.stop().await;
    let (parameters, wipe) = (
        PatchParams::default(),
        Patch::Merge(json!({"status": null})),
    );
    let services = world.services();
    services
        .patch_status("demo", &parameters, &wipe)
        .await
        .unwrap();

    let operator = world.operator();
    waits(&world, "demo", "UpgradeBlocked", "not complete").await;
    assert_eq!(replicas(&world).await, 0);
    // As the message says.
    world.apply("demo", old()).await;
    waits(&world, "demo", "UpgradeBlocked", "demo-db has the data").await;
    let sets = world.api(Kind::StatefulSet);
    sets.delete("demo-db", &DeleteParams::background())
        .await
        .unwrap();
    serves_from(&world, "data").await;
    migrated(&world, &mut known).await;
    world.ready("demo").await;
    assert_eq!(replicas(&world).await, 2);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_begin_leaves_the_service_as_it_is() {
    let world = World::new("versions-blocked").await;
    let operator = world.operator();
    world.apply("demo", old()).await;
    world.ready("demo").await;
    let mut without = new();
    without["backup"] = json!({"enabled": false});
    let mut encrypted = new();
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    encrypted["backup"]["encryption"] = json!({"recipients": [key]});
    let other = spec(None, "postgres:18");
    for (spec, words) in [
        (&without, "spec.backup"),
        (&encrypted, "encryption"),
        (&other, "the server keeps its image"),
    ] {
        world.apply("demo", spec.clone()).await;
        waits(&world, "demo", "UpgradeBlocked", words).await;
        let set = set(&world).await.unwrap();
        assert_eq!((&*volume(&set), &*image(&set)), ("data", "postgres:16"));
        assert_eq!(replicas(&world).await, 2);
    }
    world.apply("demo", old()).await;
    world.ready("demo").await;
    operator.stop().await;
}
