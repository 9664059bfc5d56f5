//! Names and labels of the objects: valid for the API server, and of one service only.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::specs::{objects_of, specs};

/// Every name that a `HelloService` can have, the longest ones included.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]([-a-z0-9]{0,38}[a-z0-9])?",
        "[a-z][-a-z0-9]{38}[a-z0-9]"
    ]
}

/// [`names`] must follow the definition.
#[test]
fn the_names_are_those_that_the_definition_allows() {
    let definition = hello_crds::definitions().unwrap().remove(0).to_string();
    let rule = "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";
    assert!(definition.contains(rule));
}

fn is_label(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 63
        && text.starts_with(is_end)
        && text.ends_with(is_end)
        && text.chars().all(|c| is_end(c) || c == '-')
}

/// Longest usable name for an object of this kind.
fn longest(kind: &str) -> usize {
    match kind {
        // Its Jobs add a time of 11 characters, and a Job's name is a label of its pods.
        "CronJob" => 52,
        // The name of a pod's revision, which is a label, adds 11 characters.
        "StatefulSet" => 52,
        // Bound of CloudNativePG.
        "Cluster" => 50,
        "Service" | "Job" => 63,
        _ => 253,
    }
}

/// Values of all labels and label selectors in an object.
fn labels(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "labels" | "matchLabels" | "selector" if value.is_object() => {
                        let texts = value.as_object().unwrap().values();
                        found.extend(texts.filter_map(|text| text.as_str().map(str::to_owned)));
                        labels(value, found);
                    }
                    _ => labels(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| labels(item, found)),
        _ => {}
    }
}

fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 63
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Kind and name of an object.
type Id = (String, String);

/// What exists for a service: its objects, and those that CloudNativePG creates for its `Cluster`.
fn ids(name: &str, spec: &Value) -> BTreeSet<Id> {
    let id = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&object["kind"]), text(&object["metadata"]["name"]))
    };
    let mut ids: BTreeSet<Id> = objects_of(name, spec).iter().map(id).collect();
    for (kind, cluster) in ids.clone() {
        if kind == "Cluster" {
            let named = |kind: &str, suffix: &str| (kind.to_owned(), format!("{cluster}{suffix}"));
            ids.extend(["-rw", "-ro", "-r"].map(|suffix| named("Service", suffix)));
            ids.extend(
                ["-app", "-ca", "-server", "-replication"].map(|suffix| named("Secret", suffix)),
            );
            ids.extend((1..=9).map(|number| named("PersistentVolumeClaim", &format!("-{number}"))));
            ids.insert(named("ServiceAccount", ""));
        }
    }
    ids
}

/// Suffixes that can make two services collide: the parts that the operator builds names from.
fn suffixes() -> impl Strategy<Value = String> {
    let pieces = [
        "",
        "-app",
        "-backup",
        "-ca",
        "-credentials",
        "-database",
        "-db",
        "-db-0",
        "-db-app",
        "-db-ca",
        "-db-r",
        "-db-ro",
        "-db-rw",
        "-db-tls",
        "-migrate",
        "-migrate-0123456789",
        "-migration",
        "-tls",
    ];
    prop_oneof![
        prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        "-[a-z0-9]{1,8}",
    ]
}

proptest! {
    // Each case builds all objects of one or two services.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_name_and_label_is_valid(name in names(), spec in specs()) {
        for object in objects_of(&name, &spec) {
            let kind = object["kind"].as_str().unwrap();
            let name = object["metadata"]["name"].as_str().unwrap();
            prop_assert!(is_label(name), "{kind} {name}");
            prop_assert!(name.len() <= longest(kind), "{kind} {name}");
            let starts_with_a_letter = name.starts_with(|c: char| c.is_ascii_lowercase());
            prop_assert!(kind != "Service" || starts_with_a_letter, "{name}");
            let mut values = Vec::new();
            labels(&object, &mut values);
            prop_assert!(!values.is_empty(), "{kind}");
            for value in values {
                prop_assert!(is_label_value(&value), "{kind} {name}: {value}");
            }
        }
    }

    /// Only a service that has the name of another one's database can collide with it.
    #[test]
    fn no_other_two_services_have_an_object_in_common(
        first in "[a-z][a-z0-9]{0,8}", prefix in prop::sample::select(vec!["", "data-"]), suffix in suffixes(),
        spec in specs(), other in specs(),
    ) {
        let second = format!("{prefix}{first}{suffix}");
        prop_assume!(first != second);
        let of_second = ids(&second, &other);
        let shared: Vec<Id> = ids(&first, &spec).intersection(&of_second).cloned().collect();
        let is_database = prefix.is_empty() && ["-db", "-db-rw", "-db-ro", "-db-r"].contains(&suffix.as_str());
        prop_assert!(is_database || shared.is_empty(), "{first} {second}: {shared:?}");
    }
}

/// The operator reports the second one as a conflict: it never takes an object over from another resource.
#[test]
fn a_service_called_like_the_database_of_another_has_these_in_common_with_it() {
    let shared = |first: &Value, second: (&str, &Value)| -> Vec<String> {
        let second = ids(second.0, second.1);
        let shared = ids("shop", first)
            .intersection(&second)
            .cloned()
            .collect::<Vec<Id>>();
        shared
            .into_iter()
            .map(|(kind, name)| format!("{kind} {name}"))
            .collect()
    };
    let managed = json!({});
    let cnpg = json!({"database": {"cloudNativePG": {}}});
    let external = json!({"database": {"external": {"secretRef": {"name": "db"}}}});
    assert_eq!(shared(&managed, ("shop-db", &managed)), ["Service shop-db"]);
    assert_eq!(shared(&cnpg, ("shop-db", &managed)), ["Secret shop-db-ca"]);
    assert_eq!(
        shared(&cnpg, ("shop-db-rw", &managed)),
        ["Service shop-db-rw"]
    );
    assert!(shared(&external, ("shop-db", &managed)).is_empty());
}
