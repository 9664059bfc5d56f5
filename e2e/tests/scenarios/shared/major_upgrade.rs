//! From PostgreSQL 16 to 18 by a backup, in place and by a second service, as the documentation describes it, and back.

use std::time::{Duration, Instant};

use hello_crds::{HelloRestore, HelloRestoreStatus, HelloService, RestorePhase};
use hello_e2e::cluster::wait::{Seen, poll, watch};
use hello_e2e::scenario::jobs::{job_end, job_from, job_log};
use hello_e2e::service::greeting;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, Scenario, ensure, scenario};
use jiff::civil::Date;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::expect_greeting;

const LIMIT: Duration = Duration::from_secs(180);
const NEW: &str = "postgres:18";

#[tokio::test]
async fn a_service_of_16_goes_on_with_18_and_comes_back() -> Result<()> {
    scenario::run("major_upgrade", async |s| {
        let image = std::env::var("HELLO_OLD_POSTGRES_IMAGE")
            .context("HELLO_OLD_POSTGRES_IMAGE is not set; run the scenarios by e2e/run")?;
        in_place(s, &image).await?;

        let backup = json!({"schedule": "0 2 * * *", "image": NEW});
        let spec = json!({"replicas": 1, "backup": backup,
            "database": {"managed": {"image": image}}});
        let old = Hello::apply(s, "old", spec).await?;
        old.serving().await?;
        runs(s, &old, "16").await?;
        let (kept, later) = (greeting::born_in(5), greeting::born_in(7));
        old.http().await?.must_put("alice", kept).await?;

        the_image_alone_is_refused(&old, &image).await?;
        has(&old, "alice", kept).await?;
        back_up(s, "old", "rehearsal").await?;

        stop(&old).await?;
        back_up(s, "old", "last").await?;
        let began = Instant::now();
        let new = start_from(s, "old-backup").await?;
        s.figure(format!(
            "18 serves after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        runs(s, &new, "18").await?;
        has(&new, "alice", kept).await?;

        new.http().await?.must_put("bob", later).await?;
        old.change(json!({"replicas": 1})).await?;
        old.serving().await?;
        runs(s, &old, "16").await?;
        has(&old, "alice", kept).await?;
        bring_back(s, &old, "new").await?;
        has(&old, "bob", later).await
    })
    .await
}

/// By one field, and back by it: what was written before is there after, and what is not there any more was accepted.
async fn in_place(s: &Scenario, former: &str) -> Result<()> {
    let with = |image: &str, version: Option<&str>| {
        let managed = json!({"image": image, "dataVersion": version});
        json!({"database": {"managed": managed}})
    };
    let mut spec = with(former, None);
    (spec["replicas"], spec["backup"]) = (1.into(), json!({"schedule": "0 2 * * *"}));
    // The policy under which a claim goes with its server.
    spec["deletionPolicy"] = "Delete".into();
    let hello = Hello::apply(s, "place", spec).await?;
    hello.serving().await?;
    runs(s, &hello, "16").await?;
    let (kept, later) = (greeting::born_in(5), greeting::born_in(7));
    hello.http().await?.must_put("alice", kept).await?;

    let began = Instant::now();
    hello.change(with(NEW, Some("18"))).await?;
    hello.serving().await?;
    s.figure(format!(
        "18 serves in place after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    runs(s, &hello, "18").await?;
    has(&hello, "alice", kept).await?;
    hello.http().await?.must_put("bob", later).await?;

    hello.change(with(former, None)).await?;
    let blocked = hello
        .condition("Ready", LIMIT, |condition| {
            condition.reason == "UpgradeBlocked"
        })
        .await?;
    runs(s, &hello, "18").await?;
    has(&hello, "bob", later).await?;
    let status = blocked.status.context("no status")?;
    let mut messages = status.conditions.iter().map(|condition| &condition.message);
    let consent =
        messages.find_map(|message| message.split_once("hello.internal/accept-new-data="));
    let (_, value) = consent.context("the message names no consent")?;
    let annotations = json!({"hello.internal/accept-new-data": value});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    let services: Api<HelloService> = s.api();
    services
        .patch("place", &PatchParams::default(), &patch)
        .await?;
    hello
        .condition("DatabaseReady", LIMIT, |condition| {
            condition.status == "False"
        })
        .await?;
    hello.serving().await?;
    runs(s, &hello, "16").await?;
    has(&hello, "alice", kept).await?;
    let claims: Api<PersistentVolumeClaim> = s.api();
    for name in ["data-place-db-0", "data-18-place-db-0"] {
        let claim = claims.get(name).await?;
        ensure!(claim.metadata.deletion_timestamp.is_none(), "{name}");
    }
    Ok(())
}

/// The files cannot be read by the other version: that is named, and the server keeps its image.
async fn the_image_alone_is_refused(hello: &Hello, former: &str) -> Result<()> {
    let with = |image: &str| json!({"database": {"managed": {"image": image}}});
    hello.change(with(NEW)).await?;
    hello
        .condition("Ready", LIMIT, |condition| {
            condition.reason == "UpgradeBlocked" && condition.message.contains("keeps its image")
        })
        .await?;
    hello.change(with(former)).await?;
    hello.serving().await?;
    Ok(())
}

/// The server's major version.
async fn runs(s: &Scenario, hello: &Hello, version: &str) -> Result<()> {
    let found = psql(s, hello, "SHOW server_version").await?;
    ensure!(found.starts_with(version), "the server is of {found}");
    Ok(())
}

async fn has(hello: &Hello, user: &str, born: Date) -> Result<()> {
    expect_greeting(&hello.http().await?, user, born).await
}

async fn back_up(s: &Scenario, service: &str, name: &str) -> Result<()> {
    let job = format!("{service}-{name}");
    job_from(s, &format!("{service}-backup"), &job).await?;
    let (_, succeeded) = job_end(s, &job, LIMIT).await?;
    ensure!(succeeded, "the backup failed:\n{}", job_log(s, &job).await?);
    Ok(())
}

/// No pod of the application is left to write.
async fn stop(hello: &Hello) -> Result<()> {
    hello.change(json!({"replicas": 0})).await?;
    poll("the application to stop", LIMIT, async || {
        let pods = hello.pods("app").await?;
        Ok(match pods.is_empty() {
            true => Seen::Done(()),
            false => Seen::NotYet(format!("{} pods", pods.len())),
        })
    })
    .await
}

/// A new service of the new version, with the backups of the old one.
async fn start_from(s: &Scenario, claim: &str) -> Result<Hello> {
    let source = json!({"backup": "latest", "destination": {"volume": {"claimName": claim}}});
    let managed = json!({"image": NEW, "bootstrap": {"fromBackup": source}});
    let spec = json!({"replicas": 1, "backup": {"schedule": "0 2 * * *"},
        "database": {"managed": managed}});
    let new = Hello::apply(s, "new", spec).await?;
    new.serving().await?;
    Ok(new)
}

/// What was written to the new service comes back to the old one, from a backup of the new version.
async fn bring_back(s: &Scenario, old: &Hello, new: &str) -> Result<()> {
    back_up(s, new, "way-back").await?;
    let claim = format!("{new}-backup");
    let source = json!({"backup": "latest", "destination": {"volume": {"claimName": claim}}});
    let restores: Api<HelloRestore> = s.api();
    let done = order(&restores, &old.name, source).await?;
    let loss = done.loss.context("no loss is counted")?;
    ensure!(
        (loss.added, loss.changed, loss.removed) == (0, 0, 1),
        "{loss:?}"
    );
    old.serving().await?;
    Ok(())
}

async fn order(
    restores: &Api<HelloRestore>,
    service: &str,
    source: Value,
) -> Result<HelloRestoreStatus> {
    let body = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": "way-back"},
        "spec": {"service": {"name": service}, "source": source}});
    let (parameters, patch) = (PatchParams::apply("e2e").force(), Patch::Apply(body));
    restores.patch("way-back", &parameters, &patch).await?;
    watch(
        restores,
        "way-back",
        "the restore to complete",
        LIMIT,
        |restore| {
            let status = restore.and_then(|restore| restore.status);
            match status {
                Some(status) if status.phase == Some(RestorePhase::Completed) => Seen::Done(status),
                status => Seen::not_yet(status),
            }
        },
    )
    .await
}
