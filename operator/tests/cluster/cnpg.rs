//! A database by CloudNativePG: its definition is the real one, its operator is a stand-in.

use std::time::{Duration, Instant};

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    definitions,
    server::Server,
    world::{Operator, World, assert_within, eventually},
};

fn spec() -> Value {
    json!({"database": {"cloudNativePG": {}}, "backup": {"schedule": "@daily"}})
}

fn cluster() -> ChildId {
    ChildId::new(Kind::Cluster, "demo-db")
}

/// A world, the stand-in for CloudNativePG and an operator, with the resource `demo` that is ready.
async fn ready(name: &str) -> (World, CnpgStandIn, Operator) {
    let world = World::new(name).await;
    let cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    world.apply("demo", spec()).await;
    world.ready("demo").await;
    (world, cnpg, operator)
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

/// Changes the Cluster as another client.
async fn patch(world: &World, body: &Value) {
    world
        .api(Kind::Cluster)
        .patch("demo-db", &PatchParams::default(), &Patch::Merge(body))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_api_is_named_and_picked_up_within_seconds_of_its_installation() {
    // A server of its own: the one that the tests share has the API.
    let server = Server::bare();
    let world = World::on(&server, "cnpg-missing").await;
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
    // Neither another resource nor an object that can be created already has to wait.
    world.ready("other").await;
    let account = ChildId::new(Kind::ServiceAccount, "demo-app");
    assert!(world.get(&account).await.is_some());
    let errors = operator.metrics.render();
    assert!(!errors.contains("result=\"error\""), "{errors}");
    // The retries are slow, and nothing is written meanwhile.
    let before = (operator.writes(), operator.reconciles());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(operator.writes(), before.0);
    assert!(operator.reconciles() - before.1 <= 4);

    let cnpg = CnpgStandIn::start(&world);
    let start = Instant::now();
    server.define(&definitions::cluster()).await;
    world.ready("demo").await;
    assert_within(Duration::from_secs(15), start, "the kind's definition");
    // The watch runs too: a change is seen at once.
    cnpg.twist(json!({"readyInstances": 2, "phase": "Creating a new replica"}));
    reason(&world, "DatabaseReady", "DatabaseDegraded").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_cloudnativepg_is_followed() {
    let world = World::new("cnpg-status").await;
    let cnpg = CnpgStandIn::start(&world);
    let first = json!({"phase": "Setting up primary", "readyInstances": 0, "currentPrimary": "",
        "conditions": []});
    cnpg.twist(first);
    let operator = world.operator();
    world.apply("demo", spec()).await;
    let message = reason(&world, "DatabaseReady", "DatabaseStarting").await;
    assert!(!message.is_empty());
    let app = ChildId::new(Kind::Deployment, "demo");
    assert!(world.get(&app).await.is_none(), "rolled out too early");
    let jobs = world.api(Kind::Job);
    let jobs = jobs.list(&ListParams::default()).await.unwrap();
    assert!(jobs.items.is_empty());

    cnpg.twist(json!({}));
    world.ready("demo").await;
    let live = world.services().get("demo").await.unwrap();
    let database = &live.data["status"]["database"];
    let uid = world.get(&cluster()).await.unwrap().uid().unwrap();
    assert_eq!(
        *database,
        json!({"kind": "cloudNativePG", "data": {"uid": uid}, "readyInstances": 3, "primary": "demo-db-1"})
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
        cnpg.twist(twist.clone());
        let message = reason(&world, "DatabaseReady", expected).await;
        assert!(
            twist["phase"].as_str().unwrap().starts_with(&message),
            "{message}"
        );
        world.condition("demo", "Degraded", degraded).await;
    }
    cnpg.twist(json!({}));
    world.ready("demo").await;

    let hibernated = json!({"metadata": {"annotations": {"cnpg.io/hibernation": "on"}}});
    patch(&world, &hibernated).await;
    reason(&world, "Ready", "DatabaseHibernated").await;
    operator.stop().await;
}

/// A missing replica does not delay a new version: the database accepts writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_degraded_database_is_migrated_and_a_dead_one_is_not() {
    let (world, cnpg, operator) = ready("cnpg-migration").await;
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
    cnpg.twist(json!({"readyInstances": 1, "phase": "Failing over"}));
    reason(&world, "DatabaseReady", "DatabaseStarting").await;
    world.apply("demo", with_image("hello-app:2")).await;
    reason(&world, "Migrated", "MigrationWaiting").await;
    assert!(!runs("hello-app:2").await);
    cnpg.twist(json!({"readyInstances": 2, "phase": "Creating a new replica"}));
    eventually("the new version runs", || async {
        runs("hello-app:2").await.then_some(())
    })
    .await;
    operator.stop().await;
}

/// No watch says then that it is over; what is in progress is looked at every 15 seconds only.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_which_cloudnativepg_reports_nothing_is_over_soon() {
    let (world, _cnpg, operator) = ready("cnpg-change").await;
    let mut spec = spec();
    spec["database"]["cloudNativePG"]["resources"] = json!({"limits": {"memory": "1Gi"}});
    let start = Instant::now();
    world.apply("demo", spec).await;
    world.ready("demo").await;
    assert_within(Duration::from_secs(10), start, "the change");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_of_the_cluster_is_reverted_and_foreign_fields_are_kept() {
    let (world, _cnpg, operator) = ready("cnpg-drift").await;
    world.settle(&operator).await;
    let clusters = world.api(Kind::Cluster);
    let writes = operator.writes_to_children();
    let foreign =
        json!({"spec": {"postgresql": {"parameters": {"work_mem": "8MB"}}, "logLevel": "debug"}});
    patch(&world, &foreign).await;
    world.settle(&operator).await;
    assert_eq!(operator.writes_to_children(), writes, "the operator wrote");

    for damage in [
        json!({"spec": {"instances": 1}}),
        json!({"spec": {"postgresql": {"synchronous": null}}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "else"}}}),
    ] {
        let before = clusters.get("demo-db").await.unwrap();
        let start = Instant::now();
        patch(&world, &damage).await;
        eventually(&format!("{damage} is reverted"), || async {
            let live = clusters.get("demo-db").await.unwrap();
            (live.data["spec"] == before.data["spec"] && live.labels() == before.labels())
                .then_some(())
        })
        .await;
        assert_within(Duration::from_secs(5), start, &damage.to_string());
    }
    let live = clusters.get("demo-db").await.unwrap();
    assert_eq!(
        live.data["spec"]["postgresql"]["parameters"]["work_mem"],
        "8MB"
    );
    operator.stop().await;
}

