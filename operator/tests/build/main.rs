//! The objects of a resource: recorded as YAML beside the test, and the same bytes every time.
//!
//! After a wanted change: `UPDATE_GOLDEN=1 cargo test -p hello-operator --test build`, then read the diff.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

mod backup;
mod external;
mod names;
mod pods;
mod restore;
mod specs;

use std::path::Path;

use hello_operator::{cli::manifest, object::kind::Kind};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::specs::{images, objects, specs};

fn golden(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let rendered =
        manifest::render(&folder.join(format!("{name}.resource.yaml")), &images()).unwrap();
    let path = folder.join(format!("{name}.objects.yaml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let difference = expected
        .lines()
        .zip(rendered.lines())
        .enumerate()
        .find(|(_, (expected, rendered))| expected != rendered);
    assert_eq!(difference, None, "{name}: line, expected, rendered");
    assert_eq!(expected, rendered, "{name}");
}

#[test]
fn a_minimal_resource_renders_as_recorded() {
    golden("minimal");
}

#[test]
fn a_resource_with_every_field_renders_as_recorded() {
    golden("full");
}

#[test]
fn an_external_database_renders_as_recorded() {
    golden("external");
}

#[test]
fn a_database_by_cloudnativepg_renders_as_recorded() {
    golden("cloudnativepg");
}

/// No kind is without a recorded object.
#[test]
fn every_kind_is_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text: String = ["full", "cloudnativepg"]
        .map(|name| std::fs::read_to_string(folder.join(format!("{name}.objects.yaml"))).unwrap())
        .concat();
    for kind in Kind::ALL {
        assert!(text.contains(&format!("\nkind: {kind}\n")), "{kind}");
    }
}

/// Every pod spec in the objects of a resource.
pub fn pod_specs(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            if map.contains_key("containers") {
                found.push(value.clone());
            }
            map.values().for_each(|value| pod_specs(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| pod_specs(value, found)),
        _ => {}
    }
}

proptest! {
    /// Otherwise every restart would write.
    #[test]
    fn the_same_spec_always_leads_to_the_same_bytes(spec in specs()) {
        let first = serde_json::to_string(&objects(&spec)).unwrap();
        let second = serde_json::to_string(&objects(&spec)).unwrap();
        prop_assert_eq!(first, second);
    }

    /// What the restricted Pod Security profile asks for, and what the operator promises beside it.
    #[test]
    fn every_pod_is_locked_down(spec in specs()) {
        let mut pods = Vec::new();
        objects(&spec).iter().for_each(|object| pod_specs(object, &mut pods));
        prop_assert!(pods.len() >= 2);
        for pod in pods {
            prop_assert_eq!(&pod["automountServiceAccountToken"], &json!(false));
            prop_assert_eq!(&pod["securityContext"]["runAsNonRoot"], &json!(true));
            prop_assert_eq!(&pod["securityContext"]["seccompProfile"]["type"], &json!("RuntimeDefault"));
            for list in ["containers", "initContainers"] {
                for container in pod[list].as_array().into_iter().flatten() {
                    let context = &container["securityContext"];
                    prop_assert_eq!(&context["allowPrivilegeEscalation"], &json!(false));
                    prop_assert_eq!(&context["readOnlyRootFilesystem"], &json!(true));
                    prop_assert_eq!(&context["capabilities"]["drop"], &json!(["ALL"]));
                    prop_assert!(container["resources"]["requests"]["cpu"].is_string());
                    prop_assert!(container["resources"]["requests"]["memory"].is_string());
                    // A quota on limits refuses a pod with a container that has none.
                    let limited = |container: &Value| container["resources"]["limits"]["memory"].is_string();
                    prop_assert_eq!(limited(container), limited(&pod["containers"][0]));
                }
            }
        }
    }

    /// An explicit null or empty list in server-side apply would claim the field.
    #[test]
    fn no_field_is_claimed_that_is_not_set(spec in specs()) {
        fn empty(value: &Value, path: &str) -> Option<String> {
            match value {
                Value::Null => Some(path.to_owned()),
                Value::Array(items) if items.is_empty() => Some(path.to_owned()),
                Value::Array(items) => items.iter().find_map(|item| empty(item, path)),
                Value::Object(map) => map.iter().find_map(|(key, value)| empty(value, &format!("{path}.{key}"))),
                _ => None,
            }
        }
        for object in objects(&spec) {
            prop_assert_eq!(empty(&object, object["kind"].as_str().unwrap()), None);
            prop_assert_eq!(object.get("status"), None);
        }
    }

    /// The number of pods has an owner of its own.
    #[test]
    fn the_deployment_never_claims_replicas(spec in specs()) {
        for object in objects(&spec) {
            if object["kind"] == "Deployment" {
                prop_assert_eq!(object["spec"].get("replicas"), None);
            }
        }
    }
}

/// Retained data must survive the resource; everything else must be deleted with it.
#[test]
fn only_data_is_without_an_owner_and_only_under_retain() {
    let managed = json!({"managed": {}});
    let cnpg = json!({"cloudNativePG": {}});
    for (policy, database, kept) in [
        ("Retain", &managed, vec!["PersistentVolumeClaim", "Secret"]),
        (
            "Retain",
            &cnpg,
            vec!["Cluster", "PersistentVolumeClaim", "Secret"],
        ),
        // Before the last backup, as without one.
        (
            "Snapshot",
            &managed,
            vec!["PersistentVolumeClaim", "Secret"],
        ),
        ("Delete", &managed, vec![]),
        ("Delete", &cnpg, vec![]),
    ] {
        let spec = json!({"deletionPolicy": policy, "database": database, "backup": {"schedule": "@daily"}});
        let ownerless: Vec<String> = objects(&spec)
            .iter()
            .filter(|object| object["metadata"]["name"] != "data-demo-db-0")
            .filter(|object| object["metadata"].get("ownerReferences").is_none())
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect();
        let mut ownerless = ownerless;
        ownerless.sort();
        assert_eq!(ownerless, kept, "{policy}");
    }
}

/// Argo CD deletes what no manifest has and what the label says is its application's, unless it has an owner.
#[test]
fn no_object_without_an_owner_looks_like_one_of_an_application_of_argo_cd() {
    for database in [json!({"managed": {}}), json!({"cloudNativePG": {}})] {
        for policy in ["Retain", "Delete"] {
            let spec = json!({"deletionPolicy": policy, "database": database, "backup": {"schedule": "@daily"}});
            for object in objects(&spec) {
                let metadata = &object["metadata"];
                let instance = metadata["labels"]["app.kubernetes.io/instance"]
                    .as_str()
                    .unwrap();
                let owned = metadata.get("ownerReferences").is_some();
                assert_eq!(owned, instance == "demo", "{policy}: {metadata}");
            }
            let claims = objects(&spec).into_iter().filter_map(|object| {
                object
                    .pointer("/spec/volumeClaimTemplates/0/metadata/labels")
                    .cloned()
            });
            for labels in claims {
                assert_ne!(labels["app.kubernetes.io/instance"], "demo");
            }
        }
    }
}

/// A single server has no replica that could acknowledge a write.
#[test]
fn only_several_servers_replicate_synchronously() {
    for (instances, synchronous) in [(1, Value::Null), (2, json!(1)), (3, json!(1))] {
        let spec = json!({"database": {"cloudNativePG": {"instances": instances}}});
        let objects = objects(&spec);
        let cluster = objects
            .iter()
            .find(|object| object["kind"] == "Cluster")
            .unwrap();
        assert_eq!(cluster["spec"]["instances"], instances);
        assert_eq!(
            cluster["spec"]["postgresql"]["synchronous"]["number"], synchronous,
            "{instances}"
        );
    }
}

/// The object of this kind and name.
pub fn only(spec: &Value, kind: &str, name: &str) -> Value {
    objects(spec)
        .into_iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap()
}

/// No other pod may open connections to the web ports outside the namespace.
#[test]
fn only_the_pods_that_check_tokens_reach_the_issuer() {
    let with = |issuer: &str| json!({"auth": {"oidc": {"issuer": issuer, "audience": ["hello"]}}});
    let reaches = |spec: &Value, part: &str, port: u16| {
        let policy = only(spec, "NetworkPolicy", &format!("demo-{part}"));
        let egress = policy["spec"]["egress"].as_array().unwrap().clone();
        egress
            .iter()
            .any(|rule| rule.get("to").is_none() && rule["ports"][0]["port"] == port)
    };
    let plain = with("https://id.example.com/realms/staff");
    let other = with("https://id.example.com:8443");
    assert!(!reaches(&json!({}), "app", 443));
    assert!(reaches(&plain, "app", 443));
    assert!(reaches(&other, "app", 8443) && !reaches(&other, "app", 443));
    assert!(!reaches(&plain, "migration", 443));
}

/// A scaler of the user's own has the number of pods: an autoscaler would fight it.
#[test]
fn with_a_scaler_of_the_users_own_there_is_no_autoscaler() {
    let objects = objects(&json!({"autoscaling": {"external": true, "minReplicas": 3}}));
    let kinds: Vec<&str> = objects
        .iter()
        .map(|object| object["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"Deployment"));
    assert!(!kinds.contains(&"HorizontalPodAutoscaler"));
}

#[test]
fn shared_memory_is_in_memory_and_bounded_only_where_the_spec_says_so() {
    let volume = |managed: Value| {
        let set = only(
            &json!({"database": {"managed": managed}}),
            "StatefulSet",
            "demo-db",
        );
        let volumes = set["spec"]["template"]["spec"]["volumes"]
            .as_array()
            .unwrap()
            .clone();
        let volume = volumes.into_iter().find(|volume| volume["name"] == "shm");
        volume.unwrap()["emptyDir"].clone()
    };
    assert_eq!(volume(json!({})), json!({"medium": "Memory"}));
    assert_eq!(
        volume(json!({"sharedMemory": "256Mi"})),
        json!({"medium": "Memory", "sizeLimit": "256Mi"})
    );
}

/// Probes and metrics stay on a port of their own, without TLS.
#[test]
fn with_tls_only_the_services_port_is_called_otherwise() {
    let plain = json!({"expose": {"ingress": {"host": "a.example.com"}}});
    let mut tls = plain.clone();
    tls["tls"] = json!({"secretName": "own"});
    for (spec, name, protocol) in [
        (&plain, "http", Value::Null),
        (&tls, "https", json!("https")),
    ] {
        let port = &only(spec, "Service", "demo")["spec"]["ports"][0];
        assert_eq!(port["name"], name);
        assert_eq!(port["appProtocol"], protocol);
        assert_eq!(port["targetPort"], "http");
        let ingress = only(spec, "Ingress", "demo");
        let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"];
        assert_eq!(backend["service"]["port"]["name"], name);
        let pods = &only(spec, "Deployment", "demo")["spec"]["template"]["spec"];
        let probe = &pods["containers"][0]["readinessProbe"]["httpGet"];
        assert_eq!(probe["port"], "admin");
        assert_eq!(probe.get("scheme"), None);
    }
}

/// A misspelt variable would be ignored silently.
#[test]
fn the_application_knows_every_variable_it_is_given() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let options = Path::new(env!("CARGO_MANIFEST_DIR")).join("../app/src/config");
    let files = std::fs::read_dir(options).unwrap();
    let known: String = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != "tests.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut given = 0;
    for name in ["full", "external"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.objects.yaml"))).unwrap();
        let variables = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("- name: HELLO_"));
        for variable in variables {
            let wanted = format!("\"HELLO_{variable}\"");
            assert!(known.contains(&wanted), "HELLO_{variable}");
            given += 1;
        }
    }
    assert!(given > 25, "{given}");
}
