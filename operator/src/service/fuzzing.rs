//! What must hold for whatever the cluster contains: the steps from `validate` to `decide` over objects in which anything
//! may have been replaced. The target in `operator/fuzz` looks for counter-examples.
//!
//! The bytes are edits of a service as it is after some passes: a byte for the service, then for each edit the object, the
//! place in it, and the new value.

use std::sync::LazyLock;

use hello_crds::{API_VERSION, KIND};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::{Value, json};

use crate::{
    error::Result,
    object::{child::ChildId, kind::Kind, live::Live, names},
    service::{
        children,
        dereference::{self, Read, due_pods, inputs::Inputs, observed::Observed},
        plan::{self, Decision, action::Action, presence::Presence},
        validate::{DefaultImages, Limits, validate},
        waits_since,
    },
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Most edits of one input: more only hide each other.
const EDITS: usize = 8;

/// Values that break sums, dates, sizes, names and formats.
const HOSTILE: [&str; 22] = [
    "null",
    "[]",
    "{}",
    "[[]]",
    "true",
    "0",
    "-1",
    "2147483647",
    "-2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "1e300",
    r#""""#,
    r#""9999-12-30T22:00:00Z""#,
    r#""9999-12-30T22:00:00.999999999Z""#,
    r#""-009999-01-02T01:59:59Z""#,
    r#""99999999999999999999999999999999999999999Ei""#,
    r#""?watch=true""#,
    r#""a/../b""#,
    r#""0 0 31 2 *""#,
    r#""\u0000\u202e""#,
    r#""-1""#,
];

/// A service of one kind of database: the resource, then its objects, then its pods.
struct World {
    resource: Value,
    objects: Vec<(Kind, Value)>,
    pods: Vec<Value>,
}

static WORLDS: LazyLock<Vec<World>> = LazyLock::new(|| {
    let databases = [
        json!({"managed": {"parameters": {"work_mem": "1MB"}, "storage": {"size": "10Gi", "storageClassName": "a"}}}),
        json!({"external": {"secretRef": {"name": "own", "caKey": "ca"}}}),
        json!({"cloudNativePG": {"storage": {"size": "10Gi"}}}),
    ];
    let worlds = databases.into_iter();
    worlds
        .filter_map(|database| World::new(database).ok())
        .collect()
});

fn images() -> DefaultImages {
    DefaultImages {
        app: "hello-app:1".into(),
        postgres: "postgres:18".into(),
    }
}

/// A decision: whatever the objects contain, it ends, it is the same each time, it never writes to a foreign object nor
/// deletes what holds data, and it writes nothing while the resource is paused.
///
/// # Panics
/// When one of these does not hold.
pub fn decision(bytes: &[u8]) {
    let Some((world, edits)) = bytes.split_first() else {
        return;
    };
    let count = WORLDS.len().max(1);
    let Some(world) = WORLDS.get(usize::from(*world) % count) else {
        return;
    };
    let Ok(Some((decision, again))) = world.edited(edits).decide() else {
        return;
    };
    assert_eq!(decision.plan, again.plan, "the decision is not the same");
    for action in &decision.plan.actions {
        let id = action.child();
        let presence = decision.facts.present.get(id);
        assert_ne!(presence, Some(&Presence::Foreign), "{action}: foreign");
        assert!(!decision.facts.paused, "{action}: paused");
        let deletes = matches!(action, Action::Delete(_));
        assert!(!(deletes && id.kind.row().holds_data), "{action}: data");
    }
}

impl World {
    /// A service that has everything, as its first pass makes it and as Kubernetes reports it.
    fn new(database: Value) -> Result<Self> {
        let spec = json!({"autoscaling": {"maxReplicas": 3}, "tls": {"secretName": "own"}, "database": database,
            "backup": {"schedule": "0 2 * * *", "timeZone": "Europe/Berlin"},
            "expose": {"service": {"type": "LoadBalancer"}, "ingress": {"host": "a.example.com"},
                "httpRoute": {"parentRefs": [{"name": "a"}]}}});
        let resource = json!({"apiVersion": API_VERSION, "kind": KIND, "spec": spec,
            "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {names::ROTATE_ANNOTATION: "1", names::ACCEPT_DATA_ANNOTATION: "x"}},
            "status": {"observedGeneration": 1, "database": {"kind": "managed", "data": {"uid": "claim", "volume": "v"}},
                "conditions": [{"type": "Ready", "status": "False", "reason": "R", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        let mut world = Self {
            resource,
            objects: vec![],
            pods: ["app", "database", "migration", "backup"].map(pod).into(),
        };
        let labels =
            json!({names::INSTANCE_LABEL: "demo", names::MANAGED_BY_LABEL: names::MANAGER});
        let claim = json!({"metadata": {"name": "data-demo-db-0", "uid": "claim", "labels": labels},
            "spec": {"volumeName": "v", "storageClassName": "a", "resources": {"requests": {"storage": "10Gi"}}},
            "status": status(Kind::PersistentVolumeClaim)});
        world.objects.push((Kind::PersistentVolumeClaim, claim));
        let own = json!({"metadata": {"name": "own", "uid": "own"},
            "data": {"uri": "cG9zdGdyZXM6Ly9hOmJAYy5kL2U=", "ca": "", "tls.crt": "", "tls.key": ""}});
        world.objects.push((Kind::Secret, own));
        // What holds the data is there before its migration is known.
        for _ in 0..2 {
            if let Some((decision, _)) = world.decide()? {
                world.carry_out(&decision);
            }
        }
        Ok(world)
    }

    /// Makes what the decision creates.
    fn carry_out(&mut self, decision: &Decision) {
        for write in &decision.writes {
            if let plan::write::Change::Create(desired) = &write.change {
                let mut object = desired.body.clone();
                object["metadata"]["uid"] = desired.id.to_string().into();
                object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
                object["metadata"]["generation"] = 1.into();
                object["status"] = status(desired.id.kind);
                self.objects.push((desired.id.kind, object));
            }
        }
    }

    /// The same with these edits.
    fn edited(&self, mut bytes: &[u8]) -> Self {
        let mut world = Self {
            resource: self.resource.clone(),
            objects: self.objects.clone(),
            pods: self.pods.clone(),
        };
        for _ in 0..EDITS {
            let [object, high, low, value, rest @ ..] = bytes else {
                break;
            };
            let place = usize::from(u16::from_be_bytes([*high, *low]));
            let (value, rest) = new_value(*value, rest);
            let objects = world.objects.iter_mut().map(|(_, object)| object);
            let mut all: Vec<&mut Value> = std::iter::once(&mut world.resource)
                .chain(objects)
                .chain(&mut world.pods)
                .collect();
            let index = usize::from(*object) % all.len();
            if let Some(object) = all.get_mut(index) {
                replace(object, place, value);
            }
            bytes = rest;
        }
        world
    }

    /// What a pass decides, twice; `None` when the API server would not show this, or the spec is refused.
    fn decide(&self) -> Result<Option<(Decision, Decision)>> {
        let Ok(raw) = serde_json::from_value(self.resource.clone()) else {
            return Ok(None);
        };
        let resource = dereference::parse(raw)?;
        let service = validate(&resource, &images())?;
        Limits::default().check(&service)?;
        let mut observed = Observed {
            pods: self.pods.iter().filter_map(parsed::<Pod>).collect(),
            ..Observed::default()
        };
        for (kind, object) in &self.objects {
            let Some(live) = parsed(object).and_then(|object| Live::parse(*kind, object).ok())
            else {
                continue;
            };
            let name = live.metadata().name.clone().unwrap_or_default();
            observed.children.insert(ChildId::new(*kind, name), live);
        }
        observed.database_secret = observed.children.typed::<Secret>("own").cloned();
        let times = waits_since(resource.status.as_ref(), &service, NOW);
        let waiting = due_pods::waiting(&observed, times);
        observed.due_pods.awaited = waiting.iter().any(|waiting| waiting.is_awaited(NOW));
        let inputs = Inputs::from_observed(&service, &observed, NOW)?;
        let prepared = children::build(&service, &inputs).prepare()?;
        let read = Read { observed, inputs };
        let first = plan::decide(&service, &prepared, read.clone());
        Ok(Some((first, plan::decide(&service, &prepared, read))))
    }
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// A value by its number, or one that the input spells out.
fn new_value(number: u8, rest: &[u8]) -> (Value, &[u8]) {
    if let Some(text) = HOSTILE.get(usize::from(number)) {
        return (serde_json::from_str(text).unwrap_or_default(), rest);
    }
    let Some((length, rest)) = rest.split_first() else {
        return (Value::Null, rest);
    };
    let (text, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    let text = String::from_utf8_lossy(text);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(&*text));
    (value, rest)
}

/// Replaces the value at the place with this number, counted from the outside.
fn replace(object: &mut Value, place: usize, value: Value) {
    let mut places = Vec::new();
    collect(object, "", &mut places);
    let path = places.get(place % places.len().max(1));
    if let Some(target) = path.and_then(|path| object.pointer_mut(path)) {
        *target = value;
    }
}

/// Every place in a value, as JSON pointers.
fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// What Kubernetes reports about an object of this kind.
fn status(kind: Kind) -> Value {
    let time = "2026-01-01T00:00:00Z";
    match kind {
        Kind::PersistentVolumeClaim => json!({"phase": "Bound", "capacity": {"storage": "10Gi"}}),
        Kind::StatefulSet => {
            json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
            "currentRevision": "r", "updateRevision": "r"})
        }
        Kind::Job => json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True",
            "lastTransitionTime": time}]}),
        Kind::CronJob => json!({"lastScheduleTime": time, "lastSuccessfulTime": time}),
        Kind::Deployment => {
            json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2})
        }
        Kind::HorizontalPodAutoscaler => json!({"currentReplicas": 2, "desiredReplicas": 2}),
        Kind::Cluster => {
            json!({"phase": "Cluster in healthy state", "readyInstances": 3, "currentPrimary": "demo-db-1",
            "targetPrimary": "demo-db-1", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]})
        }
        _ => json!({}),
    }
}

