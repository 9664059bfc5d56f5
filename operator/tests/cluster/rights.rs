//! The rights that the manifests grant, on an API server that enforces them.

use kube::api::PostParams;
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_manifests_are_enough() {
    let world = World::new("rights").await;
    grant(&world).await;
    let server = crate::server::server();
    let mut config = server.config(&server.url);
    config.auth_info.impersonate = Some("system:serviceaccount:hello-system:hello-operator".into());
    let operator = world.operator_through(config.try_into().unwrap());
    world.apply("demo", crate::converge::everything()).await;
    world.ready("demo").await;
    world
        .apply(
            "demo",
            json!({"image": "hello-app:2", "networkPolicy": {"enabled": false}}),
        )
        .await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let metrics = operator.metrics.render();
    assert!(!metrics.contains("result=\"error\""), "{metrics}");
    operator.stop().await;
}

/// Grants what the manifests grant, in the same words.
async fn grant(world: &World) {
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
    use serde::Deserialize;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document).unwrap();
        let all = world.client.clone();
        match value["kind"].as_str() {
            Some("ClusterRole") => {
                let api: kube::Api<ClusterRole> = kube::Api::all(all);
                api.create(
                    &PostParams::default(),
                    &serde_json::from_value(value).unwrap(),
                )
                .await
                .unwrap();
            }
            Some("ClusterRoleBinding") => {
                let api: kube::Api<ClusterRoleBinding> = kube::Api::all(all);
                api.create(
                    &PostParams::default(),
                    &serde_json::from_value(value).unwrap(),
                )
                .await
                .unwrap();
            }
            _ => {}
        }
    }
}
