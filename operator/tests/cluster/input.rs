//! What the API server refuses, with a message that names the field.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::World;

fn resource(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused_with_the_name_of_the_field() {
    let world = World::new("input").await;
    let api = world.services();
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::apply("test").force()
    };
    let managed = |field: &str, value: Value| json!({"database": {"managed": {field: value}}});
    let backup = |field: &str, value: Value| {
        let mut spec = json!({"backup": {"schedule": "@daily"}});
        spec["backup"][field] = value;
        spec
    };
    let cases = [
        (json!({"image": ""}), "spec.image"),
        (json!({"image": "two words"}), "spec.image"),
        (
            json!({"imagePullPolicy": "Sometimes"}),
            "spec.imagePullPolicy",
        ),
        (
            json!({"imagePullSecrets": [{"name": ""}]}),
            "spec.imagePullSecrets[0].name",
        ),
        (json!({"replicas": -1}), "spec.replicas"),
        (json!({"replicas": 1001}), "spec.replicas"),
        (json!({"replicas": "two"}), "spec.replicas"),
        (json!({"autoscaling": {}}), "spec.autoscaling.maxReplicas"),
        (
            json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 2}}),
            "spec.autoscaling.minReplicas",
        ),
        (
            json!({"autoscaling": {"minReplicas": 5, "maxReplicas": 2}}),
            "maxReplicas",
        ),
        (
            json!({"autoscaling": {"maxReplicas": 2, "targetCPUUtilizationPercentage": 0}}),
            "targetCPUUtilizationPercentage",
        ),
        (
            json!({"resources": {"requests": {"cpu": "lots"}}}),
            "spec.resources.requests.cpu",
        ),
        (
            json!({"resources": {"limits": {"memory": "-1Gi"}}}),
            "spec.resources.limits.memory",
        ),
        (
            json!({"config": {"timeZone": "../etc"}}),
            "spec.config.timeZone",
        ),
        (
            json!({"config": {"leapDay": "feb30"}}),
            "spec.config.leapDay",
        ),
        (
            json!({"config": {"usernames": "emoji"}}),
            "spec.config.usernames",
        ),
        (
            json!({"config": {"logLevel": "loud"}}),
            "spec.config.logLevel",
        ),
        (
            json!({"expose": {"service": {"port": 0}}}),
            "spec.expose.service.port",
        ),
        (
            json!({"expose": {"service": {"type": "ExternalName"}}}),
            "spec.expose.service.type",
        ),
        (
            json!({"expose": {"service": {"nodePort": 30000}}}),
            "nodePort",
        ),
        (
            json!({"expose": {"ingress": {"host": "UPPER"}}}),
            "spec.expose.ingress.host",
        ),
        (
            json!({"expose": {"ingress": {}}}),
            "spec.expose.ingress.host",
        ),
        (json!({"database": {}}), "spec.database"),
        (
            json!({"database": {"external": {}}}),
            "spec.database.external.secretRef",
        ),
        (
            managed("storage", json!({"size": "big"})),
            "spec.database.managed.storage.size",
        ),
        (
            managed("storage", json!({"size": "0"})),
            "spec.database.managed.storage.size",
        ),
        (
            managed("parameters", json!({"port": "1"})),
            "spec.database.managed.parameters",
        ),
        (
            managed("parameters", json!({"x": 1})),
            "spec.database.managed.parameters.x",
        ),
        (
            json!({"database": {"managed": {}, "cloudNativePG": {}}}),
            "spec.database",
        ),
        (
            json!({"database": {"cloudNativePG": {"instances": 0}}}),
            "spec.database.cloudNativePG.instances",
        ),
        (
            json!({"database": {"cloudNativePG": {"image": ""}}}),
            "spec.database.cloudNativePG.image",
        ),
        (
            json!({"database": {"cloudNativePG": {"storage": {"size": "0"}}}}),
            "spec.database.cloudNativePG.storage.size",
        ),
        (json!({"backup": {}}), "spec.backup.schedule"),
        (backup("schedule", json!("hourly")), "spec.backup.schedule"),
        (
            backup("schedule", json!("TZ=UTC 0 0 * * *")),
            "spec.backup.schedule",
        ),
        (backup("formats", json!([])), "spec.backup.formats"),
        (
            backup("formats", json!(["custom", "custom"])),
            "spec.backup.formats",
        ),
        (backup("formats", json!(["zip"])), "spec.backup.formats[0]"),
        (
            backup("retention", json!({"keepLast": 0})),
            "spec.backup.retention.keepLast",
        ),
        (
            backup("destination", json!({"volume": {"size": ""}})),
            "spec.backup.destination.volume.size",
        ),
        (
            json!({"networkPolicy": {"enabled": "yes"}}),
            "spec.networkPolicy.enabled",
        ),
        (json!({"deletionPolicy": "Forget"}), "spec.deletionPolicy"),
        (json!({"paused": "no"}), "spec.paused"),
        (json!({"imageTag": "1"}), "imageTag"),
    ];
    for (spec, field) in cases {
        let answer = api
            .patch("demo", &parameters, &Patch::Apply(&resource("demo", &spec)))
            .await;
        let message = answer
            .expect_err(&format!("{spec} was accepted"))
            .to_string();
        assert!(message.contains(field), "{spec}: {message}");
    }
    for name in ["1digit", "dots.in.it", &"a".repeat(41)] {
        let answer = api
            .patch(
                name,
                &parameters,
                &Patch::Apply(&resource(name, &json!({}))),
            )
            .await;
        let message = answer.expect_err(name).to_string();
        assert!(message.contains("metadata.name"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_schedule_is_explained_and_holds_up_nothing_else() {
    let world = World::new("schedule").await;
    let operator = world.operator();
    // Well formed, and yet no month has 61 minutes past: only the CronJob's own validation knows.
    world
        .apply("demo", json!({"backup": {"schedule": "61 2 * * *"}}))
        .await;
    let refused = crate::world::eventually("the refusal is reported", || async {
        let condition = world.condition("demo", "Ready", "False").await;
        (condition["reason"] == "Refused").then_some(condition)
    })
    .await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("CronJob demo-backup") && message.contains("61"),
        "{message}"
    );
    let app = hello_operator::child::ChildId::new(hello_operator::child::Kind::Deployment, "demo");
    crate::world::eventually("the app runs", || async { world.get(&app).await }).await;
    world
        .apply("demo", json!({"backup": {"schedule": "1 2 * * *"}}))
        .await;
    world.ready("demo").await;
    operator.stop().await;
}
