//! Objects that the spec refers to and other clients create.

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::world::{World, eventually};

/// Creates or changes an object of the core API as another client.
pub async fn make(world: &World, name: &str, mut object: Value) {
    object["metadata"]["name"] = name.into();
    let kind = object["kind"].as_str().unwrap().to_owned();
    let resource = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        plural: format!("{}s", kind.to_lowercase()),
        kind,
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let apply = Patch::Apply(&object);
    api.patch(name, &PatchParams::apply("another-client"), &apply)
        .await
        .unwrap();
}

/// Waits until the service is not ready because a reference is missing, with this message.
async fn missing(world: &World, words: &str) {
    eventually(words, || async {
        let ready = world.condition("demo", "Ready", "False").await;
        (ready["reason"] == "ReferenceMissing" && ready["message"] == words).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_that_pods_mount_is_named_and_holds_up_nothing_else() {
    let world = World::new("reference").await;
    let operator = world.operator();
    let oidc = json!({"issuer": "https://id.example.com", "audience": ["hello"], "caConfigMapRef": {"name": "ca"}});
    world
        .apply(
            "demo",
            json!({"tls": {"secretName": "own"}, "auth": {"oidc": oidc}}),
        )
        .await;
    missing(&world, "spec.tls.secretName: Secret own does not exist").await;
    world.condition("demo", "Degraded", "True").await;
    let app = ChildId::new(Kind::Deployment, "demo");
    eventually("the app exists all the same", || world.get(&app)).await;

    let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "data": data});
    make(&world, "own", secret(json!({"tls.crt": ""}))).await;
    missing(&world, "spec.tls.secretName: Secret own has no key tls.key").await;
    make(&world, "own", secret(json!({"tls.crt": "", "tls.key": ""}))).await;
    let words = "spec.auth.oidc.caConfigMapRef: ConfigMap ca does not exist";
    missing(&world, words).await;
    // No watch reports it; a retry sees it.
    let certificates = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": ""}});
    make(&world, "ca", certificates).await;
    world.ready("demo").await;
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(
        live.data["status"]["endpoint"],
        "https://demo.reference.svc:80"
    );
    operator.stop().await;
}
