//! Whole passes over what anybody may have written: whatever the objects contain, a pass ends, and the next one is not
//! at once.
//!
//! The API server keeps what the operator writes, and shows it back with a status. Then single values of what it shows
//! are replaced, or removed, all over.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::test_server::{Sent, Server, failure},
    object::names,
};

/// Objects by plural and name.
type Objects = BTreeMap<(String, String), Value>;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// The values that break most sums.
const EXTREME: [&str; 4] = [
    r#""9999-12-30T22:00:00Z""#,
    r#""-009999-01-02T01:59:59Z""#,
    "2147483647",
    "-2147483648",
];

/// Values that break sums, dates, sizes and formats.
fn hostile() -> Vec<Value> {
    let mut all: Vec<Value> = EXTREME
        .map(|text| serde_json::from_str(text).unwrap())
        .into();
    let texts = [
        "9999-12-30T22:00:00.999999999Z",
        "-009999-01-02T01:59:59Z",
        "1970-01-01T00:00:00Z",
        "3000-01-01T00:00:00.000001Z",
        "2026-02-30T00:00:00Z",
        "",
        "?watch=true",
        "a/../b",
        "é\u{0}\u{202e}𝔘",
        "99999999999999999999999999999999999999999Ei",
        "-1",
        "1e400",
        "0 0 31 2 *",
        "true",
    ];
    all.extend(texts.map(Value::from));
    all.push("x".repeat(70_000).into());
    all.extend([i64::MIN, -1, 0, i64::from(i32::MAX), i64::MAX].map(Value::from));
    all.extend([json!(1e300), json!(null), json!([]), json!({}), json!([[]])]);
    all
}

/// An API server for one service, and the operator's side of it.
struct World {
    objects: Arc<Mutex<Objects>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    context: Context,
}

impl World {
    fn new(objects: Objects) -> Self {
        let objects = Arc::new(Mutex::new(objects));
        let shown = Arc::clone(&objects);
        let server = Server::new(move |sent| answer(&mut shown.lock().unwrap(), sent));
        let context = Context::of_tests(server.cluster, Arc::new(|| NOW));
        Self {
            objects,
            sent: server.sent,
            context,
        }
    }

    /// One pass; it must not be repeated at once.
    async fn pass(&self) -> Outcome {
        let key = Key::new("ns", "demo");
        let outcome = self.context.reconcile(&key).await;
        match outcome.next {
            Next::After(delay) => assert!(delay >= Duration::from_secs(1), "{outcome:?}"),
            Next::Failed(shortest, _) => assert!(!shortest.is_zero(), "{outcome:?}"),
            Next::Forget => {}
        }
        outcome
    }
}

fn answer(objects: &mut Objects, sent: &Sent) -> (u16, Value) {
    let mut parts = sent
        .path
        .split('/')
        .skip_while(|part| *part != "namespaces")
        .skip(2);
    let (plural, name) = (parts.next().unwrap_or_default(), parts.next());
    let Some(name) = name else {
        let selector = sent.query.get("fieldSelector").map(String::as_str);
        let wanted = selector.and_then(|text| text.strip_prefix("metadata.name%3D"));
        let all = objects.iter().filter(|((kind, name), _)| {
            kind == plural && wanted.is_none_or(|wanted| wanted == name)
        });
        let items: Vec<&Value> = all.map(|(_, object)| object).collect();
        return (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}),
        );
    };
    let id = (plural.to_owned(), name.to_owned());
    match (sent.method.as_str(), objects.get_mut(&id)) {
        ("GET", Some(object)) => (200, object.clone()),
        ("DELETE", Some(_)) => (200, objects.remove(&id).unwrap()),
        ("PATCH", Some(object)) if sent.path.ends_with("/status") => {
            object["status"] = sent.body["status"].clone();
            (200, object.clone())
        }
        ("PATCH", _) if sent.content_type.contains("apply-patch") => {
            let mut object = sent.body.clone();
            object["metadata"]["uid"] = format!("{plural}/{name}").into();
            object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            object["metadata"]["generation"] = 1.into();
            object["status"] = status_of(plural, &object);
            objects.insert(id, object.clone());
            (200, object)
        }
        _ => {
            let (code, mut status) = failure(404);
            status["reason"] = "NotFound".into();
            (code, status)
        }
    }
}

/// What the controllers of Kubernetes would report.
fn status_of(plural: &str, object: &Value) -> Value {
    let time = "2026-01-01T00:00:00Z";
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "R", "message": "m", "lastTransitionTime": time});
    match plural {
        "deployments" => {
            let replicas = object["spec"]["replicas"].as_i64().unwrap_or(2);
            json!({"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
                "availableReplicas": replicas, "conditions": [condition("Available"), condition("ReplicaFailure")]})
        }
        "statefulsets" => {
            json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
            "currentRevision": "r", "updateRevision": "r"})
        }
        "jobs" => {
            json!({"succeeded": 1, "startTime": time, "completionTime": time, "conditions": [condition("Complete")]})
        }
        "cronjobs" => json!({"lastScheduleTime": time, "lastSuccessfulTime": time}),
        "horizontalpodautoscalers" => {
            json!({"currentReplicas": 2, "desiredReplicas": 2, "observedGeneration": 1,
            "conditions": [condition("ScalingActive"), condition("AbleToScale")]})
        }
        "persistentvolumeclaims" => json!({"phase": "Bound", "capacity": {"storage": "1Gi"}}),
        "services" => json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
        "clusters" => {
            json!({"phase": "Cluster in healthy state", "readyInstances": 3, "currentPrimary": "demo-db-1",
            "targetPrimary": "demo-db-1", "instancesStatus": {"healthy": ["demo-db-1"]}, "conditions": [condition("Ready")]})
        }
        _ => json!({}),
    }
}

