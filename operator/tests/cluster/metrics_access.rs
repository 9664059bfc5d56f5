//! The operator's metrics behind reviews by the API server, with tokens that it has issued.

use std::{net::SocketAddr, sync::Arc};

use hello_operator::{
    kubernetes::{connection::connect, reviews},
    telemetry::{metrics::Metrics, probes},
};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    server::server,
    world::{World, eventually},
};

/// The operator's account in this test: others need one without the rights of this component.
const ACCOUNT: &str = "operator-with-reviews";

/// The status of the answer, and all of it.
async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let header = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let header = header.unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{header}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// The component's objects of one kind.
fn component(kind: &str) -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../manifests/components/metrics-access/rbac.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let objects = documents.map(|document| Value::deserialize(document).unwrap());
    objects.filter(|object| object["kind"] == kind).collect()
}

/// Creates an account, and returns a token of it.
async fn account(world: &World, name: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let account = json!({"metadata": {"name": name}});
    let account = serde_json::from_value(account).unwrap();
    let parameters = PostParams::default();
    accounts.create(&parameters, &account).await.unwrap();
    let request = TokenRequest::default();
    let answer = accounts.create_token_request(name, &parameters, &request);
    answer.await.unwrap().status.unwrap().token.unwrap()
}

async fn bind(world: &World, role: &str, namespace: &str, account: &str) {
    let bindings: Api<ClusterRoleBinding> = Api::all(world.client.clone());
    let binding = json!({"metadata": {"name": format!("metrics-access-{account}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]});
    let binding = serde_json::from_value(binding).unwrap();
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
}

/// Serves probes and metrics as the operator does with `--metrics-access`.
async fn serve() -> SocketAddr {
    let mut config = server().config(&server().url);
    config.auth_info.impersonate = Some(format!("system:serviceaccount:hello-system:{ACCOUNT}"));
    let access = reviews::access(connect(config).unwrap());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let metrics = Arc::<Metrics>::default();
    probes::serve(address, vec![Arc::default()], metrics, Some(access))
        .await
        .unwrap();
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_accounts_with_the_right_to_get_them() {
    let world = World::new("metrics-access").await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    for role in component("ClusterRole") {
        let role = serde_json::from_value(role).unwrap();
        roles.create(&PostParams::default(), &role).await.unwrap();
    }
    let reader = account(&world, "reader").await;
    let other = account(&world, "other").await;
    bind(
        &world,
        "hello-operator-metrics-reader",
        &world.namespace,
        "reader",
    )
    .await;
    let address = serve().await;

    // The operator has no right to ask yet: nobody gets them, and probes are answered.
    let (status, answer) = get(address, "/metrics", Some(&reader)).await;
    assert_eq!(status, 503, "{answer}");
    assert_eq!(get(address, "/livez", None).await.0, 200);

    let binding = component("ClusterRoleBinding").remove(0);
    let role = binding["roleRef"]["name"].as_str().unwrap();
    bind(&world, role, "hello-system", ACCOUNT).await;
    let answer = eventually("the reader gets the metrics", || async {
        let (status, answer) = get(address, "/metrics", Some(&reader)).await;
        (status == 200).then_some(answer)
    })
    .await;
    assert!(answer.contains("hello_operator_leader"), "{answer}");
    for (token, expected) in [
        (Some(&*other), 403),
        (Some("made.up.token"), 401),
        (None, 401),
    ] {
        let (status, answer) = get(address, "/metrics", token).await;
        assert_eq!(status, expected, "{answer}");
        assert!(!answer.contains("hello_operator"), "{answer}");
    }

    // A token ends with its account, and the verdict about it is forgotten.
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let parameters = DeleteParams::default();
    accounts.delete("reader", &parameters).await.unwrap();
    eventually("the token is no longer taken", || async {
        let (status, _) = get(address, "/metrics", Some(&reader)).await;
        (status == 401).then_some(())
    })
    .await;
}
