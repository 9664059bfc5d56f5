//! Where in the objects of a resource the change of a field shows, and which fields can be changed together.

use std::collections::{BTreeMap, BTreeSet};

use hello_operator::service::{
    children::build,
    dereference::inputs::Inputs,
    validate::{DefaultImages, validate},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    field_bases::{changed, is_edited_alone},
    state::{State, content, liken},
};

/// Places in objects: the object, and the way to a value in it.
pub type Places = BTreeSet<String>;

/// Another value for a field.
pub struct Edit {
    pub path: String,
    pub value: Value,
    /// Where it shows, in the objects as they are built: no value that only a cluster knows is in them.
    pub places: Places,
}

impl Edit {
    pub fn new(base: fn(u16) -> Value, path: &str, value: Value) -> Self {
        let mut edit = Self {
            path: path.to_owned(),
            value,
            places: Places::new(),
        };
        if !is_edited_alone(base, path) {
            let after = built(changed(base, &[&edit]));
            edit.places = places(&built(base(PORT)), &after);
        }
        edit
    }

    /// Whether another edit would hide what this one does.
    fn meets(&self, other: &Self) -> bool {
        self.places.is_empty()
            || other.places.is_empty()
            || self.places.iter().any(|place| shows(&other.places, place))
    }
}

/// A node port of objects that are never applied.
const PORT: u16 = 30_000;

/// Most edits at a time, so that a failure is about few.
const MOST: usize = 12;

/// Puts edits together that show in different places.
pub fn groups(edits: Vec<Edit>) -> Vec<Vec<Edit>> {
    let mut groups: Vec<Vec<Edit>> = Vec::new();
    for edit in edits {
        let fits = |group: &&mut Vec<Edit>| {
            group.len() < MOST && !group.iter().any(|other| edit.meets(other))
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(edit),
            None => groups.push(vec![edit]),
        }
    }
    groups
}

/// The objects of a spec, as they are built without a cluster.
fn built(mut spec: Value) -> State {
    spec["expose"]["service"]["nodePort"] = PORT.into();
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}, "spec": spec});
    let images = DefaultImages {
        app: "hello-app:1".into(),
        postgres: "postgres:18".into(),
    };
    let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
    let prepared = build(&service, &Inputs::offline()).prepare().unwrap();
    let state = prepared.children.into_iter().map(|child| {
        let object: DynamicObject = serde_json::from_value(child.body).unwrap();
        (child.id.to_string(), content(child.id.kind, &object))
    });
    liken("ns", "demo", state.collect())
}

/// The places in which two states differ.
pub fn places(before: &State, after: &State) -> Places {
    let mut found = Places::new();
    for id in before.keys().chain(after.keys()) {
        match (before.get(id), after.get(id)) {
            (Some(before), Some(after)) => compare(id, before, after, &mut found),
            _ => drop(found.insert(id.clone())),
        }
    }
    found
}

fn compare(place: &str, before: &Value, after: &Value, found: &mut Places) {
    if before == after {
        return;
    }
    let (Some(before), Some(after)) = (fields(before), fields(after)) else {
        found.insert(place.to_owned());
        return;
    };
    for field in before.keys().chain(after.keys()) {
        let place = format!("{place}\n{field}");
        match (before.get(field), after.get(field)) {
            (Some(before), Some(after)) => compare(&place, before, after, found),
            _ => drop(found.insert(place)),
        }
    }
}

/// What can change independently: the fields of an object, or the items of a list that have names.
fn fields(value: &Value) -> Option<BTreeMap<&str, &Value>> {
    match value {
        Value::Object(fields) => Some(
            fields
                .iter()
                .map(|(name, value)| (&**name, value))
                .collect(),
        ),
        Value::Array(items) => {
            let named = |item| Some((Value::as_str(Value::get(item, "name")?)?, item));
            items.iter().map(named).collect()
        }
        _ => None,
    }
}

/// Whether a change of this place is, or is a part of, or contains one of these.
pub fn shows(places: &Places, place: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'))
    };
    places
        .iter()
        .any(|other| within(place, other) || within(other, place))
}
