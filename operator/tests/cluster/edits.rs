//! Every field of the spec: changed, and changed back.

use hello_crds::definitions;
use hello_operator::child::Kind;
use serde_json::{Value, json};

use crate::{engine::Engine, reference::make, world::World};

/// The smallest valid spec in which every part exists.
fn base() -> Value {
    json!({
        "image": "hello-app:1", "imagePullPolicy": "IfNotPresent", "imagePullSecrets": [{"name": "a"}], "replicas": 2,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 50},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "config": {"timeZone": "UTC", "leapDay": "feb28", "usernames": "unicode", "logLevel": "info", "logFormat": "json",
            "rateLimit": {"requests": 10, "per": "second", "burst": 20, "trustedProxies": ["10.0.0.0/8"],
                "forwardedHeader": "forwarded"}},
        "expose": {"service": {"type": "LoadBalancer", "port": 80, "nodePort": 30500},
            "ingress": {"className": "a", "host": "a.example.com", "tlsSecretName": "a", "annotations": {"a": "1"}},
            "httpRoute": {"parentRefs": [{"name": "a"}], "hostnames": ["a.example.com"]}},
        "tls": {"secretName": "a"},
        "auth": {"oidc": {"issuer": "https://a.example.com", "audience": ["a"], "usernameClaim": "sub", "adminScope": "a",
            "algorithms": ["RS256"], "leewaySeconds": 60, "caSecretRef": {"name": "a", "key": "ca.crt"}}},
        "monitoring": {"serviceMonitor": true, "serviceMonitorLabels": {"release": "a"}},
        "database": {"managed": {"image": "postgres:18", "storage": {"size": "1Gi", "storageClassName": "a"},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "parameters": {"work_mem": "1MB"}}},
        "backup": {"schedule": "@daily", "timeZone": "UTC", "formats": ["custom"], "retention": {"keepLast": 7},
            "destination": {"volume": {"size": "1Gi", "storageClassName": "a"}}, "suspend": false},
        "networkPolicy": {"enabled": true}, "deletionPolicy": "Retain", "paused": false,
    })
}

/// The same with the other choice, wherever exactly one can be made.
fn other_base() -> Value {
    let mut spec = base();
    // Belongs to the whole cluster, and the other test has the first one.
    spec["expose"]["service"]["nodePort"] = json!(30502);
    let oidc = spec["auth"]["oidc"].as_object_mut().unwrap();
    let certificates = oidc.remove("caSecretRef").unwrap();
    oidc.insert("caConfigMapRef".into(), certificates);
    spec["database"] = json!({"cloudNativePG": {"instances": 3, "image": "postgresql:18",
        "storage": {"size": "1Gi", "storageClassName": "a"},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}}});
    spec
}

/// Another valid value for the field at this path; `None` when it may never change.
fn other(path: &str) -> Option<Value> {
    Some(match path {
        "/image" | "/database/managed/image" | "/database/cloudNativePG/image" => {
            json!("registry.example.com/other:2")
        }
        "/imagePullPolicy" => json!("Always"),
        "/imagePullSecrets" => json!([{"name": "b"}]),
        "/replicas" => json!(4),
        "/autoscaling/minReplicas" => json!(3),
        "/autoscaling/maxReplicas" => json!(6),
        "/autoscaling/targetCPUUtilizationPercentage" => json!(70),
        "/config/timeZone" | "/backup/timeZone" => json!("Europe/Berlin"),
        "/config/leapDay" => json!("mar1"),
        "/config/usernames" => json!("ascii"),
        "/config/logLevel" => json!("debug"),
        "/config/logFormat" => json!("text"),
        "/config/rateLimit/requests" => json!(11),
        "/config/rateLimit/per" => json!("minute"),
        "/config/rateLimit/burst" => json!(21),
        "/config/rateLimit/trustedProxies" => json!(["10.0.0.0/8", "::1"]),
        "/config/rateLimit/forwardedHeader" => json!("x-forwarded-for"),
        "/tls/secretName" => json!("b"),
        "/auth/oidc/issuer" => json!("https://b.example.com:8443"),
        "/auth/oidc/audience" => json!(["a", "b"]),
        "/auth/oidc/usernameClaim" | "/auth/oidc/adminScope" => json!("b"),
        "/auth/oidc/algorithms" => json!(["ES256", "EdDSA"]),
        "/auth/oidc/leewaySeconds" => json!(0),
        "/auth/oidc/caSecretRef/name" | "/auth/oidc/caConfigMapRef/name" => json!("b"),
        "/auth/oidc/caSecretRef/key" | "/auth/oidc/caConfigMapRef/key" => json!("tls.crt"),
        "/expose/httpRoute/parentRefs" => {
            json!([{"name": "a", "namespace": "b", "sectionName": "https", "port": 443}])
        }
        "/expose/httpRoute/hostnames" => json!(["b.example.com", "*.example.com"]),
        "/monitoring/serviceMonitor" => json!(false),
        "/monitoring/serviceMonitorLabels" => json!({"release": "b"}),
        "/expose/service/type" => json!("NodePort"),
        "/expose/service/port" => json!(8080),
        "/expose/service/nodePort" => json!(30501),
        "/expose/ingress/className" | "/expose/ingress/tlsSecretName" => json!("b"),
        "/expose/ingress/host" => json!("b.example.com"),
        "/expose/ingress/annotations" => json!({"b": "2"}),
        "/database/managed/parameters" => json!({"work_mem": "2MB", "max_connections": "50"}),
        // No synchronous replication with one: a part that goes and comes back.
        "/database/cloudNativePG/instances" => json!(1),
        "/backup/schedule" => json!("1 2 3 4 5"),
        "/backup/formats" => json!(["plain", "custom"]),
        "/backup/retention/keepLast" => json!(9),
        "/backup/suspend" => json!(true),
        "/networkPolicy/enabled" => json!(false),
        "/deletionPolicy" => json!("Delete"),
        _ if path.ends_with("/requests/cpu") => json!("70m"),
        _ if path.ends_with("/requests/memory") => json!("70Mi"),
        _ if path.ends_with("/limits/cpu") => json!("2"),
        _ if path.ends_with("/limits/memory") => json!("2Gi"),
        // For life, by a rule that is tested elsewhere.
        _ if path.ends_with("/storageClassName") => return None,
        // Grows and never comes back; has a test of its own.
        _ if path.ends_with("/size") => return None,
        // For life; the two kinds have tests of their own.
        _ if path.starts_with("/database/external/") => return None,
        // Stops every change, so there is nothing to converge to; has a test of its own.
        "/paused" => return None,
        _ => panic!("{path} is new: give it another valid value here"),
    })
}

