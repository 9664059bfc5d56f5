//! States that wait for something external: explained in the status, and left as soon as it is available.

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::{Jobs, World, eventually};

/// Creates a pod of one component, with this status.
async fn pod(world: &World, name: &str, component: &str, status: Value) {
    let api: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(world.client.clone(), &world.namespace);
    let body = json!({"metadata": {"name": name, "labels": {
            "app.kubernetes.io/managed-by": "hello-operator", "app.kubernetes.io/instance": "demo",
            "app.kubernetes.io/component": component}},
        "spec": {"containers": [{"name": "main", "image": "x:1"}, {"name": "migrate", "image": "hello-app:1"}]}});
    api.create(
        &PostParams::default(),
        &serde_json::from_value(body).unwrap(),
    )
    .await
    .unwrap();
    let status = json!({"status": status});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
}

fn waiting(reason: &str, message: &str, last: Value) -> Value {
    json!({"containerStatuses": [{"name": "main", "image": "x:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}}, "lastState": last}]})
}

async fn reported(world: &World, type_: &str, reason: &str) -> String {
    eventually(&format!("{type_} has reason {reason}"), || async {
        let condition = world.condition("demo", type_, "False").await;
        (condition["reason"] == reason).then(|| condition["message"].as_str().unwrap().to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_cannot_start_reports_why_and_recovers() {
    let world = World::new("waiting-migration").await;
    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    world.apply("demo", json!({"image": "nowhere/app:1"})).await;
    reported(&world, "Migrated", "MigrationRunning").await;
    pod(
        &world,
        "m",
        "migration",
        waiting("ErrImagePull", "not found", json!({})),
    )
    .await;
    let message = reported(&world, "Migrated", "ImagePullFailed").await;
    assert!(
        message.contains("x:1") && message.contains("not found"),
        "{message}"
    );
    world.condition("demo", "Degraded", "True").await;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(world.client.clone(), &world.namespace);
    pods.delete("m", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    world.set_jobs(Jobs::Succeed);
    world.ready("demo").await;
    world.condition("demo", "Degraded", "False").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_migration_shows_the_end_of_its_log() {
    let world = World::new("waiting-log").await;
    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    let status = json!({"phase": "Failed", "containerStatuses": [{"name": "migrate", "image": "x:1", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": {"exitCode": 1, "message": "migration 3 does not match\n"}}}]});
    pod(&world, "m", "migration", status).await;
    world.set_jobs(Jobs::Fail);
    let message = reported(&world, "Migrated", "MigrationFailed").await;
    assert!(message.contains("migration 3 does not match"), "{message}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_database_waits_for_its_secret() {
    let world = World::new("external").await;
    let operator = world.operator();
    let spec = json!({"database": {"external": {"secretRef": {"name": "cloud", "caKey": "ca.pem"}}}, "backup": {"schedule": "@daily"}});
    world.apply("demo", spec).await;
    let message = reported(&world, "Ready", "ReferenceMissing").await;
    assert!(
        message.contains("spec.database.external.secretRef") && message.contains("cloud"),
        "{message}"
    );
    let secret = |uri: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud"}, "stringData": {"uri": uri, "ca.pem": "certificates"}});
    let api = world.api(Kind::Secret);
    let put = |body: Value| {
        let api = api.clone();
        async move {
            let parameters = PatchParams::apply("test").force();
            api.patch("cloud", &parameters, &Patch::Apply(&body))
                .await
                .unwrap();
        }
    };
    let mut half = secret("postgres://owner:pw@db.example.com/hello");
    half["stringData"].as_object_mut().unwrap().remove("ca.pem");
    put(half).await;
    eventually("the missing authority is named", || async {
        let message = reported(&world, "Ready", "ReferenceMissing").await;
        message.contains("has no key ca.pem").then_some(())
    })
    .await;
    put(secret("mysql://x")).await;
    eventually("the wrong address is named", || async {
        let message = reported(&world, "Ready", "ReferenceMissing").await;
        message
            .contains("is not a postgres:// address")
            .then_some(())
    })
    .await;
    put(secret(
        "postgres://owner:pw@db.example.com:6432/hello?sslmode=require",
    ))
    .await;
    world.ready("demo").await;
    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    assert!(world.get(&server).await.is_none());
    let policy = world
        .get(&ChildId::new(Kind::NetworkPolicy, "demo-app"))
        .await
        .unwrap();
    assert_eq!(policy.data["spec"]["egress"][1]["ports"][0]["port"], 6432);
    operator.stop().await;
}

/// What pods mount, and where its parts come from.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_parts_stays_while_its_parts_are_away_and_goes_when_another_one_is_wanted() {
    let world = World::new("parts").await;
    let parts = json!({"host": "db.example.com", "database": "hello", "user": "me", "password": "p@ss",
        "uri": "postgres://me@h1.example.com:6432,h2.example.com:7432/hello"});
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud"}, "stringData": parts});
    let secrets = world.api(Kind::Secret);
    let (parameters, patch) = (PatchParams::apply("test"), Patch::Apply(&body));
    let put = || secrets.patch("cloud", &parameters, &patch);
    put().await.unwrap();
    let operator = world.operator();
    let spec = |reference: Value| json!({"database": {"external": {"secretRef": reference}}});
    world
        .apply("demo", spec(json!({"name": "cloud", "keys": {}})))
        .await;
    world.ready("demo").await;
    let address = ChildId::new(Kind::Secret, "demo-address");
    let deployment = ChildId::new(Kind::Deployment, "demo");
    let read = async || {
        let (address, deployment) = (world.get(&address).await, world.get(&deployment).await);
        (
            address.unwrap().data["data"].clone(),
            deployment.unwrap().data["spec"].clone(),
        )
    };
    let before = read().await;
    assert_eq!(before.0.as_object().unwrap().len(), 1);

    secrets
        .delete("cloud", &DeleteParams::default())
        .await
        .unwrap();
    reported(&world, "Ready", "ReferenceMissing").await;
    world.settle(&operator).await;
    assert_eq!(read().await, before);
    put().await.unwrap();
    world.ready("demo").await;
    assert_eq!(read().await, before);

    world.apply("demo", spec(json!({"name": "cloud"}))).await;
    world.ready("demo").await;
    eventually("the made address is gone", || async {
        world.get(&address).await.is_none().then_some(())
    })
    .await;
    let policy = ChildId::new(Kind::NetworkPolicy, "demo-app");
    let policy = world.get(&policy).await.unwrap();
    let ports = policy.data["spec"]["egress"][1]["ports"]
        .as_array()
        .unwrap();
    let ports: Vec<_> = ports.iter().map(|port| port["port"].clone()).collect();
    assert_eq!(ports, [6432, 7432]);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_pull_secret_is_named_until_it_exists() {
    let world = World::new("pull-secret").await;
    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    let names = json!([{"name": "there"}, {"name": "regsitry"}]);
    let secrets = world.api(Kind::Secret);
    let secret = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    secrets
        .create(&PostParams::default(), &secret("there"))
        .await
        .unwrap();
    world
        .apply("demo", json!({"imagePullSecrets": names}))
        .await;
    reported(&world, "Migrated", "MigrationRunning").await;
    pod(
        &world,
        "p",
        "migration",
        waiting("ImagePullBackOff", "Back-off", json!({})),
    )
    .await;
    let names_the_secret = async |wanted: bool| {
        eventually(&format!("the Secret is named: {wanted}"), || async {
            let condition = world.condition("demo", "Migrated", "False").await;
            let message = condition["message"].as_str()?;
            let named = message.ends_with("spec.imagePullSecrets: Secret regsitry does not exist");
            (condition["reason"] == "ImagePullFailed" && named == wanted).then_some(())
        })
        .await;
    };
    names_the_secret(true).await;
    secrets
        .create(&PostParams::default(), &secret("regsitry"))
        .await
        .unwrap();
    names_the_secret(false).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_without_an_address_is_in_progress() {
    let world = World::new("load-balancer").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    let no_stand_in = world.stand_still().await;
    let balanced = json!({"expose": {"service": {"type": "LoadBalancer"}}});
    world.apply("demo", balanced).await;
    let progressing = world.condition("demo", "Progressing", "True").await;
    assert_eq!(progressing["reason"], "AddressPending");
    world.condition("demo", "Degraded", "False").await;
    assert!(!world.is_ready("demo").await);
    drop(no_stand_in);
    world.ready("demo").await;
    operator.stop().await;
}
