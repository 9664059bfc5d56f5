//! Which resource a live object belongs to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{ResourceExt, api::DynamicObject};

use crate::object::names;

/// Who a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the resource and of its children.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// UID of the resource: distinguishes it from an earlier one of the same name.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
}

impl Identity {
    /// Whether an object belongs to this service, or to an earlier one of its name.
    #[must_use]
    pub fn has(&self, live: &DynamicObject) -> bool {
        match controller(live) {
            Some(owner) => owner.kind == "HelloService" && owner.name == self.name,
            None => self.has_retained(live),
        }
    }

    /// Whether an object without an owner was retained for a resource of this name.
    #[must_use]
    pub fn has_retained(&self, live: &DynamicObject) -> bool {
        // The operator applied it: a label alone is easily copied.
        self.is_in_labels(live) && live.annotations().contains_key(names::HASH_ANNOTATION)
    }

    /// Whether the labels of an object name this service and this operator.
    #[must_use]
    pub fn is_in_labels(&self, live: &DynamicObject) -> bool {
        let manager = live.labels().get(names::MANAGED_BY_LABEL);
        names::instance_of(live.labels()) == Some(&self.name)
            && manager.is_some_and(|manager| manager == names::MANAGER)
    }
}

/// The reference by which an object belongs to its owner, and is deleted with it. No `blockOwnerDeletion`: it needs a right
/// on finalizers, and only foreground deletion uses it, which must not wait for the operator either.
#[must_use]
pub fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// The owner that manages an object, if there is one.
#[must_use]
pub fn controller(live: &DynamicObject) -> Option<&OwnerReference> {
    live.owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn identity() -> Identity {
        Identity {
            namespace: "ns".into(),
            name: "demo".into(),
            uid: "new".into(),
            generation: 1,
        }
    }

    fn object(metadata: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn an_owner_decides_by_kind_and_name() {
        let owned = |kind: &str, name: &str, controller: bool| {
            let owner = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": "old",
                "controller": controller});
            identity().has(&object(json!({"name": "x", "ownerReferences": [owner]})))
        };
        assert!(owned("HelloService", "demo", true));
        assert!(!owned("HelloService", "other", true));
        assert!(!owned("StatefulSet", "demo", true));
        assert!(!owned("HelloService", "demo", false));
    }

    #[test]
    fn without_an_owner_both_labels_and_the_hash_decide() {
        let (instance, manager) = (names::INSTANCE_LABEL, names::MANAGED_BY_LABEL);
        let good = json!({"name": "x", "annotations": {names::HASH_ANNOTATION: "1"},
            "labels": {instance: "demo", manager: names::MANAGER}});
        assert!(identity().has(&object(good.clone())));
        for (path, value) in [
            ("labels", json!({instance: "demo"})),
            ("labels", json!({manager: names::MANAGER})),
            ("labels", json!({instance: "demo", manager: "Helm"})),
            (
                "labels",
                json!({instance: "other", manager: names::MANAGER}),
            ),
            ("annotations", json!({})),
        ] {
            let mut metadata = good.clone();
            metadata[path] = value;
            let object = object(metadata);
            assert!(!identity().has(&object), "{object:?}");
        }
    }
}
