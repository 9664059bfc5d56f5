//! Pods that the API server refuses, with Kubernetes' own controllers: whose words they are, and that an end is noticed.

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::{
    core::v1::{LimitRange, Pod, ResourceQuota},
    events::v1::Event,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    server::Server,
    world::{World, eventually},
};

/// What the LimitRange of [`limit`] answers.
const TOO_SMALL: &str = "minimum memory usage per Container is 64Gi";

const CONTROLLERS: [&str; 5] = [
    "deployment-controller",
    "job-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "statefulset-controller",
];

fn api<K>(world: &World) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(world.client.clone(), &world.namespace)
}

async fn create<K>(world: &World, object: Value)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    let api = api::<K>(world);
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Waits until the condition is reported as refused in these words.
async fn refused(world: &World, type_: &str, words: &str) {
    let what = format!("{type_} is refused: {words}");
    eventually(&what, || async {
        let condition = world.condition("demo", type_, "False").await;
        let message = condition["message"].as_str()?;
        (condition["reason"] == "PodRefused" && message.contains(words)).then_some(())
    })
    .await;
    world.condition("demo", "Degraded", "True").await;
}

/// A pod of this part that exists.
async fn pod(world: &World, part: &str) -> Pod {
    let labels = ListParams::default().labels(&format!("app.kubernetes.io/component={part}"));
    eventually(&format!("a pod of the {part}"), || async {
        let pods = api::<Pod>(world).list(&labels).await.unwrap().items;
        pods.into_iter().next()
    })
    .await
}

/// Acts as the kubelet.
async fn becomes(world: &World, pod: &Pod, phase: &str) {
    let status = json!({"status": {"phase": phase, "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let api = api::<Pod>(world);
    let patch = Patch::Merge(&status);
    api.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// No container may be so small.
async fn limit(world: &World) {
    let range = json!({"metadata": {"name": "large"}, "spec": {"limits": [
        {"type": "Container", "min": {"memory": "64Gi"}}]}});
    create::<LimitRange>(world, range).await;
    // Enforced as soon as the API server's own cache has it.
    let probe = json!({"metadata": {"name": "probe"}, "spec": {"containers": [
        {"name": "x", "image": "x", "resources": {"limits": {"memory": "1Gi"}}}]}});
    let probe: Pod = serde_json::from_value(probe).unwrap();
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the limit range is enforced", || async {
        let answer = api::<Pod>(world).create(&parameters, &probe).await;
        answer.is_err().then_some(())
    })
    .await;
}

async fn unlimited(world: &World) {
    let ranges = api::<LimitRange>(world);
    ranges
        .delete("large", &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_the_api_server_refuses_are_reported_in_its_words_until_they_come() {
    let server = Server::start();
    let world = World::on(&server, "no-pods").await;
    let _no_stand_in = world.stand_still().await;
    let _controllers = Controllers::start(&server, &CONTROLLERS);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    create::<ResourceQuota>(&world, quota).await;
    eventually("the quota is counted", || async {
        let quota = api::<ResourceQuota>(&world).get("none").await.unwrap();
        quota.status?.hard.map(drop)
    })
    .await;
    let operator = world.operator();

    world.apply("demo", json!({"replicas": 1})).await;
    refused(&world, "DatabaseReady", "exceeded quota: none").await;
    eventually("a warning event", || async {
        let events = api::<Event>(&world).list(&ListParams::default()).await;
        let mut events = events.unwrap().items.into_iter();
        let warning = events.find(|event| event.reason.as_deref() == Some("PodRefused"))?;
        (warning.type_.as_deref() == Some("Warning")).then_some(())
    })
    .await;

    limit(&world).await;
    let quotas = api::<ResourceQuota>(&world);
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    // The next try meets the next obstacle.
    refused(&world, "DatabaseReady", TOO_SMALL).await;
    unlimited(&world).await;
    let server_pod = pod(&world, "database").await;
    world.condition("demo", "Degraded", "False").await;

    limit(&world).await;
    becomes(&world, &server_pod, "Running").await;
    refused(&world, "Migrated", TOO_SMALL).await;
    unlimited(&world).await;
    let migration = pod(&world, "migration").await;
    world.condition("demo", "Degraded", "False").await;

    limit(&world).await;
    becomes(&world, &migration, "Succeeded").await;
    let deployment = ChildId::new(Kind::Deployment, "demo");
    eventually("the Deployment", || world.get(&deployment)).await;
    refused(&world, "Ready", TOO_SMALL).await;
    unlimited(&world).await;
    let app = pod(&world, "app").await;
    becomes(&world, &app, "Running").await;
    world.ready("demo").await;
    operator.stop().await;
}

/// A quota that allows none of this resource.
async fn allow_none(world: &World, resource: &str) {
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {resource: "0"}}});
    create::<ResourceQuota>(world, quota).await;
    eventually("the quota is counted", || async {
        let quota = api::<ResourceQuota>(world).get("none").await.unwrap();
        quota.status?.hard.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_refused_or_cannot_be_made_is_reported_in_these_words() {
    let server = Server::start();
    let world = World::on(&server, "no-claim").await;
    let _no_stand_in = world.stand_still().await;
    let controllers = [&CONTROLLERS[..], &["persistentvolume-binder-controller"]].concat();
    let _controllers = Controllers::start(&server, &controllers);
    allow_none(&world, "requests.storage").await;
    let operator = world.operator();
    let storage = json!({"size": "1Gi", "storageClassName": "misspelt"});
    world
        .apply(
            "demo",
            json!({"database": {"managed": {"storage": storage}}}),
        )
        .await;
    refused(&world, "DatabaseReady", "exceeded quota: none").await;
    let quotas = api::<ResourceQuota>(&world);
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    // The controller tries again after pauses that double; a change makes it try now.
    let again = Patch::Merge(json!({"metadata": {"annotations": {"example.com/again": "now"}}}));
    let sets = world.api(Kind::StatefulSet);
    sets.patch("demo-db", &PatchParams::default(), &again)
        .await
        .unwrap();
    // No scheduler runs here; its words are about the pod, those of the provisioner about the cause.
    let server_pod = pod(&world, "database").await;
    let status = json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "pod has unbound immediate PersistentVolumeClaims"}]}});
    let pods = api::<Pod>(&world);
    let (name, patch) = (server_pod.name_any(), Patch::Merge(&status));
    pods.patch_status(&name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("the provisioner's words", || async {
        let condition = world.condition("demo", "DatabaseReady", "False").await;
        let message = condition["message"].as_str()?;
        let words = "\"misspelt\" not found";
        (condition["reason"] == "VolumePending" && message.contains(words)).then_some(())
    })
    .await;
    operator.stop().await;
}

