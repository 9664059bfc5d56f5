//! Passwords of the database: generated once, and replaced on request or when lost, without a restart of a pod.

use hello_operator::{
    object::{child::ChildId, kind::Kind},
    service::secrets::credentials::PROPAGATION,
};
use k8s_openapi::ByteString;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{Operator, World, eventually};

/// The pod templates: a change of one restarts its pods.
async fn templates(world: &World) -> [Value; 2] {
    let template = |kind, name: &'static str| async move {
        let live = world.get(&ChildId::new(kind, name)).await.unwrap();
        live.data["spec"]["template"].clone()
    };
    [
        template(Kind::StatefulSet, "demo-db").await,
        template(Kind::Deployment, "demo").await,
    ]
}

async fn job(world: &World) -> Value {
    world.services().get("demo").await.unwrap().data["status"]["migration"]["job"].clone()
}

/// The credentials, encoded.
async fn credentials(world: &World) -> Value {
    let id = ChildId::new(Kind::Secret, "demo-credentials");
    let live = world.get(&id).await.unwrap();
    live.data["data"].clone()
}

async fn ask(world: &World, value: &str) {
    let patch = json!({"metadata": {"annotations": {"hello.internal/rotate-credentials": value}}});
    world
        .services()
        .patch("demo", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_credentials_are_replaced_in_the_database() {
    let world = World::new("credentials").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    let before = (templates(&world).await, job(&world).await);
    world
        .api(Kind::Secret)
        .delete("demo-credentials", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the roles get the new passwords", || async {
        (job(&world).await != before.1).then_some(())
    })
    .await;
    world.ready("demo").await;
    assert_eq!(templates(&world).await, before.0);
    operator.stop().await;
}

/// An operator, to which every kubelet has read the new Secret: it changes the roles by another migration than this one.
async fn roles_change(world: &World, migration: &Value) -> Operator {
    world.pass_time(PROPAGATION);
    let operator = world.operator();
    eventually("the roles change", || async {
        (job(world).await != *migration).then_some(())
    })
    .await;
    world.ready("demo").await;
    operator
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_replaced_when_asked_for_and_no_pod_restarted() {
    let world = World::new("rotate").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    let before = (templates(&world).await, job(&world).await);
    let old = credentials(&world).await;
    ask(&world, "first").await;
    eventually("new passwords beside the old ones", || async {
        (credentials(&world).await["app-uri"] != old["app-uri"]).then_some(())
    })
    .await;
    let new = credentials(&world).await;
    for key in ["app-password", "backup-password", "owner-password"] {
        assert_ne!(new[key], old[key], "{key}");
    }
    assert_eq!(new["previous-app-uri"], old["app-uri"]);
    world.settle(&operator).await;
    assert_eq!(job(&world).await, before.1, "the roles wait");
    operator.stop().await;

    let operator = roles_change(&world, &before.1).await;
    world.settle(&operator).await;
    let after = credentials(&world).await;
    assert_eq!(after["app-uri"], new["app-uri"]);
    assert_ne!(after["backup-uri"], new["backup-uri"]);
    assert_eq!(templates(&world).await, before.0);
    operator.stop().await;

    // The request is carried out once: nothing is written after a restart.
    world.finds_nothing_to_write().await;
}

/// Characters that mean something in a URI, in SQL and in a shell.
const ODD: &str = "p@ss/w:rd#%?é '\"\\$(x)`;";

/// Writes the Secret `given`, as external-secrets does.
async fn give(world: &World, words: &str) {
    let passwords = ["owner", "app", "backup"].map(|role| format!("{role}{words}\n"));
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "given", "annotations": {"synced": words}},
        "stringData": {"owner-password": passwords[0], "app-password": passwords[1], "backup-password": passwords[2]}});
    let parameters = PatchParams::apply("external-secrets").force();
    let secrets = world.api(Kind::Secret);
    secrets
        .patch("given", &parameters, &Patch::Apply(&body))
        .await
        .unwrap();
}

fn text(data: &Value, key: &str) -> String {
    let bytes: ByteString = serde_json::from_value(data[key].clone()).unwrap();
    String::from_utf8(bytes.0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_passwords_have_any_characters_and_the_same_ones_again_change_nothing() {
    let world = World::new("given").await;
    let operator = world.operator();
    let spec = json!({"database": {"managed": {"credentials": {"secretRef": {"name": "given"}}}}});
    world.apply("demo", spec).await;
    let ready = world.condition("demo", "Ready", "False").await;
    assert_eq!(ready["reason"], "ReferenceMissing", "{ready}");
    assert!(
        ready["message"].as_str().unwrap().starts_with(
            "spec.database.managed.credentials.secretRef: Secret given does not exist"
        ),
        "{ready}"
    );
    give(&world, ODD).await;
    world.ready("demo").await;
    let data = credentials(&world).await;
    assert_eq!(text(&data, "app-password"), format!("app{ODD}"));
    assert_eq!(text(&data, "owner-password"), format!("owner{ODD}"));
    let uri: http::Uri = text(&data, "app-uri").parse().unwrap();
    let authority = uri.authority().unwrap().as_str();
    assert!(authority.starts_with("hello_app:appp%40ss%2F"), "{uri}");
    world.settle(&operator).await;
    operator.stop().await;
    let before = (templates(&world).await, job(&world).await);

    // A refresh that brings the same values.
    give(&world, ODD).await;
    world.finds_nothing_to_write().await;

    // While it is away, the earlier passwords go on, and the status says so.
    world
        .api(Kind::Secret)
        .delete("given", &DeleteParams::default())
        .await
        .unwrap();
    let operator = world.operator();
    let degraded = world.condition("demo", "Degraded", "True").await;
    assert_eq!(degraded["reason"], "ReferenceMissing", "{degraded}");
    assert_eq!(credentials(&world).await, data);
    operator.stop().await;

    // Other values are a rotation: the roles get them when every pod has them.
    give(&world, "2").await;
    let operator = world.operator();
    let both = || async {
        let new = credentials(&world).await;
        let is_new = text(&new, "app-password") == "app2";
        (is_new && new["previous-app-uri"] == data["app-uri"]).then_some(())
    };
    eventually("the new passwords beside the old ones", both).await;
    world.settle(&operator).await;
    assert_eq!(job(&world).await, before.1, "the roles wait");
    operator.stop().await;
    let operator = roles_change(&world, &before.1).await;
    assert_eq!(templates(&world).await, before.0, "no pod is restarted");
    operator.stop().await;
}
