//! Changes by other clients to the operator's fields are reverted; fields of other clients are kept.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    converge::everything,
    data::accept,
    world::{World, assert_within, eventually},
};

/// A change of a field that the operator owns, for each kind.
fn damage(id: &ChildId) -> Option<Value> {
    Some(match id.kind {
        Kind::ServiceAccount => json!({"automountServiceAccountToken": true}),
        Kind::Secret => match id.name.as_str() {
            "demo-db-tls" => json!({"data": {"ca.crt": "eA==", "pg_hba.conf": "eA=="}}),
            // Its data exists nowhere else: it would be replaced, not restored.
            "demo-ca" => json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "else"}}}),
            _ => json!({"data": {"app-uri": "eA=="}}),
        },
        Kind::PersistentVolumeClaim => {
            json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "else"}}})
        }
        Kind::NetworkPolicy => json!({"spec": {"policyTypes": ["Ingress"]}}),
        Kind::Service => json!({"spec": {"selector": {"app.kubernetes.io/name": "else"}}}),
        Kind::StatefulSet => {
            json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}})
        }
        Kind::Cluster => json!({"spec": {"instances": 9}}),
        Kind::Deployment => json!({"spec": {"template": {"spec": {"enableServiceLinks": true}}}}),
        Kind::PodDisruptionBudget => json!({"spec": {"maxUnavailable": 5}}),
        Kind::HorizontalPodAutoscaler => json!({"spec": {"maxReplicas": 99}}),
        Kind::Ingress => json!({"spec": {"rules": [{"host": "else.example.com"}]}}),
        Kind::HTTPRoute => json!({"spec": {"parentRefs": [{"name": "public"}, {"name": "else"}]}}),
        Kind::ServiceMonitor => json!({"spec": {"endpoints": [{"targetPort": "else"}]}}),
        Kind::CronJob => json!({"spec": {"schedule": "1 1 1 1 1"}}),
        // They are immutable.
        Kind::Job | Kind::HelloRestore => return None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_child_is_reverted_within_5_seconds() {
    let world = World::new("drift-change").await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    for (id, before) in world.children("demo").await {
        let Some(damage) = damage(&id) else {
            continue;
        };
        if id.name == "demo-db" && id.kind == Kind::Service {
            continue; // The same kind as the other Service, and half of its fields cannot change.
        }
        let start = Instant::now();
        world
            .api(id.kind)
            .patch(&id.name, &PatchParams::default(), &Patch::Merge(&damage))
            .await
            .unwrap();
        eventually(&format!("{id} is reverted"), || async {
            let live = world.get(&id).await?;
            let same = |part: &str| live.data.get(part) == before.data.get(part);
            (same("spec")
                && same("data")
                && live.labels() == before.labels()
                && same("automountServiceAccountToken"))
            .then_some(())
        })
        .await;
        assert_within(Duration::from_secs(5), start, &id.to_string());
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_any_child_is_reverted_within_5_seconds() {
    let world = World::new("drift-delete").await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let mut deleted = BTreeSet::new();
    for kind in Kind::ALL {
        let children = world.children("demo").await.into_iter();
        for (id, before) in children.filter(|(id, _)| id.kind == kind) {
            // The migration that ended is recorded, and is not run again: `stuck.rs`.
            if kind == Kind::Job {
                continue;
            }
            comes_back(&world, &id, &before).await;
            if id.name == "data-demo-db-0" {
                let new = world.get(&id).await.unwrap().uid().unwrap();
                accept(&world, &new).await;
                world.ready("demo").await;
            }
            if matches!(kind, Kind::PersistentVolumeClaim | Kind::Secret) {
                // New passwords or data mean another migration.
                world.settle(&operator).await;
            }
            deleted.insert(kind);
        }
    }
    // One of the remaining kinds needs CloudNativePG, and one a backup: they are deleted in their tests.
    assert_eq!(deleted.len(), Kind::ALL.len() - 3);
    world.ready("demo").await;
    operator.stop().await;
}

async fn comes_back(world: &World, id: &ChildId, before: &DynamicObject) {
    let api = world.api(id.kind);
    let start = Instant::now();
    api.delete(&id.name, &DeleteParams::background())
        .await
        .unwrap();
    if id.kind == Kind::PersistentVolumeClaim {
        release(world, id).await;
    }
    eventually(&format!("{id} is there again"), || async {
        let live = world.get(id).await?;
        (live.uid() != before.uid() && live.metadata.deletion_timestamp.is_none()).then_some(())
    })
    .await;
    assert_within(Duration::from_secs(5), start, &id.to_string());
}

/// Removes the finalizer, as the controller that protects claims does once no pod uses one.
async fn release(world: &World, claim: &ChildId) {
    let none = json!({"metadata": {"finalizers": null}});
    world
        .api(claim.kind)
        .patch(&claim.name, &PatchParams::default(), &Patch::Merge(&none))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_clients_add_is_kept() {
    let world = World::new("drift-others").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let writes = operator.writes_to_children();
    let foreign = json!({
        "metadata": {"annotations": {"example.com/note": "mine"}, "labels": {"team": "a"}},
        "spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "proxy:1"}]}}},
    });
    let api = world.api(Kind::Deployment);
    api.patch("demo", &PatchParams::default(), &Patch::Strategic(&foreign))
        .await
        .unwrap();
    world.settle(&operator).await;
    assert_eq!(operator.writes_to_children(), writes, "the operator wrote");
    // The operator's own writes do not remove it either.
    world
        .apply("demo", json!({"config": {"logLevel": "debug"}}))
        .await;
    world.ready("demo").await;
    let live = api.get("demo").await.unwrap();
    assert_eq!(live.annotations()["example.com/note"], "mine");
    assert_eq!(live.labels()["team"], "a");
    let containers = live.data["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert!(
        containers
            .iter()
            .any(|container| container["name"] == "sidecar")
    );
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_no_longer_wanted_are_removed_except_data() {
    let world = World::new("orphans").await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    world.ready("demo").await;
    world
        .apply("demo", json!({"networkPolicy": {"enabled": false}}))
        .await;
    world.ready("demo").await;
    let gone = [
        Kind::HorizontalPodAutoscaler,
        Kind::Ingress,
        Kind::HTTPRoute,
        Kind::ServiceMonitor,
        Kind::CronJob,
        Kind::NetworkPolicy,
    ];
    eventually("unwanted children are gone", || async {
        let children = world.children("demo").await;
        (!children.iter().any(|(id, _)| gone.contains(&id.kind))).then_some(())
    })
    .await;
    let backups = ChildId::new(Kind::PersistentVolumeClaim, "demo-backup");
    assert!(
        world
            .get(&backups)
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_none()
    );
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_labels_are_restored() {
    let world = World::new("labels").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let secret = ChildId::new(Kind::Secret, "demo-credentials");
    let before = world.get(&secret).await.unwrap();
    for id in [
        ChildId::new(Kind::Deployment, "demo"),
        ChildId::new(Kind::Service, "demo-db"),
    ] {
        let none = json!({"metadata": {"labels": null}});
        world
            .api(id.kind)
            .patch(&id.name, &PatchParams::default(), &Patch::Merge(&none))
            .await
            .unwrap();
        eventually(&format!("{id} has its labels"), || async {
            let live = world.get(&id).await?;
            live.labels()
                .contains_key("app.kubernetes.io/instance")
                .then_some(())
        })
        .await;
    }
    assert_eq!(
        world.get(&secret).await.unwrap().data["data"],
        before.data["data"]
    );
    operator.stop().await;
}
