//! Killed processes, under load.

use std::slice;
use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::{describe_pods, node_of, ready_pods};
use hello_e2e::cluster::wait::poll;
use hello_e2e::load::{Load, Report};
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Context, Hello, Result, Scenario, Seen, scenario};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

const BACK: Duration = Duration::from_secs(90);
/// Three failed probes, a second apart, remove a pod from the Service, possibly after the database is back.
const PROBES: Duration = Duration::from_secs(5);

#[tokio::test]
async fn killed_pods_come_back_and_no_acknowledged_write_is_lost() -> Result<()> {
    scenario::run("kill", async |s| {
        let hello = Hello::apply(s, "hello", json!({"replicas": 2})).await?;
        hello.serving().await?;

        let report = under_load(&hello, async || {
            let pods = hello.pods("app").await?;
            let victim = pods.first().context("no app pod")?;
            kill(s, victim).await?;
            back(2, slice::from_ref(victim), async || hello.pods("app").await).await
        })
        .await?;
        s.figure(format!("app killed: {}", report.summary()));

        let report = under_load(&hello, async || {
            let victim: Pod = hello.child(&hello.database_pod()).await?;
            kill(s, &victim).await?;
            back(1, &[victim], async || hello.pods("database").await).await
        })
        .await?;
        s.figure(format!("PostgreSQL killed: {}", report.summary()));

        // Otherwise the loss of the database would be visible again. Only waiting shows that nothing changes.
        sleep(PROBES).await;
        back(2, &[], async || hello.pods("app").await).await?;
        let report = under_load(&hello, async || kill_operator(s, &hello).await).await?;
        s.figure(format!("operator killed: {}", report.summary()));
        report.ensure_none_failed()
    })
    .await
}

/// Causes the fault under load, and waits until the service is Ready and answers again.
async fn under_load(hello: &Hello, fault: impl AsyncFnOnce() -> Result<()>) -> Result<Report> {
    let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
    load.answered(100).await?;
    fault().await?;
    hello.ready(READY_LIMIT).await?;
    load.answered(100).await?;
    let report = load.stop().await?;
    report.ensure_nothing_lost()?;
    Ok(report)
}

/// Kills every container of the operator; its successor carries out the edit that was made in between.
async fn kill_operator(s: &Scenario, hello: &Hello) -> Result<()> {
    let victims = s.cluster.operator_pods().await?;
    let began = Instant::now();
    for victim in &victims {
        kill(s, victim).await?;
    }
    hello.change(json!({"replicas": 3})).await?;
    back(victims.len(), &victims, async || {
        s.cluster.operator_pods().await
    })
    .await?;
    hello.ready(READY_LIMIT).await?;
    s.figure(format!(
        "an edit while the operator was dead: carried out in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// SIGKILL to a container's first process, on its node. On an existing cluster, whose nodes are not touched, the pod is
/// deleted with a grace period of one second. (Without one, its successor could start beside it: for a database that
/// is another fault.)
async fn kill(s: &Scenario, pod: &Pod) -> Result<()> {
    if s.cluster.is_existing() {
        let pods: Api<Pod> = Api::namespaced(
            s.cluster.client.clone(),
            &pod.namespace().unwrap_or_default(),
        );
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(1))
            .await?;
        return Ok(());
    }
    let status = container(pod).context("the pod has no container")?;
    let id = status
        .container_id
        .as_ref()
        .and_then(|id| id.strip_prefix("containerd://"));
    let id = id.context("the container has no id")?;
    let kill = [
        "ctr",
        "--namespace",
        "k8s.io",
        "tasks",
        "kill",
        "--signal",
        "SIGKILL",
        id,
    ];
    s.cluster.in_node(&node_of(pod), &kill).await?;
    s.progress(&format!("{} killed", pod.name_any()));
    Ok(())
}

/// Waits for `count` ready pods, none of which is an unchanged victim.
async fn back(
    count: usize,
    victims: &[Pod],
    list: impl AsyncFn() -> Result<Vec<Pod>>,
) -> Result<()> {
    poll(
        &format!("{count} ready pods after the kill"),
        BACK,
        async || {
            let pods = list().await?;
            let ready = ready_pods(&pods);
            let all = ready.len() == count
                && !ready.iter().any(|pod| {
                    victims
                        .iter()
                        .any(|victim| incarnation(victim) == incarnation(pod))
                });
            Ok(if all {
                Seen::Done(())
            } else {
                Seen::NotYet(describe_pods(&pods))
            })
        },
    )
    .await
}

/// Identity of a pod and its container: it changes when the container restarts or the pod is replaced.
fn incarnation(pod: &Pod) -> (Option<String>, Option<String>) {
    (
        pod.uid(),
        container(pod).and_then(|status| status.container_id.clone()),
    )
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}
