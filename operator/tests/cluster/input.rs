//! What the API server refuses, with a message that names the field.

use serde_json::{Value, json};

use crate::world::World;

pub fn resource(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused_with_the_name_of_the_field() {
    let world = World::new("input").await;
    let managed = |field: &str, value: Value| json!({"database": {"managed": {field: value}}});
    let backup = |field: &str, value: Value| {
        let mut spec = json!({"backup": {"schedule": "@daily"}});
        spec["backup"][field] = value;
        spec
    };
    let oidc = |field: &str, value: Value| {
        let mut oidc = json!({"issuer": "https://id.example.com", "audience": ["hello"]});
        oidc[field] = value;
        json!({"auth": {"oidc": oidc}})
    };
    let limit = |field: &str, value: Value| {
        let mut limit = json!({"requests": 10});
        limit[field] = value;
        json!({"config": {"rateLimit": limit}})
    };
    let route = |parents: Value, hosts: Value| json!({"expose": {"httpRoute": {"parentRefs": parents, "hostnames": hosts}}});
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
        (
            json!({"expose": {"httpRoute": {}}}),
            "spec.expose.httpRoute.parentRefs",
        ),
        (
            route(json!([]), json!([])),
            "spec.expose.httpRoute.parentRefs",
        ),
        (
            route(json!([{"sectionName": "https"}]), json!([])),
            "spec.expose.httpRoute.parentRefs[0].name",
        ),
        (
            route(json!([{"name": "a", "port": 0}]), json!([])),
            "spec.expose.httpRoute.parentRefs[0].port",
        ),
        (
            route(json!([{"name": "a", "namespace": "A"}]), json!([])),
            "spec.expose.httpRoute.parentRefs[0].namespace",
        ),
        (
            route(json!([{"name": "a"}]), json!(["10.0.0.1:80"])),
            "spec.expose.httpRoute.hostnames[0]",
        ),
        (
            route(json!([{"name": "a"}]), json!(["a.b", "a.b"])),
            "spec.expose.httpRoute.hostnames",
        ),
        (json!({"tls": {}}), "spec.tls.secretName"),
        (json!({"auth": {}}), "spec.auth.oidc"),
        (
            oidc("issuer", json!("http://id.example.com")),
            "spec.auth.oidc.issuer",
        ),
        (
            oidc("issuer", json!("https:///realms/staff")),
            "spec.auth.oidc.issuer",
        ),
        (
            oidc("issuer", json!("https://me:secret@id.example.com")),
            "spec.auth.oidc.issuer",
        ),
        (
            oidc("issuer", json!("https://id.example.com/?realm=a")),
            "spec.auth.oidc.issuer",
        ),
        (
            oidc("issuer", json!("https://id.example.com:99999")),
            "spec.auth.oidc.issuer",
        ),
        (oidc("audience", json!("hello")), "spec.auth.oidc.audience"),
        (oidc("audience", json!([])), "spec.auth.oidc.audience"),
        (
            oidc("audience", json!(["a,b"])),
            "spec.auth.oidc.audience[0]",
        ),
        (
            oidc("audience", json!(["a", "a"])),
            "spec.auth.oidc.audience",
        ),
        (
            oidc("usernameClaim", json!("")),
            "spec.auth.oidc.usernameClaim",
        ),
        (
            oidc("adminScope", json!("two words")),
            "spec.auth.oidc.adminScope",
        ),
        (
            oidc("algorithms", json!(["none"])),
            "spec.auth.oidc.algorithms[0]",
        ),
        (
            oidc("algorithms", json!(["HS256"])),
            "spec.auth.oidc.algorithms[0]",
        ),
        (oidc("algorithms", json!([])), "spec.auth.oidc.algorithms"),
        (oidc("audience", Value::Null), "spec.auth.oidc"),
        (oidc("clientIds", json!([])), "spec.auth.oidc.clientIds"),
        (
            oidc("clientIds", json!(["a b"])),
            "spec.auth.oidc.clientIds[0]",
        ),
        (
            oidc("adminClaim", json!("a b")),
            "spec.auth.oidc.adminClaim",
        ),
        (oidc("reads", json!("nobody")), "spec.auth.oidc.reads"),
        (
            oidc("leewaySeconds", json!(301)),
            "spec.auth.oidc.leewaySeconds",
        ),
        (
            oidc("leewaySeconds", json!(-1)),
            "spec.auth.oidc.leewaySeconds",
        ),
        (
            oidc("caSecretRef", json!({"name": "a", "key": "a/b"})),
            "spec.auth.oidc.caSecretRef.key",
        ),
        (
            limit("requests", json!(0)),
            "spec.config.rateLimit.requests",
        ),
        (limit("per", json!("day")), "spec.config.rateLimit.per"),
        (limit("burst", json!(0)), "spec.config.rateLimit.burst"),
        (
            limit("trustedProxies", json!(["10.0.0.1/8"])),
            "spec.config.rateLimit.trustedProxies",
        ),
        (
            limit("trustedProxies", json!(["proxy"])),
            "spec.config.rateLimit.trustedProxies",
        ),
        (
            limit("forwardedHeader", json!("x-real-ip")),
            "spec.config.rateLimit.forwardedHeader",
        ),
        (
            json!({"config": {"rateLimit": {}}}),
            "spec.config.rateLimit.requests",
        ),
        (
            json!({"config": {"logFormat": "xml"}}),
            "spec.config.logFormat",
        ),
        (
            json!({"monitoring": {"serviceMonitor": "yes"}}),
            "spec.monitoring.serviceMonitor",
        ),
        (
            json!({"monitoring": {"serviceMonitorLabels": {"a": "b"}}}),
            "spec.monitoring",
        ),
        (json!({"database": {}}), "spec.database"),
        (
            json!({"database": {"external": {}}}),
            "spec.database.external.secretRef",
        ),
        (
            json!({"database": {"external": {"secretRef": {"name": "cloud", "caKey": "a/b"}}}}),
            "spec.database.external.secretRef.caKey",
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
            managed("dataVersion", json!("18.1")),
            "spec.database.managed.dataVersion",
        ),
        (
            managed("dataVersion", json!("eighteen-a")),
            "spec.database.managed.dataVersion",
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
            backup("retention", json!({"keepDaily": -1})),
            "spec.backup.retention.keepDaily",
        ),
        (
            backup("encryption", json!({"recipients": []})),
            "spec.backup.encryption.recipients",
        ),
        (
            backup(
                "encryption",
                json!({"recipients": ["ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]}),
            ),
            "spec.backup.encryption.recipients[0]",
        ),
        (
            backup("verify", json!({"scratch": {"size": "0"}})),
            "spec.backup.verify.scratch.size",
        ),
        (backup("image", json!("a b")), "spec.backup.image"),
        (
            backup("retention", json!({"keepMonthly": 1001})),
            "spec.backup.retention.keepMonthly",
        ),
        (
            backup("destination", json!({"volume": {"size": ""}})),
            "spec.backup.destination.volume.size",
        ),
        (
            backup("destination", json!({"s3": {"bucket": "Backups"}})),
            "spec.backup.destination.s3.bucket",
        ),
        (
            backup(
                "destination",
                json!({"s3": {"bucket": "all", "prefix": "a/../b"}}),
            ),
            "spec.backup.destination.s3.prefix",
        ),
        (
            backup(
                "destination",
                json!({"s3": {"bucket": "all", "endpoint": "s3.example.com"}}),
            ),
            "spec.backup.destination.s3.endpoint",
        ),
        (
            backup(
                "destination",
                json!({"s3": {"bucket": "all", "region": "a b"}}),
            ),
            "spec.backup.destination.s3.region",
        ),
        (
            backup(
                "destination",
                json!({"s3": {"bucket": "all", "serverSideEncryption": "rot13"}}),
            ),
            "spec.backup.destination.s3.serverSideEncryption",
        ),
        (
            json!({"networkPolicy": {"enabled": "yes"}}),
            "spec.networkPolicy.enabled",
        ),
        (json!({"deletionPolicy": "Forget"}), "spec.deletionPolicy"),
        (
            json!({"deletionPolicy": "Snapshot", "backup": {"enabled": false}}),
            "spec.deletionPolicy",
        ),
        (
            json!({"deletionPolicy": "Snapshot", "database": {"cloudNativePG": {}}}),
            "spec.deletionPolicy",
        ),
        (json!({"paused": "no"}), "spec.paused"),
        (json!({"imageTag": "1"}), "imageTag"),
    ];
    for (spec, field) in cases {
        let answer = world.try_out("demo", &spec).await;
        let message = answer
            .expect_err(&format!("{spec} was accepted"))
            .to_string();
        assert!(message.contains(field), "{spec}: {message}");
    }
    for name in ["1digit", "dots.in.it", &"a".repeat(41)] {
        let answer = world.try_out(name, &json!({})).await;
        let message = answer.expect_err(name).to_string();
        assert!(message.contains("metadata.name"), "{message}");
    }
}
