//! A worker node is drained and uncordoned, under load.

use std::time::{Duration, Instant};

use hello_e2e::cluster::command;
use hello_e2e::cluster::pods::{describe_pods, node_of, ready_pods};
use hello_e2e::cluster::wait::poll;
use hello_e2e::load::{Kind, Load};
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Context, Hello, Result, Scenario, Seen, ensure, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

#[tokio::test]
async fn a_drained_node_costs_no_acknowledged_write() -> Result<()> {
    scenario::run("drain", async |s| {
        let hello = Hello::apply(s, "hello", json!({"replicas": 2})).await?;
        hello.serving().await?;
        let database: Pod = hello.child(&hello.database_pod()).await?;
        let home = node_of(&database);
        let workers = s.cluster.workers().await?;
        let other = workers
            .iter()
            .map(ResourceExt::name_any)
            .find(|name| *name != home);
        let other = other.context("a drain needs two workers")?;

        let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
        load.answered(100).await?;
        drain(s, &other).await?;
        all_on(&hello, &home).await?;
        s.cluster.uncordon(&other).await?;
        hello.ready(READY_LIMIT).await?;
        let report = load.stop().await?;
        s.figure(format!(
            "node without the database drained: {}",
            report.summary()
        ));
        report.ensure_none_failed()?;

        let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
        load.answered(100).await?;
        drain(s, &home).await?;
        // The volume is bound to the drained node, so the database waits, and the resource has to report the reason.
        let object = hello
            .condition("DatabaseReady", Duration::from_secs(30), |database| {
                database.status == "False" && database.message.contains("unschedulable")
            })
            .await?;
        s.progress(&hello_e2e::service::hello::describe(&object));
        s.cluster.uncordon(&home).await?;
        let returned = Instant::now();
        hello.ready(READY_LIMIT).await?;
        s.figure(format!(
            "database's node uncordoned: Ready after {:.1} s",
            returned.elapsed().as_secs_f64()
        ));
        // Ready comes shortly before each connection's next attempt: reads may work before writes.
        load.answered(1000).await?;
        let report = load.stop().await?;
        s.figure(format!(
            "node of the database drained and uncordoned: {}",
            report.summary()
        ));
        report.ensure_nothing_lost()?;
        ensure!(
            report.outage(Kind::Write).is_some(),
            "writes did not work again:\n{}",
            report.failures()
        );
        Ok(())
    })
    .await
}

/// Drains a node as an administrator does, and uncordons it when the scenario ends, also after a failure.
async fn drain(s: &Scenario, node: &str) -> Result<()> {
    let (cluster, name) = (s.cluster.clone(), node.to_owned());
    s.defer("uncordon", async move { cluster.uncordon(&name).await });
    let began = Instant::now();
    let args = [
        "drain",
        node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        // The provisioner's short-lived pods have no controller and may still clear another
        // scenario's volume; it creates them again elsewhere.
        "--force",
        "--timeout=120s",
    ];
    command::output("kubectl", &args, "", Duration::from_secs(130)).await?;
    s.progress(&format!(
        "{node} drained in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

async fn all_on(hello: &Hello, node: &str) -> Result<()> {
    poll(
        &format!("two ready app pods on {node}"),
        Duration::from_secs(60),
        async || {
            let pods = hello.pods("app").await?;
            let there = ready_pods(&pods)
                .iter()
                .filter(|pod| node_of(pod) == node)
                .count();
            Ok(if there == 2 {
                Seen::Done(())
            } else {
                Seen::NotYet(describe_pods(&pods))
            })
        },
    )
    .await
}
