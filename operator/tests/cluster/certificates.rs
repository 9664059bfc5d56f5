//! Certificates of the managed database: created, kept, and replaced before they expire, without a restart of a pod.

use std::time::Duration;

use hello_operator::{
    object::{child::ChildId, kind::Kind},
    service::secrets::certificates::{PROPAGATION, SERVER_LIFE},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::{World, eventually};

const MINUTE: Duration = Duration::from_secs(60);

fn secret(name: &str) -> ChildId {
    ChildId::new(Kind::Secret, name)
}

/// A file of a Secret, as text.
async fn file(world: &World, name: &str, key: &str) -> String {
    let live = world.get(&secret(name)).await.unwrap();
    let parsed: k8s_openapi::api::core::v1::Secret = live.try_parse().unwrap();
    String::from_utf8(parsed.data.unwrap()[key].0.clone()).unwrap()
}

async fn trusted(world: &World) -> Vec<String> {
    let text = file(world, "demo-db-tls", "ca.crt").await;
    let end = "-----END CERTIFICATE-----\n";
    text.split_inclusive(end).map(str::to_owned).collect()
}

/// The pod templates: a change of one restarts its pods.
async fn templates(world: &World) -> [Value; 2] {
    let mut templates = [Value::Null, Value::Null];
    let children = [(Kind::StatefulSet, "demo-db"), (Kind::Deployment, "demo")];
    for (template, (kind, name)) in templates.iter_mut().zip(children) {
        let live = world.get(&ChildId::new(kind, name)).await.unwrap();
        *template = live.data["spec"]["template"].clone();
    }
    templates
}

/// Starts a new operator after this time has passed, and waits for its pass over the resource.
async fn later(world: &World, time: Duration) {
    world.pass_time(time);
    let operator = world.operator();
    eventually("a pass over the resource", || async {
        (operator.reconciles() > 0).then_some(())
    })
    .await;
    world.settle(&operator).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_in_time_and_no_pod_restarted() {
    let world = World::new("certificate").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    operator.stop().await;
    let authority = file(&world, "demo-ca", "ca.key").await;
    let first = file(&world, "demo-db-tls", "tls.crt").await;
    assert_eq!(
        trusted(&world).await,
        [file(&world, "demo-ca", "ca.crt").await]
    );
    let before = templates(&world).await;

    later(&world, SERVER_LIFE * 2 / 3 - Duration::from_secs(3600)).await;
    assert_eq!(file(&world, "demo-db-tls", "tls.crt").await, first);
    later(&world, Duration::from_secs(3600)).await;
    assert_ne!(file(&world, "demo-db-tls", "tls.crt").await, first);
    assert_eq!(file(&world, "demo-ca", "ca.key").await, authority);
    assert_eq!(templates(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_whose_secret_is_deleted_is_replaced_step_by_step() {
    let world = World::new("authority").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    let old = trusted(&world).await;
    let shown = file(&world, "demo-db-tls", "tls.crt").await;
    let api = world.api(Kind::Secret);
    api.delete("demo-ca", &DeleteParams::default())
        .await
        .unwrap();
    eventually("another authority is trusted too", || async {
        (trusted(&world).await.len() == 2).then_some(())
    })
    .await;
    world.settle(&operator).await;
    operator.stop().await;
    assert_eq!(trusted(&world).await[1], old[0]);
    assert_eq!(file(&world, "demo-db-tls", "tls.crt").await, shown);

    later(&world, PROPAGATION + MINUTE).await;
    assert_ne!(file(&world, "demo-db-tls", "tls.crt").await, shown);
    assert_eq!(trusted(&world).await[1], old[0]);
    later(&world, PROPAGATION + MINUTE).await;
    assert_eq!(
        trusted(&world).await,
        [file(&world, "demo-ca", "ca.crt").await]
    );
    assert_ne!(trusted(&world).await, old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_is_not_used_as_an_authority() {
    let world = World::new("foreign-ca").await;
    let api = world.api(Kind::Secret);
    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "demo-ca"}});
    let theirs: DynamicObject = serde_json::from_value(theirs).unwrap();
    let theirs = api.create(&PostParams::default(), &theirs).await.unwrap();
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    eventually("the conflict is reported", || async {
        let condition = world.condition("demo", "Ready", "False").await;
        let named = condition["message"].as_str()?.contains("Secret demo-ca");
        (condition["reason"] == "Conflict" && named).then_some(())
    })
    .await;
    let children = world.children("demo").await;
    let needs_it = |kind| {
        matches!(
            kind,
            Kind::Secret | Kind::StatefulSet | Kind::Job | Kind::Deployment
        )
    };
    assert!(
        !children.iter().any(|(id, _)| needs_it(id.kind)),
        "{children:?}"
    );
    let live = api.get("demo-ca").await.unwrap();
    assert_eq!(live.resource_version(), theirs.resource_version());
    api.delete("demo-ca", &DeleteParams::default())
        .await
        .unwrap();
    world.ready("demo").await;
    operator.stop().await;
}

/// The resource is as a version without TLS left it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_tls_gets_it_and_keeps_its_data() {
    let world = World::new("upgrade").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    operator.stop().await;
    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    let claim = ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0");
    let volume = world.get(&claim).await.unwrap().uid();
    let password = file(&world, "demo-credentials", "owner-password").await;
    let wanted = templates(&world).await;
    without_tls(&world, &server).await;
    assert_ne!(templates(&world).await, wanted);

    later(&world, Duration::ZERO).await;
    assert_eq!(templates(&world).await, wanted);
    assert_eq!(world.get(&claim).await.unwrap().uid(), volume);
    assert_eq!(
        file(&world, "demo-credentials", "owner-password").await,
        password
    );
    let address = file(&world, "demo-credentials", "app-uri").await;
    assert!(address.ends_with("?sslmode=verify-full&sslrootcert=/etc/hello/database/ca.crt"));
    assert!(!trusted(&world).await.is_empty());
}

/// Removes everything that belongs to TLS.
async fn without_tls(world: &World, server: &ChildId) {
    let secrets = world.api(Kind::Secret);
    for name in ["demo-ca", "demo-db-tls"] {
        secrets
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    let plain = json!({"stringData": {"app-uri": "postgres://hello_app:x@demo-db:5432/hello"}});
    secrets
        .patch(
            "demo-credentials",
            &PatchParams::default(),
            &Patch::Merge(&plain),
        )
        .await
        .unwrap();
    let sets = world.api(Kind::StatefulSet);
    let mut set = sets.get(&server.name).await.unwrap();
    let pod = &mut set.data["spec"]["template"]["spec"];
    pod["containers"].as_array_mut().unwrap().truncate(1);
    pod["containers"][0]["args"] = json!(["postgres"]);
    sets.replace(&server.name, &PostParams::default(), &set)
        .await
        .unwrap();
}
