//! Patches of objects and of other patches.

use serde_json::{Map, Value};

/// RFC 7396.
pub fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (value, target.get_mut(key)) {
            (Value::Null, _) => {
                target.remove(key);
            }
            (Value::Object(patch), Some(Value::Object(target))) => merge(target, patch),
            (Value::Object(patch), _) => {
                let mut object = Map::new();
                merge(&mut object, patch);
                target.insert(key.clone(), object.into());
            }
            (value, _) => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Adds a patch to another one: what it removes stays removed.
pub fn extend(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (value, target.get_mut(key)) {
            (Value::Object(patch), Some(Value::Object(target))) => extend(target, patch),
            (value, _) => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}
