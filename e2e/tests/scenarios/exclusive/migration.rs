//! A migration that fails.

use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::runs_image;
use hello_e2e::cluster::wait::poll;
use hello_e2e::load::Load;
use hello_e2e::service::hello::{READY_LIMIT, conditions};
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, Scenario, Seen, ensure, scenario};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use serde_json::json;

use crate::next_image;

/// Changes the schema's history by hand: the next migration finds a checksum that differs from its own.
const TAMPER: &str = "create schema e2e; \
    create table e2e.kept as select version, checksum from _sqlx_migrations; \
    update _sqlx_migrations set checksum = decode('00', 'hex');";
/// The end of the failed migration's log.
const CAUSE: &str = "was changed after it was applied";
const REPAIR: &str = "update _sqlx_migrations m set checksum = k.checksum from e2e.kept k where k.version = m.version; \
    drop schema e2e cascade;";

#[tokio::test]
async fn a_failing_migration_leaves_the_old_version_serving() -> Result<()> {
    scenario::run("failing_migration", async |s| {
        let next = next_image()?;
        let hello = Hello::apply(s, "hello", json!({"replicas": 2})).await?;
        hello.serving().await?;
        let object = hello.get().await?;
        let old = object
            .status
            .and_then(|status| status.image)
            .context("no status.image")?;
        let load = Load::start(&hello.url().await?, 4, Duration::from_millis(20));

        psql(s, &hello, TAMPER).await?;
        let began = Instant::now();
        hello.change(json!({"image": next})).await?;
        hello
            .condition("Migrated", Duration::from_secs(30), |migrated| {
                migrated.status == "False" && migrated.message.contains(CAUSE)
            })
            .await?;
        let reported = began.elapsed().as_secs_f64();
        let object = hello
            .condition("Migrated", Duration::from_secs(90), |migrated| {
                migrated.status == "False" && migrated.reason == "MigrationFailed"
            })
            .await?;
        let migrated = conditions(&object)
            .iter()
            .find(|condition| condition.type_ == "Migrated");
        let message = migrated
            .map(|condition| condition.message.clone())
            .unwrap_or_default();
        let given_up = began.elapsed().as_secs_f64();
        s.figure(format!(
            "cause reported after {reported:.1} s, given up after {given_up:.1} s: {message}"
        ));
        ensure!(
            message.contains(CAUSE),
            "the message does not have the log's end: {message}"
        );

        let failed = only_job(&hello).await?;
        stays_failed(s, &hello, &failed, &next).await?;
        s.progress("no further Job, no pod of the new image");

        psql(s, &hello, REPAIR).await?;
        hello.change(json!({"image": old})).await?;
        hello.ready(READY_LIMIT).await?;
        s.progress("the old image again: Ready");
        hello.change(json!({"image": next})).await?;
        hello.ready(READY_LIMIT).await?;
        s.progress("the new image on the repaired schema: rolled out");
        let report = load.stop().await?;
        s.figure(format!("during the whole change: {}", report.summary()));
        report.ensure_none_failed()
    })
    .await
}

/// For 15 s nothing is retried, nothing is rolled out, and the old pods serve.
async fn stays_failed(s: &Scenario, hello: &Hello, failed: &Job, next: &str) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(15);
    poll(
        "15 s without a retry",
        Duration::from_secs(30),
        async || {
            let now = only_job(hello).await?;
            ensure!(
                now.uid() == failed.uid(),
                "another migration Job was created"
            );
            let tries = |job: &Job| job.status.as_ref().and_then(|status| status.failed);
            ensure!(tries(&now) == tries(failed), "the migration was retried");
            let app = hello.pods("app").await?;
            ensure!(
                !app.iter().any(|pod| runs_image(pod, next)),
                "a pod of the new image was created"
            );
            Ok(if Instant::now() >= until {
                Seen::Done(())
            } else {
                Seen::NotYet("all quiet".to_owned())
            })
        },
    )
    .await?;
    let ready = hello.get().await?;
    let available = ready.status.and_then(|status| status.ready_replicas);
    ensure!(
        available == Some(2),
        "{} ready pods in {}",
        available.unwrap_or(0),
        s.namespace
    );
    Ok(())
}

async fn only_job(hello: &Hello) -> Result<Job> {
    let mut jobs = hello.migrations().await?;
    ensure!(jobs.len() == 1, "{} migration Jobs", jobs.len());
    jobs.pop().context("no migration Job")
}
