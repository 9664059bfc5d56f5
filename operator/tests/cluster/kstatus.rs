//! The state that generic tools compute for the resource, by the rules of kstatus.

use std::collections::BTreeMap;

use hello_crds::ConditionType;
use hello_operator::object::kind::Kind;
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    history::History,
    world::{Jobs, World, eventually},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KStatus {
    InProgress,
    Current,
    Failed,
    Terminating,
}

/// The rules for resources that kstatus does not know, in its order.
fn kstatus(object: &DynamicObject) -> KStatus {
    let status = &object.data["status"];
    let condition = |type_: &str| {
        let mut all = status["conditions"].as_array().into_iter().flatten();
        let found = all.find(|c| c["type"] == type_)?;
        Some(found["status"].as_str().unwrap() == "True")
    };
    if object.metadata.deletion_timestamp.is_some() {
        return KStatus::Terminating;
    }
    let observed = status["observedGeneration"].as_i64();
    if observed.is_some_and(|observed| Some(observed) != object.metadata.generation)
        || condition("Reconciling") == Some(true)
    {
        return KStatus::InProgress;
    }
    if condition("Stalled") == Some(true) {
        return KStatus::Failed;
    }
    match condition("Ready") {
        Some(false) => KStatus::InProgress,
        // Also without any condition.
        Some(true) | None => KStatus::Current,
    }
}

/// Asserts that each current version runs the image and the number of pods of its spec.
fn assert_truthful(versions: &[DynamicObject]) {
    for object in versions.iter().filter(|o| kstatus(o) == KStatus::Current) {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        assert_eq!(status["image"], spec["image"], "{object:?}");
        assert_eq!(status["readyReplicas"], spec["replicas"], "{object:?}");
    }
}

/// Asserts that there are versions, all in progress.
fn assert_in_progress(versions: &[DynamicObject]) {
    assert!(!versions.is_empty());
    assert!(
        versions.iter().all(|o| kstatus(o) == KStatus::InProgress),
        "{versions:?}"
    );
}

/// Types of the conditions, in their order.
fn condition_types(object: &DynamicObject) -> Vec<&str> {
    let conditions = object.data["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .map(|condition| condition["type"].as_str().unwrap())
        .collect()
}

/// Deletes the resource. No garbage collector runs here, so it stays until its finalizer is removed.
async fn assert_terminating_when_deleted(world: &World) {
    let services = world.services();
    services
        .delete("demo", &DeleteParams::foreground())
        .await
        .unwrap();
    becomes(world, KStatus::Terminating).await;
    let free = json!({"metadata": {"finalizers": null}});
    services
        .patch("demo", &PatchParams::default(), &Patch::Merge(&free))
        .await
        .unwrap();
}

async fn becomes(world: &World, wanted: KStatus) -> DynamicObject {
    eventually(&format!("kstatus is {wanted:?}"), || async {
        let live = world.services().get("demo").await.unwrap();
        (kstatus(&live) == wanted).then_some(live)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn kstatus_reports_current_only_when_it_is() {
    let world = World::new("kstatus").await;
    let history = History::start(&world).await;
    let spec = |image: &str, replicas: u8| json!({"image": image, "replicas": replicas});
    // No operator has read it.
    let created = world.apply("demo", spec("hello-app:1", 2)).await;
    assert_eq!(kstatus(&created), KStatus::InProgress, "{created:?}");
    becomes(&world, KStatus::InProgress).await;

    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    world.condition("demo", "Migrated", "False").await;
    assert_in_progress(&history.take(&world, "demo").await);
    world.set_jobs(Jobs::Succeed);
    let live = becomes(&world, KStatus::Current).await;
    let all = ConditionType::ALL.map(ConditionType::as_str);
    assert_eq!(condition_types(&live), all);

    // It is not current after an edit until the whole edit has taken effect.
    assert_truthful(&history.take(&world, "demo").await);
    for edit in [
        spec("hello-app:1", 4),
        spec("hello-app:2", 4),
        spec("hello-app:3", 1),
    ] {
        let edited = world.apply("demo", edit).await;
        assert_eq!(kstatus(&edited), KStatus::InProgress, "{edited:?}");
        becomes(&world, KStatus::Current).await;
        let versions = history.take(&world, "demo").await;
        assert!(versions.len() > 1);
        assert_truthful(&versions);
    }

    // A failure ends when its cause is removed.
    world.set_jobs(Jobs::Fail);
    let edited = world.apply("demo", spec("hello-app:4", 1)).await;
    world.condition("demo", "Degraded", "True").await;
    let mut versions = history.take(&world, "demo").await;
    versions.retain(|o| o.metadata.generation >= edited.metadata.generation);
    assert_in_progress(&versions);
    world.set_jobs(Jobs::Succeed);
    world.apply("demo", spec("hello-app:3", 1)).await;
    becomes(&world, KStatus::Current).await;

    assert_terminating_when_deleted(&world).await;
    assert_truthful(&history.versions());
    operator.stop().await;
}

/// A lost child makes the resource unready as soon as the operator sees it, without any edit.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_child_shows_without_an_edit() {
    let world = World::new("kstatus-lost").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let before = world.api(Kind::Deployment).get("demo").await.unwrap();
    // A child that is ready again at once need not be reported.
    let still = world.stand_still().await;
    world
        .api(Kind::Deployment)
        .delete("demo", &DeleteParams::background())
        .await
        .unwrap();
    eventually("it is there again", || async {
        let live = world.api(Kind::Deployment).get_opt("demo").await.unwrap()?;
        (live.uid() != before.uid()).then_some(())
    })
    .await;
    becomes(&world, KStatus::InProgress).await;
    drop(still);
    becomes(&world, KStatus::Current).await;
    operator.stop().await;
}

/// Also after a failed pass; the gauges are removed with the resource.
#[tokio::test(flavor = "multi_thread")]
async fn the_gauges_match_the_conditions() {
    let world = World::new("gauges").await;
    let operator = world.operator();
    let gauges = || -> BTreeMap<String, bool> {
        let start = r#"hello_operator_helloservice_status_condition{namespace="gauges",name="demo",condition=""#;
        let text = operator.metrics.render();
        let series = text.lines().filter_map(|line| line.strip_prefix(start));
        series
            .map(|rest| rest.split_once("\"} ").unwrap())
            .map(|(type_, value)| (type_.to_owned(), value == "1"))
            .collect()
    };
    let same = || async {
        let live = world.services().get("demo").await.unwrap();
        let conditions = live.data["status"]["conditions"].as_array().unwrap();
        let reported: BTreeMap<String, bool> = conditions
            .iter()
            .map(|c| {
                (
                    c["type"].as_str().unwrap().to_owned(),
                    c["status"] == "True",
                )
            })
            .collect();
        (!reported.is_empty() && gauges() == reported).then_some(reported)
    };
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    let reported = eventually("the gauges are those of a ready resource", &same).await;
    assert!(reported["Ready"] && !reported["Degraded"], "{reported:?}");
    let wrong = json!({"config": {"timeZone": "Mars/Olympus"}});
    world.apply("demo", wrong).await;
    world.condition("demo", "Degraded", "True").await;
    let reported = eventually("the gauges are those of a wrong resource", &same).await;
    assert!(!reported["Ready"] && reported["Degraded"], "{reported:?}");
    let services = world.services();
    services
        .delete("demo", &DeleteParams::background())
        .await
        .unwrap();
    eventually("the gauges are gone", || async {
        gauges().is_empty().then_some(())
    })
    .await;
    operator.stop().await;
}
