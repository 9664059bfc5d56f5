//! The rollout of a new version.

use std::time::{Duration, Instant};

use hello_e2e::cluster::pods::runs_image;
use hello_e2e::load::Load;
use hello_e2e::scenario::jobs::ended;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Context, Hello, Result, ensure, scenario};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::json;

use crate::next_image;

#[tokio::test]
async fn a_new_image_migrates_first_and_loses_no_request() -> Result<()> {
    scenario::run("rollout", async |s| {
        let next = next_image()?;
        let hello = Hello::apply(s, "hello", json!({"replicas": 2})).await?;
        hello.serving().await?;
        let first = hello.migrations().await?;
        ensure!(
            first.len() == 1,
            "a fresh service has run {} migrations",
            first.len()
        );

        let load = Load::start(&hello.url().await?, 4, Duration::from_millis(10));
        let began = Instant::now();
        hello.change(json!({"image": next})).await?;
        let object = hello.ready(READY_LIMIT).await?;
        s.figure(format!(
            "new image rolled out in {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        let report = load.stop().await?;
        s.figure(format!("while rolling: {}", report.summary()));
        report.ensure_none_failed()?;

        let shown = object.status.and_then(|status| status.image);
        ensure!(shown.as_deref() == Some(&next), "status.image is {shown:?}");
        let jobs = hello.migrations().await?;
        let mine: Vec<_> = jobs
            .iter()
            .filter(|job| !first.iter().any(|old| old.uid() == job.uid()))
            .collect();
        ensure!(
            mine.len() == 1,
            "{} migrations ran for one new image",
            mine.len()
        );
        let job = mine
            .first()
            .filter(|job| ended(job) == Some(true))
            .context("the migration has not completed")?;
        let migrations = hello.pods("migration").await?;
        let migrated = end_of(job, &migrations).context("no pod of the migration has succeeded")?;
        let pods = hello.pods("app").await?;
        let new: Vec<&Pod> = pods.iter().filter(|pod| runs_image(pod, &next)).collect();
        ensure!(new.len() == 2, "{} pods run the new image", new.len());
        for pod in new {
            let created = pod
                .creation_timestamp()
                .context("a pod without a creation time")?;
            ensure!(
                created >= migrated,
                "{} was created at {created:?}, migrated at {migrated:?}",
                pod.name_any()
            );
        }
        Ok(())
    })
    .await
}

/// When the Job's pod ended with success. A rollout begins then; the Job reports it later.
fn end_of(job: &Job, pods: &[Pod]) -> Option<Time> {
    let is_owned = |pod: &&Pod| {
        let owners = pod.owner_references().iter();
        owners
            .map(|owner| &owner.uid)
            .any(|uid| Some(uid) == job.uid().as_ref())
    };
    pods.iter().filter(is_owned).find_map(succeeded)
}

/// When the program of a pod ended with success.
fn succeeded(pod: &Pod) -> Option<Time> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let end = statuses.first()?.state.as_ref()?.terminated.as_ref()?;
    end.finished_at.clone().filter(|_| end.exit_code == 0)
}