/// A new Cluster is another database: it is migrated before anything uses it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_cluster_is_created_again_and_migrated_when_that_is_accepted() {
    let (world, _cnpg, operator) = ready("cnpg-deleted").await;
    world.settle(&operator).await;
    let clusters = world.api(Kind::Cluster);
    let live = clusters.get("demo-db").await.unwrap();
    let job = || async {
        world.services().get("demo").await.unwrap().data["status"]["migration"]["job"].clone()
    };
    let before = job().await;
    let start = Instant::now();
    clusters
        .delete("demo-db", &DeleteParams::background())
        .await
        .unwrap();
    let new = eventually("the Cluster is there again", || async {
        let again = world.get(&cluster()).await?.uid();
        (again != live.uid()).then_some(again?)
    })
    .await;
    assert_within(Duration::from_secs(5), start, "another Cluster");
    let message = reason(&world, "DatabaseReady", "DataReplaced").await;
    assert!(message.contains(&new), "{message}");
    crate::data::accept(&world, &new).await;
    eventually("it is migrated", || async {
        (job().await != before).then_some(())
    })
    .await;
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_at_rest_with_cloudnativepg() {
    let (world, _cnpg, operator) = ready("cnpg-rest").await;
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_cluster_is_adopted_by_a_new_resource_of_the_name() {
    let (world, _cnpg, operator) = ready("cnpg-retain").await;
    let kept = [
        cluster(),
        ChildId::new(Kind::Secret, "demo-credentials"),
        ChildId::new(Kind::PersistentVolumeClaim, "demo-backup"),
    ];
    let mut before = Vec::new();
    for id in &kept {
        before.push(world.get(id).await.unwrap().uid());
    }
    world.delete_keeping("demo", kept.len()).await;
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
    world
        .services()
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
async fn a_foreign_cluster_is_not_taken_over() {
    let world = World::new("cnpg-conflict").await;
    let _cnpg = CnpgStandIn::start(&world);
    let theirs = json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": "demo-db"}, "spec": {"instances": 1, "storage": {"size": "9Gi"}}});
    let clusters = world.api(Kind::Cluster);
    let apply = Patch::Apply(&theirs);
    clusters
        .patch("demo-db", &PatchParams::apply("another-client"), &apply)
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