/// A backup started now, as its controller reports it.
async fn started(world: &World) {
    let time = jiff::Timestamp::now();
    let time = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = Patch::Merge(json!({"status": {"lastScheduleTime": time}}));
    let schedules = world.api(Kind::CronJob);
    schedules
        .patch_status("demo-backup", &PatchParams::default(), &status)
        .await
        .unwrap();
}

/// The first full minute that is not too near, and its schedule: due then, and not again for a day. The controller may wait
/// longer than a minute between two attempts, and their events have to be of the run that is due.
fn soon() -> (jiff::Timestamp, String) {
    let now = jiff::Timestamp::now().as_second();
    let due = jiff::Timestamp::from_second((now + 5) / 60 * 60 + 60).unwrap();
    (due, due.strftime("%-M %-H * * *").to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_job_is_refused_is_reported_until_it_is_made() {
    let server = Server::start();
    let world = World::on(&server, "no-backup").await;
    let names = ["cronjob-controller", "resourcequota-controller"];
    let operator = world.operator();
    // The schedule has to be due soon, and not before everything else is there.
    let every = |schedule: &str| json!({"backup": {"schedule": schedule}});
    world.apply("demo", every("@yearly")).await;
    world.ready("demo").await;
    let controllers = Controllers::start(&server, &names);
    allow_none(&world, "count/jobs.batch").await;
    let (due, soon) = soon();
    world.apply("demo", every(&soon)).await;
    let schedule = ChildId::new(Kind::CronJob, "demo-backup");
    eventually("the schedule", || async {
        let live = world.get(&schedule).await?;
        (live.data["spec"]["schedule"] == *soon).then_some(())
    })
    .await;
    let left = due.duration_since(jiff::Timestamp::now());
    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
    eventually("its controller is refused", || async {
        let events = api::<Event>(&world).list(&ListParams::default()).await;
        events.unwrap().items.into_iter().find(|event| {
            let about = event
                .regarding
                .as_ref()
                .and_then(|about| about.name.as_deref());
            about == Some("demo-backup") && event.reason.as_deref() == Some("FailedCreate")
        })
    })
    .await;
    // The operator looks at the time of the schedule; here at once.
    let look = Patch::Merge(json!({"metadata": {"annotations": {"test": "1"}}}));
    let services = world.services();
    services
        .patch("demo", &PatchParams::default(), &look)
        .await
        .unwrap();
    refused(&world, "BackupVerified", "exceeded quota: none").await;
    world.ready("demo").await;
    drop(controllers);
    started(&world).await;
    eventually("the run is made", || async {
        let live = world.services().get("demo").await.unwrap();
        let conditions = live.data["status"]["conditions"].as_array()?;
        let backup = conditions.iter().find(|c| c["type"] == "BackupVerified")?;
        (backup["reason"] != "PodRefused").then_some(())
    })
    .await;
    operator.stop().await;
}
