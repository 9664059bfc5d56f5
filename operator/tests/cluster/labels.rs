//! Labels of objects without an owner, which earlier versions labelled as they label the others.

use hello_operator::object::{child::ChildId, kind::Kind, names};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::{World, eventually};

/// What a restart of pods, another server or another migration would change.
async fn at_work(world: &World) -> Vec<Value> {
    let mut seen = Vec::new();
    for (kind, name) in [(Kind::StatefulSet, "demo-db"), (Kind::Deployment, "demo")] {
        let live = world.get(&ChildId::new(kind, name)).await.unwrap();
        seen.push(json!([
            live.uid(),
            live.metadata.generation,
            live.data["spec"]
        ]));
    }
    let service = world.services().get("demo").await.unwrap();
    seen.push(service.data["status"]["migration"].clone());
    seen
}

/// The server again, with the labels that earlier versions gave to its claim.
async fn with_a_former_template(world: &World, server: &ChildId) {
    let mut live = world.get(server).await.unwrap();
    let api = world.api(server.kind);
    api.delete(&server.name, &DeleteParams::background())
        .await
        .unwrap();
    let labels = live
        .data
        .pointer_mut("/spec/volumeClaimTemplates/0/metadata/labels");
    labels.unwrap()[names::INSTANCE_LABEL] = "demo".into();
    live.metadata.managed_fields = None;
    live.metadata.resource_version = None;
    live.metadata.uid = None;
    let parameters = PostParams {
        field_manager: Some(names::MANAGER.into()),
        ..PostParams::default()
    };
    eventually("the name is free", || async {
        api.create(&parameters, &live).await.ok()
    })
    .await;
}

async fn label_as_before(world: &World, id: &ChildId, live: &DynamicObject) {
    let former = json!({"metadata": {"labels": {names::INSTANCE_LABEL: "demo"},
        "annotations": {names::HASH_ANNOTATION: "former"}}});
    let parameters = PatchParams {
        field_manager: Some(names::MANAGER.into()),
        ..PatchParams::default()
    };
    world
        .api(id.kind)
        .patch(&live.name_any(), &parameters, &Patch::Merge(&former))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_an_earlier_version_get_their_labels_without_a_restart_or_a_migration() {
    let world = World::new("former-labels").await;
    let operator = world.operator();
    world
        .apply("demo", json!({"backup": {"schedule": "@daily"}}))
        .await;
    world.ready("demo").await;
    world.settle(&operator).await;
    operator.stop().await;

    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    with_a_former_template(&world, &server).await;
    let mut relabelled = Vec::new();
    for (id, live) in world.children("demo").await {
        if live.labels()[names::INSTANCE_LABEL] != "demo" {
            label_as_before(&world, &id, &live).await;
            relabelled.push(id);
        }
    }
    let kinds: Vec<Kind> = relabelled.iter().map(|id| id.kind).collect();
    assert!(kinds.contains(&Kind::Secret), "{relabelled:?}");
    let claims = kinds
        .iter()
        .filter(|kind| **kind == Kind::PersistentVolumeClaim);
    assert_eq!(claims.count(), 2, "{relabelled:?}");
    eventually("the server of before runs", || async {
        let live = world.get(&server).await?;
        (live.data["status"]["readyReplicas"] == 1).then_some(())
    })
    .await;
    let before = at_work(&world).await;

    let operator = world.operator();
    eventually("the new labels", || async {
        for id in &relabelled {
            let live = world.get(id).await.unwrap();
            let instance = live.labels()[names::INSTANCE_LABEL].clone();
            (instance == "demo__hello-operator").then_some(())?;
        }
        Some(())
    })
    .await;
    world.settle(&operator).await;
    world.ready("demo").await;
    operator.stop().await;
    assert_eq!(at_work(&world).await, before);
    world.finds_nothing_to_write().await;
}
