//! A panic at one resource: reported there, without effect on the others.

use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_reported_at_its_resource_and_harms_no_other() {
    let world = World::new("panic").await;
    let operator = world.defective_operator("bad");
    world.apply("bad", json!({})).await;
    world.condition("bad", "Degraded", "True").await;
    world.apply("good", json!({})).await;
    world.ready("good").await;

    let ready = world.condition("bad", "Ready", "False").await;
    let degraded = world.condition("bad", "Degraded", "True").await;
    for condition in [ready, degraded] {
        assert_eq!(condition["reason"], "InternalError");
        let message = "the operator failed on this resource: planted defect; report a defect";
        assert_eq!(condition["message"], message);
    }
    let event = eventually("an event", || async {
        let api: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
        let events = api.list(&ListParams::default()).await.unwrap().items;
        let mut events = events.into_iter();
        events.find(|event| event.reason.as_deref() == Some("InternalError"))
    })
    .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.regarding.unwrap().name.as_deref(), Some("bad"));
    let panics = operator.metrics.reconcile_panics.get();
    assert!(panics > 0);
    let gauge = |name: &str, type_: &str| {
        format!(
            "hello_operator_helloservice_status_condition{{namespace=\"panic\",name=\"{name}\",condition=\"{type_}\"}} 1"
        )
    };
    let text = operator.metrics.render();
    for line in [gauge("bad", "Degraded"), gauge("good", "Ready")] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // It is retried after 30 s at the earliest, and no other resource waits for that.
    world.apply("good", json!({"replicas": 3})).await;
    world.ready("good").await;
    operator.stop().await;

    // A version without the defect continues where this one failed.
    let corrected = world.operator();
    world.ready("bad").await;
    corrected.stop().await;
}
