//! What a deletion keeps and what it deletes.

use std::time::Duration;

use hello_e2e::cluster::wait;
use hello_e2e::service::greeting;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, ensure, scenario};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::expect_greeting;

const GONE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn retained_data_is_served_again_and_deleted_data_is_gone() -> Result<()> {
    scenario::run("deletion", async |s| {
        let born = greeting::born_in(100);
        let hello = Hello::apply(s, "hello", json!({"replicas": 1})).await?;
        hello.serving().await?;
        hello.http().await?.must_put("alice", born).await?;
        let claim: PersistentVolumeClaim = hello.child("data-hello-db-0").await?;

        hello.delete().await?;
        wait::gone(&s.api::<Deployment>(), "hello", GONE).await?;
        wait::gone(&s.api::<StatefulSet>(), "hello-db", GONE).await?;
        let kept: PersistentVolumeClaim = hello.child("data-hello-db-0").await?;
        ensure!(kept.uid() == claim.uid(), "the volume claim is another one");
        ensure!(
            kept.metadata.deletion_timestamp.is_none(),
            "the volume claim is being deleted"
        );
        hello.child::<Secret>("hello-credentials").await?;
        s.progress("deleted under Retain: the volume and the credentials are still there");

        let again = Hello::apply(s, "hello", json!({"replicas": 1})).await?;
        again.serving().await?;
        expect_greeting(&again.http().await?, "alice", born).await?;
        s.progress("created again: the same data");

        again.change(json!({"deletionPolicy": "Delete"})).await?;
        again.ready(READY_LIMIT).await?;
        let claim: PersistentVolumeClaim = again.child("data-hello-db-0").await?;
        let volume = claim
            .spec
            .and_then(|spec| spec.volume_name)
            .context("the claim has no volume")?;
        again.delete().await?;
        wait::gone(&s.api::<PersistentVolumeClaim>(), "data-hello-db-0", GONE).await?;
        wait::gone(&s.api::<Secret>(), "hello-credentials", GONE).await?;
        let volumes: Api<PersistentVolume> = Api::all(s.cluster.client.clone());
        wait::gone(&volumes, &volume, GONE).await?;
        s.progress("deleted under Delete: the volume and the credentials are gone");

        let fresh = Hello::apply(s, "hello", json!({"replicas": 1})).await?;
        fresh.serving().await?;
        let answer = fresh.http().await?.get("alice").await?;
        ensure!(
            answer.status.as_u16() == 404,
            "a new service knows alice: {answer:?}"
        );
        Ok(())
    })
    .await
}

/// How long a last backup may take that a Job tries up to three times.
const LAST_BACKUP: Duration = Duration::from_secs(180);

#[tokio::test]
async fn data_goes_after_a_last_backup_and_a_new_service_starts_with_it() -> Result<()> {
    scenario::run("snapshot", async |s| {
        let born = greeting::born_in(100);
        let spec = json!({"replicas": 2, "deletionPolicy": "Snapshot", "backup": {"schedule": "0 2 * * *"}});
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        hello.http().await?.must_put("alice", born).await?;
        let claim: PersistentVolumeClaim = hello.child("data-hello-db-0").await?;

        // The role cannot log in: nothing is deleted, and the status says why.
        psql(s, &hello, "ALTER ROLE hello_backup NOLOGIN").await?;
        hello.api().delete("hello", &DeleteParams::default()).await?;
        hello
            .condition("Ready", LAST_BACKUP, |condition| {
                condition.reason == "SnapshotFailed" && condition.message.contains("Privileges")
            })
            .await?;
        ensure!(hello.pods("app").await?.is_empty(), "the application runs");
        let kept: PersistentVolumeClaim = hello.child("data-hello-db-0").await?;
        ensure!(
            kept.uid() == claim.uid() && kept.metadata.deletion_timestamp.is_none(),
            "the volume claim is not what it was"
        );
        s.progress("a failed last backup keeps everything");

        psql(s, &hello, "ALTER ROLE hello_backup LOGIN").await?;
        let annotations = json!({"hello.internal/backup-requested-at": "now"});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let parameters = PatchParams::default();
        hello.api().patch("hello", &parameters, &patch).await?;
        wait::gone(&hello.api(), "hello", LAST_BACKUP).await?;
        wait::gone(&s.api::<PersistentVolumeClaim>(), "data-hello-db-0", GONE).await?;
        wait::gone(&s.api::<Secret>(), "hello-credentials", GONE).await?;
        let backups: PersistentVolumeClaim = hello.child("hello-backup").await?;
        ensure!(
            backups.metadata.deletion_timestamp.is_none(),
            "the claim of the backups is being deleted"
        );
        s.progress("deleted after a last backup: the backups are still there");

        let source = json!({"backup": "latest", "destination": {"volume": {"claimName": "hello-backup"}}});
        let managed = json!({"bootstrap": {"fromBackup": source}});
        let clone = json!({"replicas": 1, "database": {"managed": managed}});
        let clone = Hello::apply(s, "clone", clone).await?;
        clone.serving().await?;
        expect_greeting(&clone.http().await?, "alice", born).await
    })
    .await
}
