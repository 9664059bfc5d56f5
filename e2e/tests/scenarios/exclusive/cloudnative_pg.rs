//! A database by CloudNativePG: requested before CloudNativePG is installed, its primary killed under load, kept and
//! deleted with the service. CloudNativePG is installed in the middle and removed at the end: nothing else needs it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hello_e2e::cluster::command;
use hello_e2e::cluster::pods::node_of;
use hello_e2e::cluster::wait::{self, poll};
use hello_e2e::load::{Kind, Load, Report};
use hello_e2e::service::greeting;
use hello_e2e::service::hello::{READY_LIMIT, describe};
use hello_e2e::{Cluster, Context, Hello, Result, Scenario, Seen, ensure, scenario};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::{addon, expect_greeting};

const NAME: &str = "cloudnative_pg";
/// Longest time until a missing API is reported: it is checked every few seconds.
const REPORTED: Duration = Duration::from_secs(10);
/// How long requests may fail or be held when the primary is lost.
const FAILOVER: Duration = Duration::from_secs(8);
const TAINT: &str = "node-role.kubernetes.io/control-plane";

#[tokio::test]
async fn the_primary_of_cloudnative_pg_is_lost_and_no_write_with_it() -> Result<()> {
    if Cluster::connect().await?.is_existing() {
        return scenario::skip(NAME, "its owner decides whether CloudNativePG runs there");
    }
    scenario::run(NAME, async |s| {
        use_all_zones(s).await?;
        let hello = wanted_too_early(s).await?;
        install(s).await?;
        let installed = Instant::now();
        hello.serving().await?;
        let ready = installed.elapsed();
        whole(&hello).await?;
        s.figure(format!(
            "Ready {:.1} s after CloudNativePG was installed, with three servers after {:.1} s",
            ready.as_secs_f64(),
            installed.elapsed().as_secs_f64()
        ));
        spread_and_synchronous(s, &hello).await?;
        primary_lost(s, &hello).await?;
        kept_and_deleted(s, &hello).await
    })
    .await
}

/// Allows ordinary pods on the control plane, which is the third zone.
async fn use_all_zones(s: &Scenario) -> Result<()> {
    let node = s.cluster.control_plane().await?;
    let back = [node.clone(), format!("{TAINT}=:NoSchedule")];
    s.defer("keep pods off the control plane again", async move {
        command::kubectl(&["taint", "nodes", "--overwrite", &back[0], &back[1]]).await?;
        Ok(())
    });
    command::kubectl(&["taint", "nodes", &node, &format!("{TAINT}:NoSchedule-")]).await?;
    Ok(())
}

fn spec() -> serde_json::Value {
    let mut cnpg = json!({"instances": 3});
    // Set on machines that cannot pull its own image.
    if let Ok(image) = std::env::var("HELLO_CNPG_IMAGE") {
        cnpg["image"] = image.into();
    }
    json!({"replicas": 2, "database": {"cloudNativePG": cnpg}})
}

/// The service on a cluster without CloudNativePG: it reports what is missing.
async fn wanted_too_early(s: &Scenario) -> Result<Hello> {
    let crds: Api<CustomResourceDefinition> = Api::all(s.cluster.client.clone());
    ensure!(
        crds.get_opt("clusters.postgresql.cnpg.io").await?.is_none(),
        "CloudNativePG is installed already: `e2e/addons/cloudnative-pg/addon remove` removes it"
    );
    let applied = Instant::now();
    let hello = Hello::apply(s, "hello", spec()).await?;
    let object = hello
        .condition("Ready", REPORTED, |ready| {
            ready.status == "False"
                && ready.reason == "ApiMissing"
                && ready.message.contains("CloudNativePG")
        })
        .await?;
    s.figure(format!(
        "missing CloudNativePG reported after {:.1} s",
        applied.elapsed().as_secs_f64()
    ));
    s.progress(&describe(&object));
    Ok(hello)
}

