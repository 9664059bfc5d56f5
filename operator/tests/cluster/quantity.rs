//! Quantities of CPU, memory and storage: their normal form in the API server is no drift.

use hello_operator::object::subset::contains;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use proptest::{
    strategy::{Strategy, ValueTree},
    string::string_regex,
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use crate::world::World;

/// Pattern of the first field of this name in the schema.
fn pattern(schema: &Value, name: &str) -> Option<String> {
    if let Some(pattern) = schema["properties"][name]["pattern"].as_str() {
        let bare = pattern.trim_start_matches('^').trim_end_matches('$');
        return Some(bare.to_owned());
    }
    let mut children = schema.as_object()?.values();
    children.find_map(|child| pattern(child, name))
}

/// Many generated values of the schema's patterns, normalised by the API server itself: one pod for each batch.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_makes_of_an_amount_is_no_drift() {
    let world = World::new("quantities").await;
    let definition = hello_crds::definitions().unwrap().remove(0);
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut runner = TestRunner::deterministic();
    let mut generate = |name: &str| {
        let values = string_regex(&pattern(schema, name).unwrap()).unwrap();
        values.new_tree(&mut runner).unwrap().current()
    };
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for round in 0..4 {
        let containers: Vec<Value> = (0..100)
            .map(|number| {
                let limits = json!({"cpu": generate("cpu"), "memory": generate("memory"),
                    "ephemeral-storage": generate("size")});
                json!({"name": format!("c{number}"), "image": "x", "resources": {"limits": limits}})
            })
            .collect();
        let wanted =
            json!({"metadata": {"name": format!("p{round}")}, "spec": {"containers": containers}});
        let pod = serde_json::from_value(wanted.clone()).unwrap();
        let live = pods.create(&parameters, &pod).await.unwrap();
        let live = serde_json::to_value(live).unwrap();
        for (live, wanted) in live["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .zip(&containers)
        {
            let (live, wanted) = (&live["resources"], &wanted["resources"]);
            assert!(contains(live, wanted), "{wanted} became {live}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_that_the_api_server_writes_otherwise_settle() {
    let world = World::new("amounts").await;
    let operator = world.operator();
    let amounts = json!({"cpu": "100.5m", "memory": "1.2345Gi"});
    let resources = json!({"requests": amounts, "limits": amounts});
    let managed = json!({"resources": resources, "storage": {"size": "1024Mi"}});
    let spec = json!({"resources": resources, "database": {"managed": managed}});
    world.apply("demo", spec).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}
