//! Objects of somebody else under a wanted name.

use hello_operator::child::{ChildId, Kind};
use kube::api::PostParams;
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_is_never_taken_over() {
    let world = World::new("conflict").await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo"},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "else"}}});
    let api = world.api(Kind::Service);
    let theirs = api
        .create(
            &PostParams::default(),
            &serde_json::from_value(service).unwrap(),
        )
        .await
        .unwrap();
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    let condition = world.condition("demo", "Ready", "False").await;
    eventually("the conflict is reported", || async {
        let condition = world.condition("demo", "Ready", "False").await;
        (condition["reason"] == "Conflict").then_some(())
    })
    .await;
    assert!(condition["message"].is_string());
    world.settle(&operator).await;
    let live = api.get("demo").await.unwrap();
    assert_eq!(
        live.metadata.resource_version,
        theirs.metadata.resource_version
    );

    // It recovers by itself once the name is free, also without a trigger from that object.
    api.delete("demo", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_resources_do_not_share_children() {
    let world = World::new("two").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    // Its headless Service would have the name of the other one's Service.
    world.ready("demo").await;
    world.apply("demo-db", json!({})).await;
    eventually("the second one reports the conflict", || async {
        let condition = world.condition("demo-db", "Ready", "False").await;
        (condition["reason"] == "Conflict").then_some(())
    })
    .await;
    let service = world
        .get(&ChildId::new(Kind::Service, "demo-db"))
        .await
        .unwrap();
    assert_eq!(service.data["spec"]["clusterIP"], "None");
    world.ready("demo").await;
    operator.stop().await;
}
