//! A namespace that is deleted, with everything in it.

use std::time::Duration;

use hello_operator::object::kind::Kind;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::json;

use crate::{
    converge::everything,
    server::Server,
    world::{World, eventually},
};

/// Deletes everything in the namespace, as the namespace controller does, which does not run here.
async fn empty(world: &World) {
    let (all, now) = (ListParams::default(), DeleteParams::background());
    for kind in Kind::ALL {
        world.api(kind).delete_collection(&now, &all).await.unwrap();
    }
    world
        .services()
        .delete_collection(&now, &all)
        .await
        .unwrap();
}

/// Kinds that have objects left; claims have a finalizer that only their controller removes.
async fn left(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    for kind in Kind::ALL {
        let items = world.api(kind).list(&ListParams::default()).await.unwrap();
        let leaving = |item: &kube::api::DynamicObject| {
            kind == Kind::PersistentVolumeClaim && item.metadata.deletion_timestamp.is_some()
        };
        let staying = items.iter().filter(|item| !leaving(item));
        left.extend(staying.map(|item| format!("{kind} {}", item.name_any())));
    }
    let services = world.services().list(&ListParams::default()).await.unwrap();
    left.extend(services.iter().map(ResourceExt::name_any));
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_being_deleted_affects_no_other_and_is_removed() {
    let server = Server::start();
    let leaving = World::on(&server, "leaving").await;
    let staying = World::on(&server, "staying").await;
    let operator = staying.cluster_operator();
    leaving.apply("demo", everything()).await;
    staying.apply("demo", json!({})).await;
    leaving.ready("demo").await;
    staying.ready("demo").await;

    let namespaces: Api<Namespace> = Api::all(staying.client.clone());
    namespaces
        .delete("leaving", &DeleteParams::default())
        .await
        .unwrap();
    // Missing children cannot be created again, for as long as the resource exists.
    for (id, _) in leaving.children("demo").await {
        if matches!(id.kind, Kind::Service | Kind::NetworkPolicy) {
            let api = leaving.api(id.kind);
            api.delete(&id.name, &DeleteParams::default())
                .await
                .unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = operator.reconciles();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tries = operator.reconciles() - before;
    assert!(tries <= 6, "{tries} tries in 3 s of a write that must fail");

    staying
        .apply("demo", json!({"image": "hello-app:2", "replicas": 3}))
        .await;
    staying.ready("demo").await;

    empty(&leaving).await;
    eventually("nothing is left and nothing is created again", || async {
        left(&leaving).await.is_empty().then_some(())
    })
    .await;
    staying.settle(&operator).await;
    assert_eq!(left(&leaving).await, Vec::<String>::new());
    operator.stop().await;
}
