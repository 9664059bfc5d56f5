//! The zero list: what the operator writes when there is nothing to do.

use std::time::Duration;

use hello_e2e::audit::{self, LOG};
use hello_e2e::cluster::{OPERATOR, OPERATOR_NAMESPACE};
use hello_e2e::hello::READY_LIMIT;
use hello_e2e::scenario::{LABEL, not_applicable};
use hello_e2e::wait::poll;
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, Seen, alone, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

const NAME: &str = "rest";

#[tokio::test]
async fn the_operator_writes_nothing_at_rest() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return not_applicable(NAME, "the audit log lies on kind's control-plane node");
    }
    alone(NAME, async |s| {
        let seconds = std::env::var("REST_SECONDS").unwrap_or_else(|_| "60".to_owned());
        let seconds: u64 = seconds.parse().context("REST_SECONDS is not a number")?;
        let spec = json!({
            "autoscaling": {"minReplicas": 2, "maxReplicas": 3},
            "backup": {"schedule": "0 2 * * *"},
        });
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        others_gone(s).await?;
        hello.ready(READY_LIMIT).await?;

        let node = s.cluster.control_plane().await?;
        let from = size(s, &node).await?;
        s.note(&format!("watching for {seconds} s"));
        // The one true sleep: that nothing happens can only be seen by waiting.
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        ensure!(
            size(s, &node).await? >= from,
            "the audit log was rotated meanwhile"
        );
        let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}");
        let script = format!("tail -c +{} {LOG} | grep -F {user} || true", from + 1);
        let log = s.cluster.in_node(&node, &["sh", "-c", &script]).await?;
        ensure!(
            !log.is_empty(),
            "the operator does not show in the audit log at all, not even by reads"
        );
        let writes = audit::writes(&log, &user)?;
        s.figure(format!(
            "{} writes by the operator in {seconds} s at rest ({} renewals of its lease)",
            writes.total(),
            writes.leases
        ));
        ensure!(writes.total() == 0, "writes at rest: {:#?}", writes.objects);
        Ok(())
    })
    .await
}

/// Waits until the namespaces of earlier scenarios are gone: their deletion is work for the operator.
async fn others_gone(s: &Scenario) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(s.cluster.client.clone());
    poll(
        "the other scenarios' namespaces to be gone",
        Duration::from_secs(120),
        async || {
            let all = namespaces
                .list(&ListParams::default().labels(LABEL))
                .await?;
            let others: Vec<String> = all
                .iter()
                .map(ResourceExt::name_any)
                .filter(|name| *name != s.namespace)
                .collect();
            Ok(if others.is_empty() {
                Seen::Done(())
            } else {
                Seen::not_yet(others)
            })
        },
    )
    .await
}

async fn size(s: &Scenario, node: &str) -> Result<u64> {
    let size = s
        .cluster
        .in_node(node, &["stat", "--format=%s", LOG])
        .await?;
    size.trim().parse().context("the audit log has no size")
}
