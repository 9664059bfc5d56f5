//! The Rust types of the `hello.internal` custom resources, and the YAML generated from them.
//!
//! A field exists here only when the operator acts on it: an accepted field is never ignored.

mod auth;
mod config;
mod data;
mod expose;
mod monitoring;
mod spec;
mod status;

pub use auth::*;
pub use config::*;
pub use data::*;
pub use expose::*;
pub use monitoring::*;
pub use spec::*;
pub use status::*;

use kube::CustomResourceExt;
use serde_json::{Value, json};

/// The API group of all resources.
pub const GROUP: &str = "hello.internal";

/// Every CustomResourceDefinition, as JSON documents ready to be printed as YAML.
///
/// # Errors
/// When a definition cannot be represented as JSON, which would be a defect in the types.
pub fn definitions() -> Result<Vec<Value>, serde_json::Error> {
    let mut definition = serde_json::to_value(HelloService::crd())?;
    tidy(&mut definition);
    begin_unobserved(&mut definition);
    Ok(vec![definition])
}

/// Gives a new resource a status that says that nobody has looked at it yet. Without any status, tools that follow
/// kstatus take a resource for current before the operator has seen it.
fn begin_unobserved(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] =
            json!({"observedGeneration": -1});
    }
}

/// Prints whole numbers without a fraction: the schema generator writes bounds as `1000.0`.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(tidy),
        Value::Array(items) => items.iter_mut().for_each(tidy),
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
