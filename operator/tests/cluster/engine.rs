//! A database by CloudNativePG, whose definition is the real one and whose operator is stood in for.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    definitions,
    server::Server,
    world::{World, eventually},
};

/// CloudNativePG's operator, as far as ours depends on it: it reports on every `Cluster`.
pub struct Engine {
    /// What differs from the report on a healthy cluster.
    twist: Arc<Mutex<Value>>,
    task: JoinHandle<()>,
}

impl Engine {
    pub fn start(world: &World) -> Self {
        let twist = Arc::new(Mutex::new(json!({})));
        let clusters = world.api(Kind::Cluster);
        let task = tokio::spawn(report(clusters, Arc::clone(&twist)));
        Self { twist, task }
    }

    /// From now on reports differ from those on a healthy cluster in this.
    pub fn twist(&self, twist: Value) {
        *self.twist.lock().unwrap() = twist;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn report(clusters: Api<DynamicObject>, twist: Arc<Mutex<Value>>) {
    loop {
        let items = match clusters.list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(_) => vec![],
        };
        for item in items {
            let status = status(&item, twist.lock().unwrap().clone());
            if item.data.get("status") != Some(&status) {
                let patch = json!([{"op": "add", "path": "/status", "value": status}]);
                let patch: Patch<Value> = Patch::Json(serde_json::from_value(patch).unwrap());
                let name = item.name_any();
                // One that is gone by now is no error.
                let _ = clusters
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await;
            }
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

fn status(cluster: &DynamicObject, twist: Value) -> Value {
    let name = cluster.name_any();
    let instances = cluster.data["spec"]["instances"].as_i64().unwrap();
    let pods: Vec<String> = (1..=instances).map(|n| format!("{name}-{n}")).collect();
    let mut status = json!({
        "phase": "Cluster in healthy state", "readyInstances": instances, "instances": instances,
        "currentPrimary": pods[0], "targetPrimary": pods[0], "instancesStatus": {"healthy": pods},
        "conditions": [{"type": "Ready", "status": "True", "reason": "ClusterIsReady", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    for (field, value) in twist.as_object().unwrap() {
        status[field] = value.clone();
    }
    status
}

fn spec() -> Value {
    json!({"database": {"cloudNativePG": {}}, "backup": {"schedule": "@daily"}})
}

fn cluster() -> ChildId {
    ChildId::new(Kind::Cluster, "demo-db")
}

async fn reason(world: &World, type_: &str, wanted: &str) -> String {
    eventually(&format!("{type_} has reason {wanted}"), || async {
        let live = world.services().get("demo").await.unwrap();
        let conditions = live.data["status"]["conditions"].as_array()?.clone();
        conditions
            .into_iter()
            .find(|c| c["type"] == type_ && c["reason"] == wanted)
            .map(|c| c["message"].as_str().unwrap().to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_api_is_named_and_picked_up_within_seconds_of_its_installation() {
    // A server of its own: the one that the tests share has the API.
    let server = Server::bare();
    let world = World::on(&server, "engine-missing").await;
    let operator = world.operator();
    world.apply("demo", spec()).await;
    world.apply("other", json!({})).await;
    for type_ in ["Ready", "DatabaseReady", "Degraded"] {
        let message = reason(&world, type_, "ApiMissing").await;
        assert!(
            message.contains("Cluster demo-db needs CloudNativePG"),
            "{type_}: {message}"
        );
    }
    // Nobody else is held up, nor what can be made already.
    world.ready("other").await;
    let account = ChildId::new(Kind::ServiceAccount, "demo");
    assert!(world.get(&account).await.is_some());
    let errors = operator.metrics.render();
    assert!(!errors.contains("result=\"error\""), "{errors}");
    // Looked for slowly, and nothing is written meanwhile.
    let before = (operator.writes(), operator.reconciles());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(operator.writes(), before.0);
    assert!(operator.reconciles() - before.1 <= 4);

    let engine = Engine::start(&world);
    let start = Instant::now();
    server.define(&definitions::engine()).await;
    world.ready("demo").await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    // The watch is there too: a change is seen at once.
    engine.twist(json!({"readyInstances": 2, "phase": "Creating a new replica"}));
    reason(&world, "DatabaseReady", "DatabaseDegraded").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_the_engine_is_followed() {
    let world = World::new("engine-status").await;
    let engine = Engine::start(&world);
    let first = json!({"phase": "Setting up primary", "readyInstances": 0, "currentPrimary": "",
        "conditions": []});
    engine.twist(first);
    let operator = world.operator();
    world.apply("demo", spec()).await;
    let said = reason(&world, "DatabaseReady", "DatabaseStarting").await;
    assert!(!said.is_empty());
    let app = ChildId::new(Kind::Deployment, "demo");
    assert!(world.get(&app).await.is_none(), "rolled out too early");
    assert!(
        world
            .api(Kind::Job)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );

    engine.twist(json!({}));
    world.ready("demo").await;
    let live = world.services().get("demo").await.unwrap();
    let database = &live.data["status"]["database"];
    assert_eq!(
        *database,
        json!({"kind": "cloudNativePG", "readyInstances": 3, "primary": "demo-db-1"})
    );

    for (twist, expected, degraded) in [
        (
            json!({"phase": "Failing over", "targetPrimary": "demo-db-2"}),
            "DatabaseStarting",
            "False",
        ),
        (
            json!({"phase": "Waiting for user action", "readyInstances": 2}),
            "DatabaseBlocked",
            "True",
        ),
        (
            json!({"phase": "Creating a new replica", "readyInstances": 2}),
            "DatabaseDegraded",
            "False",
        ),
    ] {
        engine.twist(twist.clone());
        let said = reason(&world, "DatabaseReady", expected).await;
        assert!(
            twist["phase"].as_str().unwrap().starts_with(&said),
            "{said}"
        );
        world.condition("demo", "Degraded", degraded).await;
    }
    engine.twist(json!({}));
    world.ready("demo").await;

    let asleep = json!({"metadata": {"annotations": {"cnpg.io/hibernation": "on"}}});
    let clusters = world.api(Kind::Cluster);
    let merge = Patch::Merge(&asleep);
    clusters
        .patch("demo-db", &PatchParams::default(), &merge)
        .await
        .unwrap();
    reason(&world, "Ready", "DatabaseHibernated").await;
    operator.stop().await;
}

/// A replica less does not hold up a new version: the database takes writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_degraded_database_is_migrated_and_a_dead_one_is_not() {
    let world = World::new("engine-migration").await;
    let engine = Engine::start(&world);
    let operator = world.operator();
    world.apply("demo", spec()).await;
    world.ready("demo").await;
    let with_image = |image: &str| {
        let mut spec = spec();
        spec["image"] = image.into();
        spec
    };
    let runs = |image: &'static str| {
        let world = &world;
        async move {
            let app = world
                .get(&ChildId::new(Kind::Deployment, "demo"))
                .await
                .unwrap();
            app.data["spec"]["template"]["spec"]["containers"][0]["image"] == image
        }
    };
    engine.twist(json!({"readyInstances": 1, "phase": "Failing over"}));
    reason(&world, "DatabaseReady", "DatabaseStarting").await;
    world.apply("demo", with_image("hello-app:2")).await;
    reason(&world, "Migrated", "MigrationWaiting").await;
    assert!(!runs("hello-app:2").await);
    engine.twist(json!({"readyInstances": 2, "phase": "Creating a new replica"}));
    eventually("the new version runs", || async {
        runs("hello-app:2").await.then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_repaired_and_what_others_set_is_left_alone() {
    let world = World::new("engine-drift").await;
    let _engine = Engine::start(&world);
    let operator = world.operator();
    world.apply("demo", spec()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let clusters = world.api(Kind::Cluster);
    let patch = |body: Value| {
        let clusters = clusters.clone();
        async move {
            let merge = Patch::Merge(&body);
            clusters
                .patch("demo-db", &PatchParams::default(), &merge)
                .await
                .unwrap();
        }
    };
    let writes = operator.writes_to_children();
    let theirs =
        json!({"spec": {"postgresql": {"parameters": {"work_mem": "8MB"}}, "logLevel": "debug"}});
    patch(theirs).await;
    world.settle(&operator).await;
    assert_eq!(operator.writes_to_children(), writes, "the operator wrote");

    for damage in [
        json!({"spec": {"instances": 1}}),
        json!({"spec": {"postgresql": {"synchronous": null}}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "else"}}}),
    ] {
        let before = clusters.get("demo-db").await.unwrap();
        let start = Instant::now();
        patch(damage.clone()).await;
        eventually(&format!("{damage} is undone"), || async {
            let live = clusters.get("demo-db").await.unwrap();
            (live.data["spec"] == before.data["spec"] && live.labels() == before.labels())
                .then_some(())
        })
        .await;
        assert!(start.elapsed() < Duration::from_secs(5), "{damage}");
    }
    let live = clusters.get("demo-db").await.unwrap();
    assert_eq!(
        live.data["spec"]["postgresql"]["parameters"]["work_mem"],
        "8MB"
    );

    // A new Cluster is another database: it is migrated before anything runs on it.
    let job = || async {
        world.services().get("demo").await.unwrap().data["status"]["migration"]["job"].clone()
    };
    let before = job().await;
    let start = Instant::now();
    clusters
        .delete("demo-db", &DeleteParams::background())
        .await
        .unwrap();
    eventually("the Cluster is there again", || async {
        let again = world.get(&cluster()).await?;
        (again.uid() != live.uid()).then_some(())
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(5));
    eventually("it is migrated", || async {
        (job().await != before).then_some(())
    })
    .await;
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_by_the_engine_rests_also_after_a_restart() {
    let world = World::new("engine-rest").await;
    let _engine = Engine::start(&world);
    let operator = world.operator();
    world.apply("demo", spec()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_cluster_is_adopted_by_a_new_resource_of_the_name() {
    let world = World::new("engine-retain").await;
    let _engine = Engine::start(&world);
    let operator = world.operator();
    let kept = [
        cluster(),
        ChildId::new(Kind::Secret, "demo-credentials"),
        ChildId::new(Kind::PersistentVolumeClaim, "demo-backup"),
    ];
    world.apply("demo", spec()).await;
    world.ready("demo").await;
    let mut before = Vec::new();
    for id in &kept {
        before.push(world.get(id).await.unwrap().uid());
    }
    let services = world.services();
    services
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the rest is gone", || async {
        (world.children("demo").await.len() == kept.len()).then_some(())
    })
    .await;
    world.apply("demo", spec()).await;
    world.ready("demo").await;
    for (id, uid) in kept.iter().zip(before) {
        assert_eq!(world.get(id).await.unwrap().uid(), uid, "{id}");
    }
    // Under Delete it goes with the resource.
    let mut delete = spec();
    delete["deletionPolicy"] = "Delete".into();
    world.apply("demo", delete).await;
    world.ready("demo").await;
    services
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap();
    eventually("all is gone", || async {
        world.get(&cluster()).await.is_none().then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_somebody_else_is_not_taken_over() {
    let world = World::new("engine-conflict").await;
    let _engine = Engine::start(&world);
    let theirs = json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": "demo-db"}, "spec": {"instances": 1, "storage": {"size": "9Gi"}}});
    let clusters = world.api(Kind::Cluster);
    let apply = Patch::Apply(&theirs);
    clusters
        .patch("demo-db", &PatchParams::apply("somebody"), &apply)
        .await
        .unwrap();
    let operator = world.operator();
    world.apply("demo", spec()).await;
    let message = reason(&world, "Ready", "Conflict").await;
    assert!(message.contains("Cluster demo-db"), "{message}");
    let live = world.get(&cluster()).await.unwrap();
    assert_eq!(live.data["spec"]["storage"]["size"], "9Gi");
    assert!(live.labels().is_empty());
    operator.stop().await;
}
