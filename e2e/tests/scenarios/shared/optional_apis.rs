//! Optional APIs that are missing at first: reported, used as soon as they are installed, and every optional object is
//! removed when it is no longer wanted.

use std::time::{Duration, Instant};

use hello_e2e::cluster::wait;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Cluster, Hello, Result, Scenario, scenario};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use crate::addon;

const NAME: &str = "optional_apis";
/// A missing API is reported within seconds.
const REPORTED: Duration = Duration::from_secs(15);
/// A missing API is looked for every few seconds.
const FOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn optional_parts_come_with_their_apis_and_go_when_unwanted() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "its owner decides which APIs are installed there");
    }
    scenario::run(NAME, async |s| {
        let hello = Hello::apply(s, "hello", everything()).await?;
        hello
            .condition("Ready", READY_LIMIT, |ready| {
                ready.status == "False" && ready.reason == "ApiMissing"
            })
            .await?;
        s.defer("remove the optional APIs", async {
            addon(NAME, "remove").await
        });
        addon(NAME, "install").await?;
        let began = Instant::now();
        hello.ready(READY_LIMIT).await?;
        s.figure(format!(
            "Ready {:.1} s after the missing APIs were installed",
            began.elapsed().as_secs_f64()
        ));
        for (kind, name) in OPTIONAL {
            objects(s, kind).get(name).await?;
        }

        hello.change(nothing()).await?;
        for (kind, name) in OPTIONAL {
            wait::gone(&objects(s, kind), name, FOUND).await?;
        }
        hello.ready(READY_LIMIT).await?;
        missing_reference(s).await
    })
    .await
}

/// Group, version and kind, and the name of the object.
const OPTIONAL: [([&str; 3], &str); 7] = [
    (["gateway.networking.k8s.io", "v1", "HTTPRoute"], "hello"),
    (["monitoring.coreos.com", "v1", "ServiceMonitor"], "hello"),
    (["networking.k8s.io", "v1", "Ingress"], "hello"),
    (["networking.k8s.io", "v1", "NetworkPolicy"], "hello-app"),
    (["autoscaling", "v2", "HorizontalPodAutoscaler"], "hello"),
    (["batch", "v1", "CronJob"], "hello-backup"),
    (["networking.k8s.io", "v1", "NetworkPolicy"], "hello-backup"),
];

fn everything() -> serde_json::Value {
    json!({
        "autoscaling": {"minReplicas": 2, "maxReplicas": 3},
        "expose": {
            "ingress": {"host": "hello.example.com"},
            "httpRoute": {"parentRefs": [{"name": "public"}]},
        },
        "monitoring": {"serviceMonitor": true},
        "backup": {"schedule": "0 2 * * *"},
    })
}

fn nothing() -> serde_json::Value {
    json!({
        "autoscaling": null,
        "expose": {"ingress": null, "httpRoute": null},
        "monitoring": null,
        "backup": {"enabled": false},
        "networkPolicy": {"enabled": false},
    })
}

fn objects(s: &Scenario, [group, version, kind]: [&str; 3]) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(s.cluster.client.clone(), &s.namespace, &resource)
}

/// Missing certificates of a token issuer are reported, and nothing is started until they exist.
async fn missing_reference(s: &Scenario) -> Result<()> {
    let oidc = json!({
        "issuer": "https://id.example.com", "audience": ["hello"], "caConfigMapRef": {"name": "authority"},
    });
    let hello = Hello::apply(s, "with-tokens", json!({"auth": {"oidc": oidc}})).await?;
    hello
        .condition("Ready", REPORTED, |ready| {
            ready.status == "False" && ready.message.contains("authority")
        })
        .await?;
    Ok(())
}
