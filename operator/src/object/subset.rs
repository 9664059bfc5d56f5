//! Whether a live object already holds everything that is wanted.
//!
//! The API server fills in defaults and other writers add fields, so the two are not compared for equality. A live
//! object is as wanted when it has every wanted field with an equal meaning. Other fields belong to other writers and
//! are ignored. A field that is *no longer* wanted changes the hash annotation instead.

use serde_json::{Map, Value};

use crate::object::quantity::Quantity;

/// Whether `live` holds all of `wanted`.
#[must_use]
pub fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| live.get(key).is_some_and(|live| contains(live, wanted))),
        (Value::Array(live), Value::Array(wanted)) => contains_items(live, wanted),
        (live, wanted) => live == wanted || same_quantity(live, wanted),
    }
}

fn contains_items(live: &[Value], wanted: &[Value]) -> bool {
    if let Some(keys) = wanted
        .first()
        .and_then(Value::as_object)
        .and_then(list_keys)
    {
        let same = |a: &Value, b: &Value| keys.iter().all(|key| a.get(key) == b.get(key));
        return wanted.iter().all(|wanted| {
            live.iter()
                .any(|live| same(live, wanted) && contains(live, wanted))
        });
    }
    live.len() == wanted.len()
        && live
            .iter()
            .zip(wanted)
            .all(|(live, wanted)| contains(live, wanted))
}

/// Keys that identify an item of a list which several writers share; none: the list is one value.
fn list_keys(item: &Map<String, Value>) -> Option<&'static [&'static str]> {
    const CANDIDATES: [&[&str]; 6] = [
        &["mountPath"],
        &["containerPort"],
        &["topologyKey", "whenUnsatisfiable"],
        &["uid", "kind"],
        &["port", "targetPort"],
        &["name"],
    ];
    // Autoscaling metrics are an atomic list although a part of each has a `name`.
    if item.contains_key("type") && item.contains_key("resource") {
        return None;
    }
    // References of the Gateway API name a group, and a list of them is one value.
    if item.contains_key("group") {
        return None;
    }
    CANDIDATES
        .into_iter()
        .find(|keys| keys.iter().all(|key| item.contains_key(*key)))
}

/// The API server rewrites quantities: `1000m` becomes `1`.
fn same_quantity(live: &Value, wanted: &Value) -> bool {
    let value = |text: &Value| text.as_str().and_then(Quantity::parse);
    value(live).is_some_and(|live| Some(live) == value(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_and_fields_of_others_do_not_matter() {
        let live = json!({"spec": {"replicas": 3, "template": {"containers": [
            {"name": "sidecar", "image": "x"},
            {"name": "app", "image": "a", "imagePullPolicy": "IfNotPresent"}]}}});
        let wanted = json!({"spec": {"template": {"containers": [{"name": "app", "image": "a"}]}}});
        assert!(contains(&live, &wanted));
    }

    #[test]
    fn a_changed_field_in_a_keyed_list_is_seen() {
        let live = json!([{"name": "app", "image": "b"}]);
        assert!(!contains(&live, &json!([{"name": "app", "image": "a"}])));
        assert!(!contains(&live, &json!([{"name": "other"}])));
    }

    #[test]
    fn only_autoscaling_metrics_are_atomic_in_spite_of_a_name() {
        for part in ["type", "resource"] {
            let item = |name: &str| json!({"name": name, part: "x"});
            assert!(contains(
                &json!([item("a"), item("b")]),
                &json!([item("b")])
            ));
        }
        let metric = |name: &str| json!({"name": name, "type": "Resource", "resource": {}});
        assert!(!contains(
            &json!([metric("a"), metric("b")]),
            &json!([metric("b")])
        ));
    }

    #[test]
    fn an_atomic_list_must_be_the_same_list() {
        assert!(contains(&json!(["a", "b"]), &json!(["a", "b"])));
        assert!(!contains(&json!(["a", "b", "c"]), &json!(["a", "b"])));
        assert!(!contains(&json!(["b", "a"]), &json!(["a", "b"])));
        let rule = json!([{"from": [{"podSelector": {}}]}]);
        assert!(contains(&rule, &rule));
        assert!(!contains(
            &json!([{"from": [{"podSelector": {}}]}, {}]),
            &rule
        ));
    }

    #[test]
    fn references_of_the_gateway_api_are_all_or_nothing() {
        let ours = json!({"group": "", "kind": "Service", "name": "demo"});
        let theirs = json!({"group": "", "kind": "Service", "name": "else"});
        assert!(contains(&json!([ours]), &json!([ours])));
        assert!(!contains(&json!([ours, theirs]), &json!([ours])));
    }

    #[test]
    fn quantities_are_compared_by_their_value() {
        assert!(contains(&json!({"cpu": "1"}), &json!({"cpu": "1000m"})));
        assert!(!contains(&json!({"cpu": "1"}), &json!({"cpu": "1001m"})));
        assert!(!contains(&json!({"name": "a"}), &json!({"name": "b"})));
    }

    #[test]
    fn an_emptied_volume_source_is_drift() {
        let wanted = json!([{"name": "tmp", "emptyDir": {}}]);
        assert!(!contains(
            &json!([{"name": "tmp", "hostPath": {"path": "/"}}]),
            &wanted
        ));
    }
}
