//! Routes and monitors, whose APIs a cluster may not have. Their definitions are the real ones.

use std::time::{Duration, Instant};

use hello_operator::object::{child::ChildId, kind::Kind};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    definitions,
    server::Server,
    world::{World, assert_within, eventually},
};

fn route() -> ChildId {
    ChildId::new(Kind::HTTPRoute, "demo")
}

fn monitor() -> ChildId {
    ChildId::new(Kind::ServiceMonitor, "demo")
}

fn both() -> Value {
    json!({
        "expose": {"httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["hello.example.com"]}},
        "monitoring": {"serviceMonitor": true, "serviceMonitorLabels": {"release": "prometheus"}},
    })
}

/// Waits until `Ready` is false for this reason, and returns its message.
async fn blocked(world: &World, reason: &str, words: &str) -> String {
    eventually(&format!("{reason}: {words}"), || async {
        let ready = world.condition("demo", "Ready", "False").await;
        let message = ready["message"].as_str().unwrap();
        (ready["reason"] == reason && message.contains(words)).then(|| message.to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_apis_are_named_one_by_one_and_picked_up_within_seconds() {
    let server = Server::bare();
    let world = World::on(&server, "entry-missing").await;
    let operator = world.operator();
    world.apply("demo", both()).await;
    world.apply("other", json!({})).await;
    blocked(&world, "ApiMissing", "HTTPRoute demo needs the Gateway API").await;
    world.ready("other").await;
    let app = ChildId::new(Kind::Deployment, "demo");
    eventually("the other objects are created", || world.get(&app)).await;

    server.define(&definitions::http_route()).await;
    blocked(
        &world,
        "ApiMissing",
        "ServiceMonitor demo needs the Prometheus Operator",
    )
    .await;
    assert!(world.get(&route()).await.is_some());
    let start = Instant::now();
    server.define(&definitions::service_monitor()).await;
    world.ready("demo").await;
    assert_within(Duration::from_secs(10), start, "the kind's definition");
    assert!(world.get(&monitor()).await.is_some());
    let errors = operator.metrics.render();
    assert!(!errors.contains("result=\"error\""), "{errors}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_asks_for_neither_needs_neither_api() {
    let server = Server::bare();
    let world = World::on(&server, "entry-none").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let errors = operator.metrics.render();
    assert!(!errors.contains("result=\"error\""), "{errors}");
    operator.stop().await;
}

async fn gone(world: &World, id: &ChildId) {
    let start = Instant::now();
    eventually(&format!("{id} is gone"), || async {
        world.get(id).await.is_none().then_some(())
    })
    .await;
    assert_within(Duration::from_secs(5), start, &id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_asked_for_is_removed_and_what_others_made_stays() {
    let world = World::new("entry-removal").await;
    let theirs = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "theirs", "labels": {"app.kubernetes.io/instance": "demo"}},
        "spec": {"parentRefs": [{"name": "public"}]}});
    let theirs: DynamicObject = serde_json::from_value(theirs).unwrap();
    let routes = world.api(Kind::HTTPRoute);
    routes.create(&Default::default(), &theirs).await.unwrap();
    let operator = world.operator();
    world.apply("demo", both()).await;
    world.ready("demo").await;
    let live = world.get(&monitor()).await.unwrap();
    assert_eq!(live.labels()["release"], "prometheus");
    assert_eq!(live.labels()["app.kubernetes.io/instance"], "demo");

    let mut spec = both();
    spec["monitoring"] = json!({"serviceMonitor": true});
    world.apply("demo", spec.clone()).await;
    eventually("the label is gone", || async {
        let live = world.get(&monitor()).await?;
        (!live.labels().contains_key("release")).then_some(())
    })
    .await;
    spec.as_object_mut().unwrap().remove("monitoring");
    world.apply("demo", spec).await;
    gone(&world, &monitor()).await;
    assert!(world.get(&route()).await.is_some());
    world.apply("demo", json!({})).await;
    gone(&world, &route()).await;
    world.ready("demo").await;
    assert!(routes.get_opt("theirs").await.unwrap().is_some());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_route_is_not_taken_over() {
    let world = World::new("entry-conflict").await;
    let theirs = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "demo"}, "spec": {"parentRefs": [{"name": "private"}]}});
    let theirs: DynamicObject = serde_json::from_value(theirs).unwrap();
    let routes = world.api(Kind::HTTPRoute);
    let before = routes.create(&Default::default(), &theirs).await.unwrap();
    let operator = world.operator();
    world.apply("demo", both()).await;
    blocked(&world, "Conflict", "HTTPRoute demo").await;
    world.settle(&operator).await;
    let after = routes.get("demo").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
    operator.stop().await;
}

/// The Gateway API has rules of its own; the status reports its message.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_its_api_refuses_is_explained() {
    let world = World::new("entry-refused").await;
    let operator = world.operator();
    let mut spec = both();
    spec["expose"]["httpRoute"]["parentRefs"] = json!([{"name": "public"}, {"name": "public"}]);
    world.apply("demo", spec).await;
    let message = blocked(&world, "Refused", "HTTPRoute demo").await;
    assert!(message.contains("parentRefs"), "{message}");
    world.apply("demo", both()).await;
    world.ready("demo").await;
    operator.stop().await;
}

/// The optional manifest that monitors the operator itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_monitor_is_valid_and_selects_its_service() {
    let world = World::new("entry-own").await;
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
    let read = |path: &str| -> Value {
        let text = std::fs::read_to_string(format!("{manifests}/{path}")).unwrap();
        serde_yaml::from_str(&text).unwrap()
    };
    let mut monitor = read("components/service-monitor/service-monitor.yaml");
    let service = read("base/service.yaml");
    let common = &read("base/kustomization.yaml")["labels"][0]["pairs"];
    for (name, value) in monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        let labels = &service["metadata"]["labels"];
        assert!(labels[name] == *value || common[name] == *value, "{name}");
    }
    let port = &monitor["spec"]["endpoints"][0]["port"];
    assert_eq!(service["spec"]["ports"][0]["name"], *port);
    monitor["metadata"]["namespace"] = world.namespace.as_str().into();
    let apply = Patch::Apply(&monitor);
    world
        .api(Kind::ServiceMonitor)
        .patch(
            "hello-operator",
            &PatchParams::apply("another-client"),
            &apply,
        )
        .await
        .unwrap();
}

/// The operator's alerts; a unit test checks that their metrics exist.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_alerts_are_valid() {
    let world = World::new("entry-alerts").await;
    let definition = definitions::prometheus_rule();
    crate::server::server().define(&definition).await;
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../manifests/components/alerts/alerts.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut alerts: Value = serde_yaml::from_str(&text).unwrap();
    alerts["metadata"]["namespace"] = world.namespace.as_str().into();
    let resource = kube::api::ApiResource {
        group: "monitoring.coreos.com".into(),
        version: "v1".into(),
        api_version: "monitoring.coreos.com/v1".into(),
        kind: "PrometheusRule".into(),
        plural: "prometheusrules".into(),
    };
    let api: kube::Api<DynamicObject> =
        kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let parameters = PatchParams::apply("another-client");
    api.patch("hello-operator", &parameters, &Patch::Apply(&alerts))
        .await
        .unwrap();
}