/// Paths of all fields without fields of their own, from the schema.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    match schema["properties"].as_object() {
        Some(properties) => {
            for (name, schema) in properties {
                leaves(schema, &format!("{path}/{name}"), found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

fn fields() -> Vec<String> {
    let definition = definitions().unwrap().remove(0);
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap();
    let mut found = Vec::new();
    leaves(schema, "", &mut found);
    found
}

/// What a child is made of, without what the API server adds.
async fn state(world: &World) -> Vec<(String, Value)> {
    world
        .children("demo")
        .await
        .into_iter()
        .map(|(id, live)| {
            let annotations = json!(live.metadata.annotations);
            // Two Jobs of the same hash differ by the UIDs in their selectors.
            let spec = live.data.get("spec").filter(|_| id.kind != Kind::Job);
            (
                id.to_string(),
                json!([spec, live.data.get("data"), annotations]),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_can_be_changed_and_changed_back() {
    let world = World::new("edits").await;
    let fields = fields().into_iter();
    let edited = edit_all(&world, base, fields.filter(|path| !is_other(path))).await;
    assert!(edited > 50, "{edited} fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_the_other_choices_too() {
    let world = World::new("edits-other").await;
    let _engine = Engine::start(&world);
    let fields = fields().into_iter();
    let edited = edit_all(&world, other_base, fields.filter(|path| is_other(path))).await;
    assert_eq!(edited, 8);
}

fn is_other(path: &str) -> bool {
    path.starts_with("/database/cloudNativePG/") || path.starts_with("/auth/oidc/caConfigMapRef/")
}

/// Edits each of the fields that may change, and takes the edit back; says how many there were.
async fn edit_all(world: &World, base: fn() -> Value, fields: impl Iterator<Item = String>) -> u32 {
    let data = json!({"tls.crt": "", "tls.key": "", "ca.crt": ""});
    for name in ["a", "b"] {
        for kind in ["Secret", "ConfigMap"] {
            let object = json!({"apiVersion": "v1", "kind": kind, "data": data});
            make(world, name, object).await;
        }
    }
    let operator = world.operator();
    world.apply("demo", base()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let before = state(world).await;
    let mut edited = 0;
    for path in fields {
        let Some(value) = other(&path) else { continue };
        let mut spec = base();
        *spec
            .pointer_mut(&path)
            .unwrap_or_else(|| panic!("{path} is not in the base")) = value;
        // The number of pods counts only without an autoscaler.
        if path == "/replicas" {
            spec.as_object_mut().unwrap().remove("autoscaling");
        }
        // Labels of what is not made would be refused.
        if path == "/monitoring/serviceMonitor" {
            spec["monitoring"] = json!({"serviceMonitor": false});
        }
        world.apply("demo", spec).await;
        world.ready("demo").await;
        assert_ne!(state(world).await, before, "{path} changes nothing");
        world.apply("demo", base()).await;
        world.ready("demo").await;
        if path == "/replicas" {
            // The autoscaler takes over from the number it finds.
            let scale = kube::api::Patch::Merge(json!({"spec": {"replicas": 2}}));
            let deployments = world.api(Kind::Deployment);
            deployments
                .patch_scale("demo", &kube::api::PatchParams::default(), &scale)
                .await
                .unwrap();
            world.ready("demo").await;
        }
        let after = state(world).await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "{path} changed back");
        }
        assert_eq!(before.len(), after.len(), "{path}");
        edited += 1;
    }
    operator.stop().await;
    edited
}
