//! Allowed connections on a network that enforces policies: every documented edge works, and nothing else does.
//! Where the local cluster's own network enforces none, a controller for them is installed and removed at the end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::{address, node_of, ready_pods};
use hello_e2e::scenario::jobs::{job_end, job_from};
use hello_e2e::scenario::visitor::{Visitor, start_app};
use hello_e2e::service::greeting;
use hello_e2e::{Context, Hello, Result, Scenario, ensure, scenario};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::{addon, expect_greeting};

const NAME: &str = "network_policy";
const DATABASE: u16 = 5432;
const HTTP: u16 = 8080;
const ADMIN: u16 = 9090;
/// The namespace whose pods may read the app's metrics.
const MONITORING: &str = "monitoring";

#[tokio::test]
async fn a_stray_pod_is_refused_and_every_edge_that_exists_passes() -> Result<()> {
    scenario::run(NAME, async |s| {
        let local = !s.cluster.is_existing();
        if local {
            install(s).await?;
        }
        let hello = served_and_backed_up(s).await?;
        let parts = Parts::from_service(s, &hello).await?;
        if !policies_are_enforced(s, &parts).await? {
            ensure!(!local, "the controller of policies refuses nothing");
            s.figure("NOT SHOWN: this cluster's network enforces no policies".to_owned());
            return Ok(());
        }
        strays(s, &parts).await?;
        ways_out(s, &parts).await?;
        monitoring(s, &parts).await?;
        only_by_the_policies(s, &hello, &parts).await
    })
    .await
}

async fn install(s: &Scenario) -> Result<()> {
    s.defer("remove the controller of policies", async {
        addon(NAME, "remove").await
    });
    addon(NAME, "install").await
}

/// A whole service under policies: database, migration, app, requests from outside, backup.
async fn served_and_backed_up(s: &Scenario) -> Result<Hello> {
    let applied = Instant::now();
    let spec = json!({"replicas": 2, "backup": {"schedule": "0 2 * * *"}});
    let hello = Hello::apply(s, "hello", spec).await?;
    hello.serving().await?;
    s.figure(format!(
        "under policies apply to Ready takes {:.1} s",
        applied.elapsed().as_secs_f64()
    ));
    let http = hello.http().await?;
    let born = greeting::born_in(5);
    http.must_put("alice", born).await?;
    expect_greeting(&http, "alice", born).await?;
    job_from(s, "hello-backup", "by-hand").await?;
    let (job, succeeded) = job_end(s, "by-hand", Duration::from_secs(90)).await?;
    ensure!(succeeded, "the backup failed: {:?}", job.status);
    Ok(hello)
}

/// Addresses of the service's components, and the images of the pods that try to reach them.
struct Parts {
    app: String,
    database: String,
    database_pod: String,
    app_image: String,
    shell_image: String,
    /// Nodes to connect from: the database's own, where packets cross a bridge, and others, from which they are routed.
    nodes: BTreeSet<String>,
}

impl Parts {
    async fn from_service(s: &Scenario, hello: &Hello) -> Result<Self> {
        let apps = hello.pods("app").await?;
        let app = *ready_pods(&apps).first().context("no app is ready")?;
        let database: Pod = hello.child(&hello.database_pod()).await?;
        let workers = s.cluster.workers().await?;
        let mut nodes = BTreeSet::from([node_of(&database)]);
        nodes.extend(
            workers
                .into_iter()
                .filter_map(|node| node.metadata.name)
                .take(2),
        );
        let image = app
            .spec
            .as_ref()
            .and_then(|spec| spec.containers.first()?.image.clone());
        Ok(Self {
            app: address(app).context("the app has no address")?,
            database: address(&database).context("the database has no address")?,
            database_pod: hello.database_pod(),
            app_image: image.context("the app has no image")?,
            shell_image: hello.postgres_image().await?,
            nodes,
        })
    }
}

