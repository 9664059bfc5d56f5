//! Whether a live object already holds everything that is wanted.
//!
//! The API server fills in defaults and others add fields, so equality is the wrong question. The
//! right one: is every wanted field there, with an equal meaning? Fields that are not wanted are
//! somebody else's and are left alone; a field that is *no longer* wanted shows up as a changed
//! hash annotation instead.

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
    let value = |text: &Value| text.as_str().and_then(quantity);
    value(live).is_some_and(|live| Some(live) == value(wanted))
}

/// Value of a quantity in thousandths, as the API server keeps it: what is finer is rounded up. `None`
/// when it is not a quantity.
fn quantity(text: &str) -> Option<u128> {
    // One in billionths, the finest there is.
    const UNIT: u128 = 1_000_000_000;
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let factor = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => UNIT,
        "k" => UNIT * 1_000,
        "M" => UNIT * 1_000_000,
        "G" => UNIT * 1_000_000_000,
        "T" => UNIT * 1_000_000_000_000,
        "P" => UNIT * 1_000_000_000_000_000,
        "E" => UNIT * 1_000_000_000_000_000_000,
        "Ki" => UNIT << 10,
        "Mi" => UNIT << 20,
        "Gi" => UNIT << 30,
        "Ti" => UNIT << 40,
        "Pi" => UNIT << 50,
        "Ei" => UNIT << 60,
        _ => return None,
    };
    let places = 10_u128.checked_pow(fraction.len().try_into().ok()?)?;
    let value = digits.checked_mul(factor)?.div_ceil(places);
    Some(value.div_ceil(UNIT / 1_000))
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

    fn same(a: &str, b: &str) -> bool {
        contains(&json!({"cpu": a}), &json!({"cpu": b}))
    }

    /// The left one is what an API server answers when it is given the right one.
    #[test]
    fn quantities_are_compared_as_the_api_server_keeps_them() {
        for (kept, given) in [
            ("1", "1000m"),
            ("500m", "0.5"),
            ("1Gi", "1024Mi"),
            ("1k", "1000"),
            ("101m", "100.5m"),
            ("1325534281728m", "1.2345Gi"),
            ("1288490188800m", "1.2Gi"),
            ("102400m", "0.1Ki"),
            ("1024103m", "1.0001Ki"),
            ("1124m", "1.123456789"),
            ("1E", "1000000T"),
            ("1Pi", "1024Ti"),
            ("0", "0.0Mi"),
        ] {
            assert!(same(kept, given), "{kept} {given}");
        }
        for (a, b) in [
            ("1Gi", "1G"),
            ("1325534282", "1.2345Gi"),
            ("1", "1001m"),
            ("1", "1000.001m"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        for word in [
            "",
            "m",
            "1x",
            "-1",
            ".5",
            "1.2.3",
            "hello",
            "1i",
            "9999999999999999999999E",
        ] {
            assert_eq!(quantity(word), None, "{word}");
        }
    }

    /// The values of a field of the spec that is called `name`, by its pattern in the schema.
    fn accepted(name: &str) -> impl proptest::strategy::Strategy<Value = String> {
        fn find(schema: &Value, name: &str) -> Option<String> {
            if let Some(pattern) = schema["properties"][name]["pattern"].as_str() {
                return Some(pattern.to_owned());
            }
            let children = schema.as_object()?.values();
            children.into_iter().find_map(|child| find(child, name))
        }
        let definition = hello_crds::definitions().unwrap().remove(0);
        let pattern = find(
            &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            name,
        )
        .unwrap();
        let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
        proptest::string::string_regex(pattern).unwrap()
    }

    proptest::proptest! {
        /// What cannot be compared would be written again and again.
        #[test]
        fn every_quantity_of_the_spec_can_be_compared(
            cpu in accepted("cpu"), memory in accepted("memory"), size in accepted("size"),
        ) {
            for text in [cpu, memory, size] {
                proptest::prop_assert!(quantity(&text).is_some(), "{text}");
                // No larger than the API server's own bound, beyond which it would keep less.
                proptest::prop_assert!(quantity(&text) <= quantity("9223372036854775807"), "{text}");
            }
        }
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
