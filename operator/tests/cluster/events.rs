//! Events, as a user reads them from the API server.

use std::collections::BTreeMap;

use hello_operator::{object::kind::Kind, service::report::reason::Reason};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    history::History,
    world::{Jobs, World, eventually},
};

async fn events(world: &World) -> Vec<Event> {
    let api: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    api.list(&ListParams::default()).await.unwrap().items
}

/// Number of times that the event was published.
fn count(event: &Event) -> usize {
    let series = event.series.as_ref();
    series.map_or(1, |series| series.count.try_into().unwrap())
}

fn reason(event: &Event) -> &str {
    event.reason.as_deref().unwrap()
}

/// Waits for an event with this reason about the related child, published this often.
async fn published(world: &World, wanted: &str, related: Option<&str>, times: usize) -> Event {
    eventually(&format!("{wanted} {related:?} {times} times"), || async {
        let mut all = events(world).await.into_iter();
        all.find(|event| {
            let name = event.related.as_ref().and_then(|o| o.kind.as_deref());
            reason(event) == wanted && name == related && count(event) == times
        })
    })
    .await
}

/// How often each condition that has events changed to a reason, over all versions of the resource, and its messages.
/// The message of a condition changes only with its reason or an edit.
fn transitions(versions: &[DynamicObject]) -> BTreeMap<String, (usize, Vec<String>)> {
    let mut seen: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut before = BTreeMap::new();
    for version in versions {
        let conditions = version.data["status"]["conditions"].as_array();
        for c in conditions.into_iter().flatten() {
            let text = |name: &str| c[name].as_str().unwrap().to_owned();
            if !["Ready", "DatabaseReady", "Migrated"].contains(&&*text("type")) {
                continue;
            }
            let now = (text("status"), text("reason"));
            let (times, words) = seen.entry(text("reason")).or_default();
            words.push(text("message"));
            let generation = c["observedGeneration"].clone();
            let state = (now, generation, text("message"));
            let old = before.insert(text("type"), state.clone());
            match old {
                Some((now, generation, message)) if now == state.0 => {
                    assert!(
                        message == state.2 || generation != state.1,
                        "{message}: {c}"
                    );
                }
                _ => *times += 1,
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_an_event_and_nothing_else_is() {
    let world = World::new("events").await;
    let history = History::start(&world).await;
    let operator = world.operator();
    let created = world.apply("demo", json!({"image": "hello-app:1"})).await;
    world.ready("demo").await;
    for reason in ["Serving", "DatabaseServing", "MigrationSucceeded"] {
        published(&world, reason, None, 1).await;
    }
    world.set_jobs(Jobs::Fail);
    world.apply("demo", json!({"image": "hello-app:2"})).await;
    let failed = published(&world, "MigrationFailed", None, 1).await;
    assert_eq!(failed.type_.as_deref(), Some("Warning"));
    world.set_jobs(Jobs::Succeed);
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    world.ready("demo").await;
    // A repeated transition is no new event: it is counted in the first one.
    let serving = published(&world, "Serving", None, 2).await;
    assert_eq!(serving.type_.as_deref(), Some("Normal"));
    world.settle(&operator).await;

    let transitions = transitions(&history.take(&world, "demo").await);
    let all = events(&world).await;
    let mut reasons: Vec<&str> = all.iter().map(reason).collect();
    for event in &all {
        let about = event.regarding.as_ref().unwrap();
        assert_eq!(about.kind.as_deref(), Some("HelloService"));
        assert_eq!(
            about.api_version.as_deref(),
            Some("hello.internal/v1alpha1")
        );
        assert_eq!(about.name.as_deref(), Some("demo"));
        assert_eq!(about.namespace.as_deref(), Some("events"));
        assert_eq!(about.uid, created.uid());
        let reporter = event.reporting_controller.as_deref();
        assert_eq!(reporter, Some("hello-operator"));
        assert!(Reason::from_name(reason(event)).is_some(), "{event:?}");
        let (seen, words) = transitions
            .get(reason(event))
            .unwrap_or_else(|| panic!("no transition: {event:?}"));
        assert!(words.contains(event.note.as_ref().unwrap()), "{event:?}");
        assert!(count(event) <= *seen, "{seen} transitions: {event:?}");
    }
    let total = reasons.len();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), total, "one event for each reason: {all:?}");
    assert!(!reasons.contains(&"DriftReverted"), "{all:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reverted_drift_is_one_event_for_each_child_and_counts() {
    let world = World::new("events-drift").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    for times in 1..=3 {
        let damage =
            json!({"spec": {"selector": {"app.kubernetes.io/name": format!("else-{times}")}}});
        world
            .api(Kind::Service)
            .patch("demo", &PatchParams::default(), &Patch::Merge(&damage))
            .await
            .unwrap();
        let event = published(&world, "DriftReverted", Some("Service"), times).await;
        let note = "Service demo was changed by another client: restored";
        assert_eq!(event.note.as_deref(), Some(note));
        assert_eq!(event.action.as_deref(), Some("update"));
        assert_eq!(event.type_.as_deref(), Some("Normal"));
    }
    let scaled = json!({"spec": {"replicas": 7}});
    let deployments = world.api(Kind::Deployment);
    deployments
        .patch("demo", &PatchParams::default(), &Patch::Merge(&scaled))
        .await
        .unwrap();
    let event = published(&world, "DriftReverted", Some("Deployment"), 1).await;
    assert_eq!(event.action.as_deref(), Some("scale"));
    world.settle(&operator).await;
    world.ready("demo").await;
    let budgets = world.api(Kind::PodDisruptionBudget);
    budgets
        .delete("demo", &DeleteParams::background())
        .await
        .unwrap();
    let event = published(&world, "DriftReverted", Some("PodDisruptionBudget"), 1).await;
    assert_eq!(event.action.as_deref(), Some("create"));
    // A change by an edit is no drift.
    world.settle(&operator).await;
    let edit = json!({"networkPolicy": {"enabled": false}, "config": {"logLevel": "debug"},
        "expose": {"service": {"port": 8081}}});
    world.apply("demo", edit).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let drift: usize = events(&world)
        .await
        .iter()
        .filter(|event| reason(event) == "DriftReverted")
        .map(count)
        .sum();
    assert_eq!(drift, 5);
    operator.stop().await;
}
