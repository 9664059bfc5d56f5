//! Whether a live object already holds everything that is wanted.
//!
//! The API server fills in defaults and others add fields, so equality is the wrong question. The
//! right one: is every wanted field there, with an equal meaning? Fields that are not wanted are
//! somebody else's and are left alone; a field that is *no longer* wanted shows up as a changed
//! hash annotation instead.

use std::cmp::Ordering;

use serde_json::{Map, Value};

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
    // Pieces of atomic lists that happen to have a `name`: autoscaling metrics are told apart by `type`.
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

fn same_quantity(live: &Value, wanted: &Value) -> bool {
    match (live.as_str(), wanted.as_str()) {
        (Some(live), Some(wanted)) => compare_quantities(live, wanted) == Some(Ordering::Equal),
        _ => false,
    }
}

/// Compares two Kubernetes quantities by value; `None` when one is not a quantity.
#[must_use]
pub fn compare_quantities(a: &str, b: &str) -> Option<Ordering> {
    Some(millis(a)?.cmp(&millis(b)?))
}

/// Value of a quantity in thousandths; `None` when it is not one or has more digits than anybody needs.
fn millis(text: &str) -> Option<u128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 3 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction:0<3}").parse().ok()?;
    let factor: u128 = match suffix {
        "m" => return fraction.is_empty().then_some(digits / 1000),
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    digits.checked_mul(factor)
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
    fn quantities_are_compared_by_value() {
        for (a, b) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1k", "1000"),
        ] {
            assert_eq!(compare_quantities(a, b), Some(Ordering::Equal), "{a} {b}");
        }
        assert_eq!(compare_quantities("1Gi", "1G"), Some(Ordering::Greater));
        for word in ["", "m", "1x", "1.2345", "-1", ".5", "hello"] {
            assert_eq!(compare_quantities(word, "1"), None, "{word}");
        }
        assert!(contains(&json!({"cpu": "1"}), &json!({"cpu": "1000m"})));
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