fn pod(component: &str, container: &str) -> Value {
    let time = "2026-01-01T00:00:00Z";
    let labels = json!({names::INSTANCE_LABEL: "demo", names::COMPONENT_LABEL: component, "controller-revision-hash": "r"});
    let ended = json!({"terminated": {"exitCode": 1, "message": "volume-nearly-full 91", "reason": "Error",
        "startedAt": time, "finishedAt": time}});
    let waiting =
        json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off: ErrImagePull: no"}});
    let container = json!({"name": container, "image": "postgres:18", "imageID": "", "ready": false, "restartCount": 3,
        "state": waiting, "lastState": ended});
    json!({"metadata": {"name": format!("demo-{component}"), "namespace": "ns", "uid": component, "labels": labels,
            "creationTimestamp": time, "deletionTimestamp": null},
        "spec": {"nodeName": "n", "containers": [{"name": "watch", "image": "postgres:18"}]},
        "status": {"phase": "Running", "startTime": time, "containerStatuses": [container],
            "conditions": [{"type": "PodScheduled", "status": "True", "message": "m", "lastTransitionTime": time}]}})
}

/// A service of each kind of database as it is after some passes, and pods of which each reports something.
async fn worlds() -> Vec<Objects> {
    let everything = json!({
        "autoscaling": {"maxReplicas": 3}, "tls": {"secretName": "own"},
        "backup": {"schedule": "0 2 * * *", "timeZone": "Europe/Berlin"},
        "expose": {"service": {"type": "LoadBalancer"}, "ingress": {"host": "a.example.com"},
            "httpRoute": {"parentRefs": [{"name": "a"}]}},
        "monitoring": {"serviceMonitor": true},
        "auth": {"oidc": {"issuer": "https://id.example.com", "audience": ["a"], "caConfigMapRef": {"name": "ca"}}},
    });
    let mut worlds = Vec::new();
    for database in [
        json!({"managed": {"parameters": {"work_mem": "1MB"}}}),
        json!({"external": {"secretRef": {"name": "own"}}}),
        json!({"cloudNativePG": {}}),
    ] {
        let mut spec = everything.clone();
        spec["database"] = database;
        worlds.push(world(spec).await);
    }
    worlds
}

/// The objects of a service with this spec after some passes, and its pods.
async fn world(spec: Value) -> Objects {
    let service = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::KIND, "spec": spec,
        "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {names::ROTATE_ANNOTATION: "1"}}});
    let own = json!({"metadata": {"name": "own"}, "data": {"uri": "cG9zdGdyZXM6Ly9hOmJAYy5kL2U=", "tls.crt": "", "tls.key": ""}});
    let ca = json!({"metadata": {"name": "ca"}, "data": {"ca.crt": ""}});
    let id = |plural: &str, name: &str| (plural.to_owned(), name.to_owned());
    let mut objects = Objects::from([
        (id("helloservices", "demo"), service),
        (id("secrets", "own"), own),
        (id("configmaps", "ca"), ca),
    ]);
    // The claim is the StatefulSet controller's to make.
    let labels = json!({names::INSTANCE_LABEL: "demo", names::MANAGED_BY_LABEL: names::MANAGER});
    let claim = json!({"metadata": {"name": "data-demo-db-0", "uid": "claim", "labels": labels}, "spec": {"volumeName": "v"},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    objects.insert(id("persistentvolumeclaims", "data-demo-db-0"), claim);
    let world = World::new(objects);
    let mut outcomes = Vec::new();
    for round in 0..6 {
        outcomes.push(world.pass().await);
        if round == 2 {
            // A rotation begins.
            let mut objects = world.objects.lock().unwrap();
            let service = objects.get_mut(&id("helloservices", "demo")).unwrap();
            service["metadata"]["annotations"][names::ROTATE_ANNOTATION] = "2".into();
        }
    }
    let mut objects = world.objects.lock().unwrap().clone();
    let service = &objects[&id("helloservices", "demo")];
    assert!(service["status"]["conditions"].is_array(), "{outcomes:?}");
    assert!(objects.len() > 12, "{:?}", objects.keys());
    for (component, container) in [
        ("app", "app"),
        ("database", "watch"),
        ("migration", "migrate"),
        ("backup", "backup"),
    ] {
        objects.insert(id("pods", component), pod(component, container));
    }
    objects
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    let mut below = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        places(value, &format!("{path}/{key}"), found);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| below(&index.to_string(), value));
        }
        _ => {}
    }
}

