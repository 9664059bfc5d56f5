//! Specs, and the objects that they lead to.

use hello_crds::HelloService;
use hello_operator::{
    error::Result,
    service::{
        children::build,
        dereference::inputs::Inputs,
        validate::{DefaultImages, Validated, validate},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Images of the recorded objects.
pub fn images() -> DefaultImages {
    DefaultImages {
        app: "hello-app:0.1.0".into(),
        postgres: "postgres:18".into(),
    }
}

/// The objects of the service `demo` with this spec.
pub fn objects(spec: &Value) -> Vec<Value> {
    objects_of("demo", spec)
}

/// The checked spec of the service `name`.
pub fn validated(name: &str, spec: &Value) -> Result<Validated> {
    let service: HelloService = serde_json::from_value(json!({
        "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": name, "namespace": "ns", "uid": "u", "generation": 1},
        "spec": spec,
    }))
    .unwrap();
    validate(&service, &images())
}

/// The objects of the service `name` with this spec.
pub fn objects_of(name: &str, spec: &Value) -> Vec<Value> {
    let validated = validated(name, spec).unwrap();
    let prepared = build(&validated, &Inputs::offline()).prepare().unwrap();
    prepared
        .children
        .into_iter()
        .map(|child| child.body)
        .collect()
}

/// A valid spec: each part absent or with values of its range.
pub fn specs() -> impl Strategy<Value = Value> {
    let scaling = prop_oneof![
        (0..9_i32).prop_map(|replicas| json!({"replicas": replicas})),
        (1..4_i32, 4..9_i32).prop_map(|(min, max)| {
            json!({"autoscaling": {"minReplicas": min, "maxReplicas": max}})
        }),
    ];
    let database = prop_oneof![
        Just(json!({})),
        prop::collection::btree_map(
            prop::sample::select(&hello_crds::PARAMETERS[..]),
            "[a-z0-9$()]{1,4}",
            0..6
        )
        .prop_map(|parameters| { json!({"database": {"managed": {"parameters": parameters}}}) }),
        Just(json!({"database": {"external": {"secretRef": {"name": "db"}}}})),
        (1..9_i32).prop_map(|instances| {
            json!({"database": {"cloudNativePG": {"instances": instances}}})
        }),
    ];
    let backup = prop_oneof![
        Just(json!({})),
        Just(json!({"backup": {"enabled": false}})),
        (1..30_i32, any::<bool>()).prop_map(|(keep, suspend)| json!({"backup": {
            "schedule": "0 2 * * *", "retention": {"keepLast": keep, "keepDaily": keep - 1}, "suspend": suspend}})),
    ];
    let entry = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(route, monitor, tls, oidc)| {
            let mut spec = json!({"monitoring": {"serviceMonitor": monitor}});
            if route {
                spec["expose"] = json!({"httpRoute": {"parentRefs": [{"name": "public"}]}});
            }
            if tls {
                spec["tls"] = json!({"secretName": "own"});
            }
            if oidc {
                spec["auth"] =
                    json!({"oidc": {"issuer": "https://id.example.com", "audience": ["hello"]}});
            }
            spec
        },
    );
    let rest = (any::<bool>(), any::<bool>(), "[a-z]{1,9}").prop_map(|(isolate, retain, tag)| {
        json!({
            "networkPolicy": {"enabled": isolate},
            "deletionPolicy": if retain { "Retain" } else { "Delete" },
            "image": format!("hello-app:{tag}"),
        })
    });
    let pods = prop_oneof![Just(json!({})), pods()];
    (scaling, database, backup, entry, rest, pods).prop_map(|parts| {
        let mut spec = serde_json::Map::new();
        for part in [parts.0, parts.1, parts.2, parts.3, parts.4, parts.5] {
            if let Value::Object(part) = part {
                spec.extend(part);
            }
        }
        Value::Object(spec)
    })
}

/// Settings of pods that every kind of database accepts.
fn pods() -> impl Strategy<Value = Value> {
    let part = prop::sample::select(vec!["all", "app", "migration", "backup"]);
    (part, any::<bool>(), any::<bool>(), "[a-z]{1,9}").prop_map(|(part, assign, limit, text)| {
        let mut settings = json!({"labels": {"team": text}, "annotations": {"a": text}, "nodeSelector": {"a": text},
            "tolerations": [{"key": text}], "topologySpreadConstraints": [{"topologyKey": text}],
            "priorityClassName": text, "runtimeClassName": text, "env": [{"name": "A", "value": text}],
            "volumes": [{"name": "a", "emptyDir": {}}], "volumeMounts": [{"name": "a", "mountPath": "/a"}],
            "securityContext": {"assignIds": assign}, "serviceAccount": {"annotations": {"a": text}}});
        if limit {
            settings["resources"] = json!({"limits": {"memory": "1Gi"}});
        }
        json!({"pods": {part: settings}})
    })
}
