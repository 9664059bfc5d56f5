//! An external database server: a Secret names it, and migration, API and backups use it over TLS.
//!
//! The server of another service plays its part: a role and a database of its own there, and a private authority.

use std::time::Duration;

use hello_e2e::scenario::jobs::{job_end, job_from};
use hello_e2e::service::greeting;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, Scenario, ensure, scenario};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::expect_greeting;

#[tokio::test]
async fn an_external_server_is_migrated_used_and_backed_up() -> Result<()> {
    scenario::run("external", async |s| {
        let server = Hello::apply(s, "server", json!({"replicas": 1})).await?;
        server.serving().await?;
        let spec = json!({
            "replicas": 1,
            "database": {"external": {"secretRef": {"name": "elsewhere", "key": "uri", "caKey": "ca.crt"}}},
            "backup": {"schedule": "0 2 * * *"},
        });
        let hello = Hello::apply(s, "hello", spec).await?;
        hello
            .condition("Ready", Duration::from_secs(15), |ready| {
                ready.status == "False" && ready.message.contains("elsewhere")
            })
            .await?;
        prepare(s, &server).await?;
        hello.serving().await?;

        let http = hello.http().await?;
        let born = greeting::born_in(5);
        http.must_put("alice", born).await?;
        expect_greeting(&http, "alice", born).await?;
        let seen = "SELECT bool_and(ssl), count(*) > 0 FROM pg_stat_ssl NATURAL JOIN pg_stat_activity WHERE usename = 'outside'";
        let seen = psql(s, &server, seen).await?;
        ensure!(seen == "t|t", "sessions of the app, encrypted|any: {seen}");
        job_from(s, "hello-backup", "by-hand").await?;
        let (job, succeeded) = job_end(s, "by-hand", Duration::from_secs(90)).await?;
        ensure!(succeeded, "the backup failed: {:?}", job.status);

        nothing_of_a_server(s).await?;
        // The users of one service are not users of the other.
        ensure!(server.http().await?.get("alice").await?.status == 404, "alice is in the wrong database");
        Ok(())
    })
    .await
}

/// Acts as the owner of the server: creates a role, a database, and a Secret with its address.
async fn prepare(s: &Scenario, server: &Hello) -> Result<()> {
    psql(
        s,
        server,
        "CREATE ROLE outside LOGIN PASSWORD 'p@ss:word/1'",
    )
    .await?;
    psql(s, server, "CREATE DATABASE outside OWNER outside").await?;
    let certificates: Secret = server.child("server-db-tls").await?;
    let authority = certificates
        .data
        .and_then(|data| data.get("ca.crt").cloned())
        .context("the server has no authority")?;
    let secret = json!({
        "metadata": {"name": "elsewhere"},
        "data": {"ca.crt": authority},
        "stringData": {"uri": format!(
            "postgres://outside:p%40ss%3Aword%2F1@server-db.{}.svc:5432/outside?sslmode=verify-full", s.namespace)},
    });
    s.api::<Secret>()
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    Ok(())
}

/// Neither a server nor its volume was created for the service.
async fn nothing_of_a_server(s: &Scenario) -> Result<()> {
    let of =
        ListParams::default().labels("app.kubernetes.io/instance in (hello,hello__hello-operator)");
    let sets = s.api::<StatefulSet>().list(&of).await?.items;
    ensure!(
        sets.is_empty(),
        "{} StatefulSets for an external database",
        sets.len()
    );
    let claims = s.api::<PersistentVolumeClaim>().list(&of).await?.items;
    let names: Vec<_> = claims
        .iter()
        .filter_map(|claim| claim.metadata.name.as_deref())
        .collect();
    ensure!(names == ["hello-backup"], "volumes: {names:?}");
    Ok(())
}
