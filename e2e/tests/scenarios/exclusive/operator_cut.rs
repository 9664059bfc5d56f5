//! The operator is cut off from the API server: its packets are dropped on its node, everything else works.

use std::time::{Duration, Instant};

use hello_e2e::cluster::command;
use hello_e2e::cluster::pods::node_of;
use hello_e2e::cluster::wait::poll;
use hello_e2e::load::Load;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, Seen, ensure, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

const NAME: &str = "operator_cut";
/// Longer than any deadline of a single call to the API server.
const CUT: Duration = Duration::from_secs(25);

#[tokio::test]
async fn an_operator_cut_from_the_api_server_reports_it_and_catches_up() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "it needs a packet filter on a node");
    }
    scenario::run(NAME, async |s| {
        let hello = Hello::apply(s, "hello", json!({"replicas": 1})).await?;
        hello.serving().await?;
        let load = Load::start(&hello.url().await?, 2, Duration::from_millis(50));

        let pods = s.cluster.operator_pods().await?;
        let pod = pods.first().context("the operator has no pod")?;
        let since = jiff::Timestamp::now();
        cut(s, pod).await?;
        let began = Instant::now();
        hello.change(json!({"replicas": 2})).await?;
        poll("the operator's log to report it", CUT, async || {
            let log = operator_log(&since.to_string()).await?;
            let reported = log.lines().find(|line| {
                let line = line.to_lowercase();
                (line.contains("error") || line.contains("warn")) && !line.contains("\"info\"")
            });
            Ok(reported.map_or_else(
                || Seen::not_yet(log.lines().last()),
                |line| Seen::Done(line.to_owned()),
            ))
        })
        .await
        .map(|line| {
            s.figure(format!(
                "cut reported after {:.1} s: {line}",
                began.elapsed().as_secs_f64()
            ))
        })?;
        tokio::time::sleep(CUT.saturating_sub(began.elapsed())).await;
        let replicas = hello
            .deployment()
            .await?
            .spec
            .and_then(|spec| spec.replicas);
        ensure!(
            replicas == Some(1),
            "the operator was not cut: {replicas:?} replicas"
        );

        restore(s, pod).await?;
        let restored = Instant::now();
        hello.ready(READY_LIMIT).await?;
        s.figure(format!(
            "converged {:.1} s after the connection was back",
            restored.elapsed().as_secs_f64()
        ));
        let report = load.stop().await?;
        s.figure(format!("during the cut: {}", report.summary()));
        report.ensure_none_failed()
    })
    .await
}

/// The operator's log since a time, with that of containers before a restart.
async fn operator_log(since: &str) -> Result<String> {
    let since = format!("--since-time={since}");
    let base = [
        "--namespace",
        "hello-system",
        "logs",
        "--selector=app.kubernetes.io/name=hello-operator",
        "--tail=500",
        &since,
    ];
    let now = command::kubectl(&base).await?;
    let before = command::kubectl_with(&[&base[..], &["--previous"]].concat(), "").await?;
    Ok(before.stdout + &now)
}

fn rule(pod: &Pod, action: &str) -> Result<Vec<String>> {
    let address = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.clone())
        .context("the operator has no address")?;
    let rule = format!(
        "iptables {action} FORWARD -s {address} -p tcp --dport 6443 -m comment --comment hello-e2e -j DROP"
    );
    Ok(rule.split(' ').map(str::to_owned).collect())
}

async fn cut(s: &Scenario, pod: &Pod) -> Result<()> {
    let (scenario, victim) = (s.clone(), pod.clone());
    s.defer("remove the packet filter", async move {
        // Already removed when the scenario got that far.
        if on_node(&scenario, &victim, "--check").await.is_ok() {
            restore(&scenario, &victim).await?;
        }
        Ok(())
    });
    on_node(s, pod, "--insert").await?;
    s.progress(&format!("{} cut from the API server", pod.name_any()));
    Ok(())
}

async fn restore(s: &Scenario, pod: &Pod) -> Result<()> {
    on_node(s, pod, "--delete").await
}

async fn on_node(s: &Scenario, pod: &Pod, action: &str) -> Result<()> {
    let rule = rule(pod, action)?;
    let words: Vec<&str> = rule.iter().map(String::as_str).collect();
    s.cluster.in_node(&node_of(pod), &words).await?;
    Ok(())
}