/// A pod of one part of the service.
fn pod(part: &str) -> Value {
    let time = "2026-01-01T00:00:00Z";
    let labels = json!({names::INSTANCE_LABEL: "demo", names::COMPONENT_LABEL: part, "controller-revision-hash": "r"});
    let container = json!({"name": part, "image": "a:1", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}},
        "lastState": {"terminated": {"exitCode": 1, "message": "m", "startedAt": time, "finishedAt": time}}});
    json!({"metadata": {"name": part, "namespace": "ns", "uid": part, "labels": labels, "creationTimestamp": time,
            "resourceVersion": "1"},
        "spec": {"nodeName": "n", "containers": [{"name": part, "image": "a:1"}]},
        "status": {"phase": "Pending", "containerStatuses": [container], "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": time}]}})
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_world_has_a_decision_and_edits_reach_it() {
        assert_eq!(WORLDS.len(), 3);
        for world in &*WORLDS {
            assert!(world.objects.len() > 6, "{}", world.objects.len());
            let (decision, _) = world.edited(&[]).decide().unwrap().unwrap();
            assert!(
                !decision
                    .plan
                    .actions
                    .iter()
                    .any(|action| matches!(action, Action::Delete(_)))
            );
        }
        // Most values of the resource's status and annotations are read, and end no decision.
        let world = &WORLDS[0];
        let decides = |place: u8| {
            world
                .edited(&[0, 0, place, 12])
                .decide()
                .is_ok_and(|found| found.is_some())
        };
        let decided = (0..60).filter(|place| decides(*place)).count();
        assert!((20..60).contains(&decided), "{decided}");
        // `null` in place of the whole resource.
        let edited = WORLDS[0].edited(&[0, 0, 0, 0]);
        assert!(edited.resource.is_null());
        let spelt = WORLDS[0].edited(&[0, 0, 0, 255, 3, b'a', b'b', b'c']);
        assert_eq!(spelt.resource, "abc");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_edits_keep_the_rules(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            decision(&bytes);
        }

        /// One of the values that break most, anywhere.
        #[test]
        fn hostile_values_keep_the_rules(
            world in any::<u8>(),
            edits in proptest::collection::vec((any::<u8>(), any::<[u8; 2]>(), 0..u8::try_from(HOSTILE.len()).unwrap()), 1..4),
        ) {
            let edits = edits.into_iter().flat_map(|(object, [high, low], value)| [object, high, low, value]);
            let bytes: Vec<u8> = std::iter::once(world).chain(edits).collect();
            decision(&bytes);
        }
    }
}
