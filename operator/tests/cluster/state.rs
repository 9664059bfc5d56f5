//! The content of a resource's children, comparable between runs and between resources.

use std::collections::BTreeMap;

use hello_operator::object::kind::Kind;
use k8s_openapi::ByteString;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::world::World;

/// Children by name.
pub type State = BTreeMap<String, Value>;

/// The content of the children of `name`, without what the API server adds.
pub async fn state(world: &World, name: &str) -> State {
    let children = world.children(name).await.into_iter();
    children
        .map(|(id, live)| (id.to_string(), content(id.kind, &live)))
        .collect()
}

/// What is compared of an object.
pub fn content(kind: Kind, live: &DynamicObject) -> Value {
    // Two Jobs of the same hash differ by the UIDs in their selectors.
    let spec = live.data.get("spec").filter(|_| kind != Kind::Job);
    let owners: Vec<&str> = live.owner_references().iter().map(|o| &*o.kind).collect();
    json!({"spec": spec, "data": live.data.get("data"), "labels": live.metadata.labels,
        "annotations": live.metadata.annotations, "owners": owners})
}

/// The same for the comparison with another resource: names, passwords, certificates, hashes and values that the API
/// server assigns are replaced by placeholders.
pub async fn likeness(world: &World, name: &str) -> State {
    liken(&world.namespace, name, state(world, name).await)
}

/// The same of a known state.
pub fn liken(namespace: &str, name: &str, state: State) -> State {
    let plain = |text: &str| generic(text, name, namespace);
    state
        .into_iter()
        .map(|(id, mut content)| {
            for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
                if let Some(spec) = content["spec"].as_object_mut() {
                    spec.remove(field);
                }
            }
            if let Some(data) = content["data"].as_object_mut() {
                data.values_mut().for_each(decode);
            }
            each_text(&mut content, &plain);
            (plain(&id), content)
        })
        .collect()
}

fn decode(value: &mut Value) {
    let bytes: ByteString = serde_json::from_value(value.take()).unwrap();
    *value = String::from_utf8(bytes.0).unwrap().into();
}

fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|item| each_text(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn generic(text: &str, name: &str, namespace: &str) -> String {
    if text.starts_with("-----BEGIN") {
        return format!("{} PEM", text.matches("-----BEGIN").count());
    }
    let text = replace_word(text, namespace, "NAMESPACE");
    mask_digests(&replace_word(&text, name, "NAME"))
}

/// Replaces `word` where it is not a part of a longer one.
fn replace_word(text: &str, word: &str, other: &str) -> String {
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(word) {
        let (before, after) = (&rest[..start], &rest[start + word.len()..]);
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let whole = !joins(before.chars().next_back()) && !joins(after.chars().next());
        replaced.push_str(before);
        replaced.push_str(if whole { other } else { word });
        rest = after;
    }
    replaced + rest
}

/// Replaces runs of hexadecimal digits as long as our hashes and passwords are.
fn mask_digests(text: &str) -> String {
    let mut masked = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let hexadecimal = bare.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hexadecimal && matches!(bare.len(), 10 | 16 | 48) {
            masked.push('#');
            masked.push_str(&word[bare.len()..]);
        } else {
            masked.push_str(word);
        }
    }
    masked
}

/// Asserts that two states are equal; the message names the children that differ, and how.
pub fn assert_same(left: &State, right: &State, what: &str) {
    let names = |state: &State| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(left), names(right), "{what}");
    for (id, content) in left {
        assert_eq!(*content, right[id], "{what}: {id}");
    }
}
