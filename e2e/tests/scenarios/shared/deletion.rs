//! What a deletion keeps and what it deletes.

use std::time::Duration;

use hello_e2e::cluster::wait;
use hello_e2e::service::greeting;
use hello_e2e::service::hello::READY_LIMIT;
use hello_e2e::{Context, Hello, Result, ensure, scenario};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret};
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
