//! Schemas of types of the core API.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// Fields that the API server drops unless a feature gate is set, in some supported version. What it drops would be
/// written again forever.
const GATED: [&str; 5] = [
    "fileKeyRef",
    "matchLabelKeys",
    "mismatchLabelKeys",
    "recursiveReadOnly",
    "tolerance",
];

/// The schema of a type of the core API, without its descriptions: five parts with the same fields would repeat them,
/// and `kubectl explain pod.spec` has them.
pub(super) fn bare<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator).to_value();
    strip(&mut schema);
    // What was a schema still is one.
    Schema::try_from(schema).unwrap_or_default()
}

/// A list of [`bare`] items.
pub(super) fn bare_list<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = schemars::json_schema!({"type": "array"});
    schema.insert("items".into(), bare::<T>(generator).to_value());
    schema
}

/// Removes the descriptions of a schema and of those inside it. A property may itself be called `description`; then
/// it is a schema, not text.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            if let Some(Value::Object(fields)) = map.get_mut("properties") {
                fields.retain(|name, _| !GATED.contains(&name.as_str()));
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
