//! The committed YAML is the one that the types generate.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use hello_crds::{ConditionType, RestorePhase};
use serde_json::Value;

fn read(file: &str) -> Value {
    let path = format!("{}/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn committed() -> Value {
    read("helloservices")
}

#[test]
fn the_committed_definitions_are_the_generated_ones() {
    let generated = hello_crds::definitions().unwrap();
    let committed = [committed(), read("hellorestores")];
    assert_eq!(committed[..], generated[..], "run: make generate");
}

#[test]
fn the_schema_of_restores_is_structural_and_documented() {
    let definition = read("hellorestores");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let conditions = &schema["status"]["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    for part in ["spec", "status"] {
        check_descriptions(&schema[part], part);
    }
    for phase in RestorePhase::ALL {
        let phases = &schema["status"]["properties"]["phase"];
        assert!(phases.to_string().contains(phase.as_str()), "{phase:?}");
    }
}

/// Server-side apply merges conditions by their type, and every field has a description.
#[test]
fn the_schema_is_structural_and_documented() {
    let definition = committed();
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"]["properties"];
    let conditions = &schema["status"]["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"][0], "type");
    assert_eq!(
        version["subresources"]["scale"]["specReplicasPath"],
        ".spec.replicas"
    );
    for part in ["spec", "status"] {
        check_descriptions(&schema[part], part);
    }
    let described = conditions["description"].as_str().unwrap();
    for type_ in ConditionType::ALL {
        assert!(described.contains(type_.description()), "{type_}");
    }
}

/// Fields of types of the core API. What is inside of them is described there.
const CORE: [&str; 18] = [
    "affinity",
    "tolerations",
    "env",
    "envFrom",
    "volumeMounts",
    "configMap",
    "secret",
    "emptyDir",
    "persistentVolumeClaim",
    "csi",
    "behavior",
    "maxUnavailable",
    "minAvailable",
    "namespaceSelector",
    "podSelector",
    "clients",
    "extraIngress",
    "extraEgress",
];

/// `kubectl apply` keeps the definition in an annotation, which has at most 262144 bytes.
#[test]
fn the_definition_can_be_applied_by_every_kubectl() {
    let size = serde_json::to_string(&committed()).unwrap().len();
    assert!(size < 200_000, "{size}");
}

fn check_descriptions(schema: &Value, path: &str) {
    let description = schema["description"].as_str();
    assert!(
        description.is_some() || path.ends_with(".*"),
        "{path} has no description"
    );
    assert!(
        description.is_none_or(|text| text.ends_with('.') && !text.contains('\n')),
        "{path}: the description is not made of sentences on one line"
    );
    assert!(
        schema.get("x-kubernetes-preserve-unknown-fields").is_none(),
        "{path} accepts anything"
    );
    let name = path.rsplit('.').next().unwrap();
    if CORE.contains(&name) {
        return;
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            check_descriptions(schema, &format!("{path}.{name}"));
        }
    }
    if let Some(items) = schema.get("items") {
        check_descriptions(items, &format!("{path}.*"));
    }
}