async fn install(s: &Scenario) -> Result<()> {
    s.defer("remove CloudNativePG", async {
        addon(NAME, "remove").await
    });
    let began = Instant::now();
    addon(NAME, "install").await?;
    s.progress(&format!(
        "CloudNativePG installed in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Three servers in three zones, and a write needs two of them.
async fn spread_and_synchronous(s: &Scenario, hello: &Hello) -> Result<()> {
    let servers = servers(s).await?;
    let nodes: Api<Node> = Api::all(s.cluster.client.clone());
    let mut zones = BTreeSet::new();
    for server in &servers {
        let node = nodes.get(&node_of(server)).await?;
        zones.extend(node.labels().get("topology.kubernetes.io/zone").cloned());
    }
    ensure!(
        servers.len() == 3 && zones.len() == 3,
        "{} servers in the zones {zones:?}",
        servers.len()
    );
    let primary = primary(hello).await?;
    let names = sql(s, &primary, "SHOW synchronous_standby_names").await?;
    ensure!(
        names.starts_with("ANY 1 ("),
        "writes wait for {names:?} and not for any one replica"
    );
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl NATURAL JOIN pg_stat_activity WHERE usename = 'hello_app'";
    ensure!(
        sql(s, &primary, encrypted).await? == "t",
        "the app has no connection, or one in clear text"
    );
    s.progress(&format!("{primary} leads, {names}"));
    Ok(())
}

/// The primary's pod deleted without any grace, under load.
async fn primary_lost(s: &Scenario, hello: &Hello) -> Result<()> {
    let lives = app_lives(hello).await?;
    let lost = primary(hello).await?;
    let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
    load.answered(100).await?;

    let began = Instant::now();
    s.api::<Pod>()
        .delete(&lost, &DeleteParams::default().grace_period(0))
        .await?;
    let object = hello
        .condition("DatabaseReady", FAILOVER, |database| {
            database.status == "False"
        })
        .await?;
    let reported = began.elapsed();
    s.progress(&describe(&object));
    hello
        .condition("DatabaseReady", READY_LIMIT, |database| {
            database.status == "True"
        })
        .await?;
    let back = began.elapsed();
    load.answered(1000).await?;
    whole(hello).await?;
    let whole = began.elapsed();
    let report = load.stop().await?;

    let leads = primary(hello).await?;
    let silence = report.silence(Kind::Write);
    s.figure(format!(
        "{lost} lost, {leads} leads: DatabaseReady False after {:.1} s, True after {:.1} s, three servers after {:.1} s",
        reported.as_secs_f64(),
        back.as_secs_f64(),
        whole.as_secs_f64()
    ));
    s.figure(format!(
        "{:.1} s without an acknowledged write; {}",
        silence.as_secs_f64(),
        report.summary()
    ));
    report.ensure_nothing_lost()?;
    ensure!(leads != lost, "{lost} still leads");
    ensure_short(&report)?;
    ensure!(
        app_lives(hello).await? == lives,
        "the app's pods were replaced or restarted"
    );
    Ok(())
}

/// Asserts that no request took longer than a failover may take.
fn ensure_short(report: &Report) -> Result<()> {
    for (what, time) in [
        (
            "without an acknowledged write",
            Some(report.silence(Kind::Write)),
        ),
        ("of failed writes", report.outage(Kind::Write)),
        ("of failed reads", report.outage(Kind::Read)),
        ("that a request was held", Some(report.slowest())),
    ] {
        ensure!(
            time.is_some_and(|time| time <= FAILOVER),
            "{time:?} {what}, more than {FAILOVER:?}:\n{}",
            report.failures()
        );
    }
    Ok(())
}

/// `Retain` keeps the database for the next service of that name, `Delete` deletes it.
async fn kept_and_deleted(s: &Scenario, hello: &Hello) -> Result<()> {
    let born = greeting::born_in(100);
    hello.http().await?.must_put("alice", born).await?;
    let before = cluster(s).get("hello-db").await?;
    hello.delete().await?;
    wait::gone(&s.api::<Deployment>(), "hello", READY_LIMIT).await?;
    let kept = cluster(s).get("hello-db").await?;
    ensure!(
        kept.uid() == before.uid()
            && kept.metadata.deletion_timestamp.is_none()
            && kept.owner_references().is_empty(),
        "the Cluster was not kept: {:?}",
        kept.metadata
    );
    s.progress("deleted under Retain: the Cluster is still there");

    let again = Hello::apply(s, "hello", spec()).await?;
    again.serving().await?;
    expect_greeting(&again.http().await?, "alice", born).await?;
    s.progress("created again: the same data");

    again.change(json!({"deletionPolicy": "Delete"})).await?;
    again.ready(READY_LIMIT).await?;
    again.delete().await?;
    wait::gone(&cluster(s), "hello-db", READY_LIMIT).await?;
    s.progress("deleted under Delete: the Cluster is gone");
    Ok(())
}

fn cluster(s: &Scenario) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(s.cluster.client.clone(), &s.namespace, &resource)
}

async fn servers(s: &Scenario) -> Result<Vec<Pod>> {
    let of_cluster =
        ListParams::default().labels("cnpg.io/cluster=hello-db,cnpg.io/podRole=instance");
    Ok(s.api::<Pod>().list(&of_cluster).await?.items)
}

/// The primary in the service's status.
async fn primary(hello: &Hello) -> Result<String> {
    let database = hello.get().await?.status.and_then(|status| status.database);
    database
        .and_then(|database| database.primary)
        .context("status.database names no primary")
}

/// Waits until the service reports all three servers again.
async fn whole(hello: &Hello) -> Result<()> {
    poll("three servers", READY_LIMIT, async || {
        let object = hello.get().await?;
        let database = object
            .status
            .as_ref()
            .and_then(|status| status.database.as_ref());
        let ready = database.and_then(|database| database.ready_instances);
        Ok(match ready {
            Some(3) => Seen::Done(()),
            _ => Seen::NotYet(describe(&object)),
        })
    })
    .await?;
    hello.ready(READY_LIMIT).await.map(drop)
}

/// Runs SQL as the superuser in a server's pod.
async fn sql(s: &Scenario, pod: &str, statement: &str) -> Result<String> {
    let psql = ["--", "psql", "--no-psqlrc", "-Atqc", statement];
    let exec = [
        "--namespace",
        &s.namespace,
        "exec",
        "--container",
        "postgres",
        pod,
    ];
    let rows = command::kubectl(&[&exec[..], &psql].concat()).await?;
    Ok(rows.trim_end().to_owned())
}

/// Identities of the app's pods and containers: they change when a pod is replaced or a container restarts.
async fn app_lives(hello: &Hello) -> Result<BTreeSet<(Option<String>, i32)>> {
    let pods = hello.pods("app").await?;
    let lives = pods.iter().map(|pod| {
        let status = pod.status.as_ref();
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let restarts = containers
            .into_iter()
            .flatten()
            .map(|status| status.restart_count);
        (pod.uid(), restarts.sum())
    });
    Ok(lives.collect())
}
