use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::object::{child::Desired, kind::Gate, owner::Identity};

/// A cluster that has nothing, and counts what it is asked.
fn cluster() -> (Cluster, Arc<AtomicUsize>) {
    let calls = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&calls);
    let service = tower::service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let status = kube::core::Status::failure("no", "NotFound").with_code(404);
        let body = Body::from(serde_json::to_vec(&status).unwrap());
        let response = Response::builder().status(404).body(body).unwrap();
        async move { Ok::<_, tower::BoxError>(response) }
    });
    let client = Client::new(service, "default");
    (Cluster::new(client, Arc::default(), Fence::open()), calls)
}

/// The results of all calls that name this object in this namespace.
async fn call_all(cluster: &Cluster, namespace: &str, name: &str) -> Vec<Result<()>> {
    let id = ChildId::new(Kind::Secret, name);
    let body = json!({"metadata": {"name": name}});
    let live = serde_json::from_value(body.clone()).unwrap();
    let desired = Desired::from_body(Kind::Secret, Gate::Always, body);
    let identity = Identity {
        namespace: namespace.into(),
        name: name.into(),
        uid: "u".into(),
        generation: 1,
    };
    vec![
        cluster.service(namespace, name).await.map(|_| ()),
        cluster.get(&id, namespace).await.map(|_| ()),
        cluster.create(&desired, namespace).await.map(|_| ()),
        cluster.update(&desired, namespace, "u").await.map(|_| ()),
        cluster.scale(&id, namespace, "u", 1).await.map(|_| ()),
        cluster
            .release_replicas(&id, namespace, &live)
            .await
            .map(|_| ()),
        cluster.delete(&id, namespace, "u").await,
        cluster
            .write_status(
                &ApiResource::erase::<hello_crds::HelloService>(&()),
                namespace,
                name,
                "u",
                &json!({}),
                status::StatusPatch::Apply,
            )
            .await,
        cluster.restore(namespace, name).await.map(|_| ()),
        cluster.hold_restore(&identity, true).await,
    ]
}

#[tokio::test]
async fn nothing_is_asked_for_a_name_that_no_object_can_have() {
    let (cluster, calls) = cluster();
    for hostile in [
        "",
        "?watch=true",
        "a?limit=1",
        "..",
        "a/../../secrets",
        "a/b",
        "#",
        "A",
    ] {
        for (namespace, name) in [("ns", hostile), (hostile, "demo"), (hostile, hostile)] {
            for result in call_all(&cluster, namespace, name).await {
                let error = result.unwrap_err();
                assert!(matches!(error, Error::Invalid { .. }), "{hostile}: {error}");
            }
        }
        for result in [
            cluster.list(Kind::Secret, hostile, "a=b").await.map(|_| ()),
            cluster.pods(hostile, "a=b").await.map(|_| ()),
        ] {
            assert!(matches!(result, Err(Error::Invalid { .. })), "{hostile}");
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let results = call_all(&cluster, "ns", "demo").await;
    assert_eq!(calls.load(Ordering::SeqCst), results.len());
}