/// Whether the network enforces policies at all: an unrelated pod is reachable at first, and not after a policy forbids
/// it.
async fn policies_are_enforced(s: &Scenario, parts: &Parts) -> Result<bool> {
    let labels = json!({"role": "control"});
    let control = start_app(s, "control", &parts.app_image, labels.clone()).await?;
    let visitor = stray(s, "control-visitor", parts, None).await?;
    visitor.must_reach(&control, HTTP).await?;
    let policy = json!({
        "metadata": {"name": "control"},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"]},
    });
    let policies: Api<NetworkPolicy> = s.api();
    policies
        .create(&PostParams::default(), &serde_json::from_value(policy)?)
        .await?;
    Ok(visitor
        .must_be_refused_eventually(&control, HTTP)
        .await
        .is_ok())
}

async fn stray<'a>(
    s: &'a Scenario,
    name: &str,
    parts: &Parts,
    node: Option<&str>,
) -> Result<Visitor<'a>> {
    Visitor::start(
        s,
        &s.namespace,
        name,
        &parts.shell_image,
        json!({"role": "stray"}),
        node,
    )
    .await
}

/// A pod of the same namespace reaches what is public, and neither the database nor the app's own port for metrics.
async fn strays(s: &Scenario, parts: &Parts) -> Result<()> {
    for (index, node) in parts.nodes.iter().enumerate() {
        let stray = stray(s, &format!("stray-{index}"), parts, Some(node)).await?;
        stray.must_be_refused(&parts.database, DATABASE).await?;
        stray.must_be_refused(&parts.app, ADMIN).await?;
        stray.must_reach(&parts.app, HTTP).await?;
    }
    s.figure(format!(
        "a stray pod on each of {} nodes: the database and the metrics refused, the API open",
        parts.nodes.len()
    ));
    Ok(())
}

/// What the service's own pods may reach: a migration only the database, the database nothing.
async fn ways_out(s: &Scenario, parts: &Parts) -> Result<()> {
    let labels = json!({
        "app.kubernetes.io/name": "hello",
        "app.kubernetes.io/instance": "hello",
        "app.kubernetes.io/component": "migration",
    });
    let image = &parts.shell_image;
    let migration = Visitor::start(s, &s.namespace, "as-a-migration", image, labels, None).await?;
    migration.must_reach(&parts.database, DATABASE).await?;
    migration
        .must_be_refused_eventually(&parts.app, HTTP)
        .await?;
    migration.must_reach(&parts.database, DATABASE).await?;
    let database = Visitor::in_pod(&s.namespace, &parts.database_pod);
    database.must_be_refused(&parts.app, HTTP).await?;
    s.progress("a migration reaches only the database, the database reaches nothing");
    Ok(())
}

/// Pods of the monitoring namespace can read the metrics, and cannot reach the database.
async fn monitoring(s: &Scenario, parts: &Parts) -> Result<()> {
    if s.cluster.is_existing() {
        s.progress(
            "the edge from monitoring is not tested: the namespace belongs to the cluster's owner",
        );
        return Ok(());
    }
    let namespaces: Api<Namespace> = Api::all(s.cluster.client.clone());
    let object = json!({"metadata": {"name": MONITORING, "labels": {scenario::LABEL: "true"}}});
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    s.defer("delete the namespace for monitoring", async move {
        namespaces
            .delete(MONITORING, &DeleteParams::default())
            .await?;
        Ok(())
    });
    let image = &parts.shell_image;
    let reader = Visitor::start(s, MONITORING, "reader", image, json!({}), None).await?;
    reader.must_reach(&parts.app, ADMIN).await?;
    reader.must_be_refused(&parts.database, DATABASE).await?;
    s.progress("monitoring reads the metrics and does not reach the database");
    Ok(())
}

/// Without the service's policies a stray pod reaches the database: nothing else had refused it.
async fn only_by_the_policies(s: &Scenario, hello: &Hello, parts: &Parts) -> Result<()> {
    hello
        .change(json!({"networkPolicy": {"enabled": false}}))
        .await?;
    let stray = stray(s, "stray-at-last", parts, None).await?;
    stray.must_reach(&parts.database, DATABASE).await?;
    s.progress("without policies the stray pod gets in");
    Ok(())
}
