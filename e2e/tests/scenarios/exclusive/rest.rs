//! The operator writes nothing when all children match their spec.

use std::time::Duration;

use hello_e2e::cluster::audit::{self, LOG};
use hello_e2e::cluster::wait::poll;
use hello_e2e::cluster::{OPERATOR, OPERATOR_NAMESPACE, command};
use hello_e2e::scenario::{self, LABEL};
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, Seen, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

const NAME: &str = "rest";
/// How long the new operator is observed: it reconciles everything as soon as it leads.
const AFTER_UPGRADE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_operator_writes_nothing_at_rest() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "the audit log lies on kind's control-plane node");
    }
    let seconds = std::env::var("REST_SECONDS").unwrap_or_else(|_| "60".to_owned());
    let seconds: u64 = seconds.parse().context("REST_SECONDS is not a number")?;
    scenario::run_longer(NAME, Duration::from_secs(seconds), async |s| {
        let spec = json!({
            "autoscaling": {"minReplicas": 2, "maxReplicas": 3},
            "backup": {"schedule": "0 2 * * *"},
        });
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        others_gone(s).await?;
        hello.ready(READY_LIMIT).await?;

        let before = hello.starts().await?;
        nothing_written(s, &format!("in {seconds} s at rest"), async || {
            s.progress(&format!("watching for {seconds} s"));
            // Only waiting shows that nothing happens.
            sleep(Duration::from_secs(seconds)).await;
            Ok(())
        })
        .await?;
        nothing_written(s, "through an upgrade to the same code", async || {
            upgrade(s).await?;
            sleep(AFTER_UPGRADE).await;
            Ok(())
        })
        .await?;
        hello.ensure_not_started_again(&before).await
    })
    .await
}

/// Ensures that the API server's audit log has no write by the operator during `action`.
async fn nothing_written(
    s: &Scenario,
    when: &str,
    action: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let node = s.cluster.control_plane().await?;
    let from = size(s, &node).await?;
    action().await?;
    ensure!(
        size(s, &node).await? >= from,
        "the audit log was rotated in between"
    );
    let user = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}");
    let script = format!("tail -c +{} {LOG} | grep -F {user} || true", from + 1);
    let log = s.cluster.in_node(&node, &["sh", "-c", &script]).await?;
    ensure!(
        !log.is_empty(),
        "the audit log has no request of the operator at all, not even a read"
    );
    let writes = audit::writes(&log, &user)?;
    s.figure(format!(
        "{} writes by the operator {when} ({} of its lease)",
        writes.total(),
        writes.leases
    ));
    ensure!(writes.total() == 0, "writes {when}: {:#?}", writes.objects);
    Ok(())
}

/// Replaces the operator by another image of the same program.
async fn upgrade(s: &Scenario) -> Result<()> {
    let next = std::env::var("HELLO_NEXT_OPERATOR_IMAGE")
        .context("HELLO_NEXT_OPERATOR_IMAGE is not set; run the scenarios by e2e/run")?;
    let path = "--output=jsonpath={.spec.template.spec.containers[0].image}";
    let old = operator(&["get", "deployment", OPERATOR, path]).await?;
    s.defer("restore the operator's image", async move {
        roll_out(&old).await
    });
    roll_out(&next).await
}

async fn roll_out(image: &str) -> Result<()> {
    let deployment = format!("deployment/{OPERATOR}");
    let image = format!("operator={image}");
    operator(&["set", "image", &deployment, &image]).await?;
    operator(&["rollout", "status", &deployment, "--timeout=25s"]).await?;
    Ok(())
}

async fn operator(arguments: &[&str]) -> Result<String> {
    command::kubectl(&[&["--namespace", OPERATOR_NAMESPACE][..], arguments].concat()).await
}

/// Waits until the namespaces of earlier scenarios are gone: their deletion causes writes of the operator.
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
