//! Data and credentials outlive the resource, when that is wanted.

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn retained_data_is_adopted_by_a_new_resource_of_the_name() {
    let world = World::new("retain").await;
    let operator = world.operator();
    let spec = json!({"backup": {"schedule": "@daily"}});
    world.apply("demo", spec.clone()).await;
    world.ready("demo").await;
    let data = [
        ChildId::new(Kind::Secret, "demo-credentials"),
        ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0"),
        ChildId::new(Kind::PersistentVolumeClaim, "demo-backup"),
    ];
    let mut before = Vec::new();
    for id in &data {
        before.push(world.get(id).await.unwrap().uid());
    }
    world.delete_keeping("demo", data.len()).await;
    world.apply("demo", spec).await;
    world.ready("demo").await;
    for (id, uid) in data.iter().zip(before) {
        assert_eq!(world.get(id).await.unwrap().uid(), uid, "{id}");
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_policy_can_change_at_any_time() {
    let world = World::new("policy").await;
    let operator = world.operator();
    let secret = ChildId::new(Kind::Secret, "demo-credentials");
    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    for (policy, owned, when_deleted) in [
        ("Retain", false, "Retain"),
        ("Delete", true, "Delete"),
        ("Retain", false, "Retain"),
    ] {
        world.apply("demo", json!({"deletionPolicy": policy})).await;
        world.ready("demo").await;
        let live = world.get(&secret).await.unwrap();
        assert_eq!(!live.owner_references().is_empty(), owned, "{policy}");
        let live = world.get(&server).await.unwrap();
        let retention = &live.data["spec"]["persistentVolumeClaimRetentionPolicy"];
        assert_eq!(retention["whenDeleted"], when_deleted, "{policy}");
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_in_place() {
    let world = World::new("grow").await;
    make_class(&world, "elastic").await;
    let operator = world.operator();
    let spec = |size: &str| json!({"database": {"managed": {"storage": {"size": size, "storageClassName": "elastic"}}}});
    world.apply("demo", spec("1Gi")).await;
    world.ready("demo").await;
    let claim = ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0");
    bind(&world, &claim).await;
    world.apply("demo", spec("3Gi")).await;
    eventually("the claim asks for more", || async {
        let live = world.get(&claim).await?;
        (live.data["spec"]["resources"]["requests"]["storage"] == "3Gi").then_some(())
    })
    .await;
    world.ready("demo").await;
    operator.stop().await;
}

/// Creates a class whose volumes may grow; its provisioner does not run here.
pub async fn make_class(world: &World, name: &str) {
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "example.com/none", "allowVolumeExpansion": true});
    let classes: kube::Api<k8s_openapi::api::storage::v1::StorageClass> =
        kube::Api::all(world.client.clone());
    let apply = Patch::Apply(class);
    classes
        .patch(name, &PatchParams::apply("test"), &apply)
        .await
        .unwrap();
}

/// Only a bound claim may grow.
pub async fn bind(world: &World, claim: &ChildId) {
    let api = world.api(claim.kind);
    let volume = json!({"spec": {"volumeName": "pv"}});
    api.patch(&claim.name, &PatchParams::default(), &Patch::Merge(&volume))
        .await
        .unwrap();
    let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}});
    api.patch_status(&claim.name, &PatchParams::default(), &Patch::Merge(&bound))
        .await
        .unwrap();
}

/// Accepts the claim or Cluster with this UID in place of the one with the data.
pub async fn accept(world: &World, uid: &str) {
    let annotations = json!({"hello.internal/accept-new-data": uid});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    let services = world.services();
    services
        .patch("demo", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_taken_away_is_reported_and_an_empty_database_does_not_take_its_place() {
    let world = World::new("data-taken").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    let id = ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0");
    let claims = world.api(Kind::PersistentVolumeClaim);
    let full = world.get(&id).await.unwrap().uid().unwrap();
    // It is in use, so the API server only marks it.
    claims
        .delete(&id.name, &DeleteParams::default())
        .await
        .unwrap();
    let condition = world.condition("demo", "Degraded", "True").await;
    assert_eq!(condition["reason"], "VolumeTerminating");
    let words = condition["message"].as_str().unwrap();
    assert!(
        words.contains("copy the data before any pod is stopped"),
        "{words}"
    );

    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    claims
        .patch(&id.name, &PatchParams::default(), &release)
        .await
        .unwrap();
    let replaced = eventually("the new claim is reported", || async {
        let condition = world.condition("demo", "DatabaseReady", "False").await;
        (condition["reason"] == "DataReplaced").then_some(condition)
    })
    .await;
    let words = replaced["message"].as_str().unwrap();
    let new = world.get(&id).await.unwrap().uid().unwrap();
    assert!(words.contains(&full) && words.contains(&new), "{words}");
    world.settle(&operator).await;
    assert!(!world.is_ready("demo").await);
    let jobs = world.api(Kind::Job).list(&ListParams::default()).await;
    assert_eq!(
        jobs.unwrap().items.len(),
        0,
        "a migration of the empty database"
    );
    // What was accepted for another one is not accepted for this one.
    for (uid, ready) in [(&full, false), (&new, true)] {
        accept(&world, uid).await;
        match ready {
            true => world.ready("demo").await,
            false => {
                world.settle(&operator).await;
                assert!(!world.is_ready("demo").await);
            }
        }
    }
    let live = world.services().get("demo").await.unwrap();
    assert_eq!(live.data["status"]["database"]["data"]["uid"], new);
    operator.stop().await;
}