/// Whether a value is one that the code computes with: the exhaustive test replaces these only.
fn is_computed(path: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let is_free = path.contains("/metadata/annotations/hello.internal");
    value.is_number() || is_free || text.parse::<Timestamp>().is_ok()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Passes over each world, side by side, with each of these values replaced by each hostile one.
fn exhaust(is_chosen: impl Fn(&str, &Value) -> bool + Sync) -> usize {
    let worlds = runtime().block_on(worlds());
    std::thread::scope(|scope| {
        let each = worlds.iter();
        let passes: Vec<_> = each
            .map(|objects| scope.spawn(|| exhaust_world(objects, &is_chosen)))
            .collect();
        passes
            .into_iter()
            .map(|passes| passes.join().unwrap())
            .sum()
    })
}

fn exhaust_world(objects: &Objects, is_chosen: &impl Fn(&str, &Value) -> bool) -> usize {
    let (runtime, mut passes) = (runtime(), 0);
    let _entered = runtime.enter();
    let world = World::new(objects.clone());
    for (id, object) in objects {
        let mut found = Vec::new();
        places(object, "", &mut found);
        found.retain(|path| is_chosen(path, object.pointer(path).unwrap()));
        for path in found {
            for value in EXTREME {
                let value: Value = serde_json::from_str(value).unwrap();
                let mut changed = object.clone();
                *changed.pointer_mut(&path).unwrap() = value.clone();
                let mut all = objects.clone();
                all.insert(id.clone(), changed);
                *world.objects.lock().unwrap() = all;
                let pass = std::panic::AssertUnwindSafe(|| runtime.block_on(world.pass()));
                let ended = std::panic::catch_unwind(pass);
                assert!(ended.is_ok(), "{id:?} {path}: {value:.80}");
                passes += 1;
            }
        }
    }
    passes
}

#[test]
fn no_date_number_or_label_ends_a_pass_or_repeats_it_at_once() {
    let chosen = |path: &str, value: &Value| is_computed(path, value) && !path.starts_with("/spec");
    let passes = exhaust(chosen);
    assert!(passes > 300, "{passes}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Several values at once, anywhere.
    #[test]
    fn no_content_ends_a_pass_or_repeats_it_at_once(
        choices in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
        which in 0..3_usize,
    ) {
        let runtime = runtime();
        static WORLDS: std::sync::OnceLock<Vec<Objects>> = std::sync::OnceLock::new();
        let mut objects = WORLDS.get_or_init(|| runtime.block_on(worlds()))[which].clone();
        let (ids, values): (Vec<_>, Vec<_>) = (objects.keys().cloned().collect(), hostile());
        for (object, place, value) in choices {
            let object = objects.get_mut(object.get(ids.as_slice())).unwrap();
            let mut found = Vec::new();
            places(object, "", &mut found);
            let place = place.get(found.as_slice());
            *object.pointer_mut(place).unwrap() = value.get(values.as_slice()).clone();
        }
        let _entered = runtime.enter();
        runtime.block_on(World::new(objects).pass());
    }
}

/// No watch reports a change of its Secret, so its version is looked at.
#[tokio::test]
async fn a_settled_service_with_its_own_database_costs_one_read_until_the_secret_changes() {
    let id = |plural: &str, name: &str| (plural.to_owned(), name.to_owned());
    let service = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::KIND,
        "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1},
        "spec": {"database": {"external": {"secretRef": {"name": "own"}}}}});
    let own = json!({"metadata": {"name": "own", "resourceVersion": "7"},
        "data": {"uri": "cG9zdGdyZXM6Ly9hOmJAYy5kL2U="}});
    let mut world = World::new(Objects::from([
        (id("helloservices", "demo"), service),
        (id("secrets", "own"), own),
    ]));
    let key = Key::new("ns", "demo");
    assert_eq!(world.context.look(&key).await, None, "nothing is known yet");
    for _ in 0..6 {
        world.pass().await;
    }
    let status = world.objects.lock().unwrap()[&id("helloservices", "demo")]["status"].clone();
    world.sent.lock().unwrap().clear();
    let settled = Some(Outcome::after(EXTERNAL_POLL, "unchanged"));
    assert_eq!(world.context.look(&key).await, settled, "{status}");
    assert_eq!(world.sent.lock().unwrap().len(), 1);
    // A whole pass is due from time to time.
    world.context.clock = Arc::new(|| NOW + RESYNC);
    assert_eq!(world.context.look(&key).await, None);
    world.context.clock = Arc::new(|| NOW);
    let change = |version: Value| {
        let mut objects = world.objects.lock().unwrap();
        let secret = objects.get_mut(&id("secrets", "own")).unwrap();
        secret["metadata"]["resourceVersion"] = version;
    };
    change("8".into());
    assert_eq!(world.context.look(&key).await, None, "it has changed");
    change(Value::Null);
    assert_eq!(world.context.look(&key).await, None, "it has no version");
    world.pass().await;
    assert_eq!(
        world.context.look(&key).await,
        None,
        "a pass without a version"
    );
}
