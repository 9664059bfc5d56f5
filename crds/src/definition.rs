//! The CustomResourceDefinitions, generated from the types.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{restore::HelloRestore, spec::HelloService};

/// Every CustomResourceDefinition, as JSON documents ready to be printed as YAML.
///
/// # Errors
/// When a definition cannot be represented as JSON, which would be a defect in the types.
pub fn definitions() -> Result<Vec<Value>, serde_json::Error> {
    let mut definitions = vec![
        serde_json::to_value(HelloService::crd())?,
        serde_json::to_value(HelloRestore::crd())?,
    ];
    for definition in &mut definitions {
        write_whole_numbers(definition);
        join_lines_of_descriptions(definition);
        set_default_status(definition);
    }
    Ok(definitions)
}

/// Gives a new resource a status whose `observedGeneration` matches no generation. Without a status, tools that follow
/// kstatus report a resource as current before the operator has read it.
fn set_default_status(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] =
            json!({"observedGeneration": -1});
    }
}

/// Joins the lines of each description: doc comments are wrapped, and `kubectl explain` keeps line breaks.
fn join_lines_of_descriptions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(description)) = map.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            map.values_mut().for_each(join_lines_of_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines_of_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces whole numbers that have a fraction: the schema generator writes bounds as `1000.0`.
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(write_whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && number.is_f64()
                && float.fract() == 0.0
                && float.abs() < 9e15
            {
                // Exact: the value is whole and far below 2^53.
                #[allow(clippy::cast_possible_truncation)]
                let whole = float as i64;
                *value = Value::from(whole);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
