//! Which field manager holds the number of replicas.
//!
//! The number has a field manager of its own, so that leaving it to an autoscaler never removes it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::object::names;

/// Whether `manager` holds the number of replicas of an object.
#[must_use]
pub fn holds(live: &DynamicObject, manager: &str) -> bool {
    live.managed_fields()
        .iter()
        .any(|entry| entry.manager.as_deref() == Some(manager) && has_replicas(entry))
}

/// Whether the number of replicas is among the fields of an entry.
fn has_replicas(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| fields.0["f:spec"].get("f:replicas").is_some())
}

/// A JSON patch that takes the replicas out of the operator's fields and leaves their value. It fails when the object
/// has another UID, or when its managers have changed.
#[must_use]
pub fn release_patch(live: &DynamicObject, uid: &str) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
    let entries = live.managed_fields().iter().enumerate();
    // From the last one on: what is removed moves only those behind it.
    for (index, entry) in entries.rev().filter(|(_, entry)| has_replicas(entry)) {
        let path = format!("/metadata/managedFields/{index}");
        let field = match entry.manager.as_deref() {
            Some(names::MANAGER) => format!("{path}/fieldsV1/f:spec/f:replicas"),
            // It holds nothing else.
            Some(names::SCALE_MANAGER) => path.clone(),
            _ => continue,
        };
        patch
            .push(json!({"op": "test", "path": format!("{path}/manager"), "value": entry.manager}));
        patch.push(json!({"op": "remove", "path": field}));
    }
    patch.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(managers: &[(&str, bool)]) -> DynamicObject {
        let entries: Vec<Value> = managers
            .iter()
            .map(|(manager, holds)| {
                let fields = match holds {
                    true => json!({"f:spec": {"f:replicas": {}, "f:template": {}}}),
                    false => json!({"f:spec": {"f:template": {}}}),
                };
                json!({"manager": manager, "fieldsV1": fields})
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "demo", "managedFields": entries}}))
            .unwrap()
    }

    #[test]
    fn only_the_manager_with_the_field_holds_it() {
        let live = deployment(&[(names::MANAGER, false), ("kubectl", true)]);
        assert!(holds(&live, "kubectl"));
        assert!(!holds(&live, names::MANAGER));
        assert!(!holds(&live, names::SCALE_MANAGER));
    }

    #[test]
    fn a_release_keeps_the_other_fields_and_other_managers() {
        let live = deployment(&[
            (names::MANAGER, true),
            ("kubectl", true),
            (names::SCALE_MANAGER, true),
            (names::MANAGER, false),
        ]);
        assert_eq!(
            release_patch(&live, "u"),
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u"},
                {"op": "test", "path": "/metadata/managedFields/2/manager", "value": names::SCALE_MANAGER},
                {"op": "remove", "path": "/metadata/managedFields/2"},
                {"op": "test", "path": "/metadata/managedFields/0/manager", "value": names::MANAGER},
                {"op": "remove", "path": "/metadata/managedFields/0/fieldsV1/f:spec/f:replicas"},
            ])
        );
    }
}
