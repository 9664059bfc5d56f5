//! References to missing objects: reported within seconds, until the cause is removed.

use std::time::{Duration, Instant};

use hello_crds::HelloService;
use hello_e2e::load::Load;
use hello_e2e::service::hello::{READY_LIMIT, conditions};
use hello_e2e::{Context, Hello, Result, ensure, scenario};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

/// Longest time until the report, the kubelet's first attempts included.
const REPORTED: Duration = Duration::from_secs(30);
/// A reserved name, so that no network has it.
const MISSING: &str = "hello-app.invalid/none:0";

#[tokio::test]
async fn an_image_that_does_not_exist_is_named_and_the_old_version_serves() -> Result<()> {
    scenario::run("missing_image", async |s| {
        let hello = Hello::apply(s, "hello", json!({"replicas": 1})).await?;
        hello.serving().await?;
        let object = hello.get().await?;
        let good = object
            .status
            .and_then(|status| status.image)
            .context("no status.image")?;
        let load = Load::start(&hello.url().await?, 2, Duration::from_millis(50));

        let began = Instant::now();
        hello.change(json!({"image": MISSING})).await?;
        let object = hello.condition("Migrated", REPORTED, |migrated| {
            migrated.reason == "ImagePullFailed" && migrated.message.contains(MISSING)
        });
        let reported = message(&object.await?, "Migrated");
        s.figure(format!(
            "missing image reported after {:.1} s: {reported}",
            began.elapsed().as_secs_f64()
        ));

        hello.change(json!({"image": good})).await?;
        hello.ready(READY_LIMIT).await?;
        let report = load.stop().await?;
        s.figure(format!("during the whole change: {}", report.summary()));
        report.ensure_none_failed()
    })
    .await
}

/// The pod of the former setting never gets ready, so its controller would keep it.
#[tokio::test]
async fn a_setting_with_which_the_database_does_not_start_can_be_corrected() -> Result<()> {
    scenario::run("broken_setting", async |s| {
        let with = |parameters| json!({"database": {"managed": {"parameters": parameters}}});
        let hello = Hello::apply(s, "hello", json!({"replicas": 1})).await?;
        hello.serving().await?;
        hello
            .change(with(json!({"shared_buffers": "1 byte"})))
            .await?;
        let object = hello.condition("DatabaseReady", READY_LIMIT, |database| {
            database.status == "False" && database.message.contains("shared_buffers")
        });
        s.progress(&message(&object.await?, "DatabaseReady"));
        let corrected = Instant::now();
        hello.change(with(json!(null))).await?;
        hello.ready(Duration::from_secs(60)).await?;
        s.figure(format!(
            "Ready {:.1} s after the correction",
            corrected.elapsed().as_secs_f64()
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_storage_class_that_does_not_exist_is_named_and_awaited() -> Result<()> {
    scenario::run("missing_storage_class", async |s| {
        let class = format!("{}-late", s.namespace);
        let spec = json!({
            "replicas": 1,
            "database": {"managed": {"storage": {"size": "1Gi", "storageClassName": class}}},
        });
        let began = Instant::now();
        let hello = Hello::apply(s, "hello", spec).await?;
        // A volume may take half a minute, so nothing is wrong before that.
        let limit = REPORTED + Duration::from_secs(30);
        let object = hello.condition("DatabaseReady", limit, |database| {
            database.status == "False" && database.message.contains(&class)
        });
        let reported = message(&object.await?, "DatabaseReady");
        s.figure(format!(
            "missing storage class reported after {:.1} s: {reported}",
            began.elapsed().as_secs_f64()
        ));

        let classes: Api<StorageClass> = Api::all(s.cluster.client.clone());
        let copy = StorageClass {
            metadata: kube::api::ObjectMeta {
                name: Some(class.clone()),
                ..Default::default()
            },
            ..default_class(&classes).await?
        };
        classes.create(&PostParams::default(), &copy).await?;
        s.defer("delete the storage class", async move {
            classes.delete(&class, &DeleteParams::default()).await?;
            Ok(())
        });
        let created = Instant::now();
        hello.ready(READY_LIMIT).await?;
        s.figure(format!(
            "Ready {:.1} s after the class was created",
            created.elapsed().as_secs_f64()
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_that_only_the_operator_can_check_is_explained() -> Result<()> {
    scenario::run("unknown_time_zone", async |s| {
        let hello = Hello::apply(s, "hello", json!({"config": {"timeZone": "Mars/Base"}})).await?;
        let wanted = "spec.config.timeZone";
        let object = hello.condition("Ready", REPORTED, |ready| {
            ready.status == "False" && ready.message.contains(wanted)
        });
        s.progress(&message(&object.await?, "Ready"));
        hello
            .change(json!({"config": {"timeZone": "Europe/Berlin"}}))
            .await?;
        hello.ready(READY_LIMIT).await.map(drop)
    })
    .await
}

fn message(object: &HelloService, kind: &str) -> String {
    let found = conditions(object)
        .iter()
        .find(|condition| condition.type_ == kind);
    found
        .map(|condition| format!("{}: {}", condition.reason, condition.message))
        .unwrap_or_default()
}

async fn default_class(classes: &Api<StorageClass>) -> Result<StorageClass> {
    let all = classes.list(&ListParams::default()).await?.items;
    let default = all.into_iter().find(|class| {
        let annotations = class.metadata.annotations.as_ref();
        annotations
            .and_then(|annotations| annotations.get("storageclass.kubernetes.io/is-default-class"))
            .is_some_and(|value| value == "true")
    });
    let class = default.context("the cluster has no default storage class")?;
    ensure!(
        !class.provisioner.is_empty(),
        "the default storage class has no provisioner"
    );
    Ok(class)
}
