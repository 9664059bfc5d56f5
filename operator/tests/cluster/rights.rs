//! The rights that the manifests grant, on an API server that enforces them.

use std::collections::BTreeSet;

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    kubelet::{containers, find, report},
    server::server,
    world::{Jobs, World, eventually},
};

/// Group, resource and verb.
type Right = (String, String, String);

pub const ACCOUNT: &str = "system:serviceaccount:hello-system:hello-operator";

/// As the operator's own account it converges, rolls out and cleans up; it is never refused, and
/// it has no right that this does not need.
#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_manifests_are_enough_and_not_more() {
    let world = World::new("rights").await;
    let granted = grant(&world).await;
    let mut config = server().config(&server().url);
    config.auth_info.impersonate = Some(ACCOUNT.into());
    let operator =
        world.operator_through(hello_operator::kubernetes::connection::connect(config).unwrap());
    world.apply("demo", crate::converge::everything()).await;
    world.ready("demo").await;
    stuck_pod(&world).await;
    // A service that starts from a backup: an order with another source takes the place of the first.
    for claim in ["wrong", "right"] {
        let source = json!({"backup": "latest", "destination": {"volume": {"claimName": claim}}});
        let managed = json!({"bootstrap": {"fromBackup": source}});
        let spec = json!({"database": {"managed": managed}});
        world.apply("clone", spec).await;
        eventually(claim, || async {
            let restores = crate::restore::restores(&world);
            let live = restores.get_opt("clone-bootstrap").await.unwrap()?;
            live.data["spec"].to_string().contains(claim).then_some(())
        })
        .await;
        // It rests: nothing is written about an order that is just being replaced.
        crate::restore::reached(&world, "clone-bootstrap", "Pending", "SourceInvalid").await;
    }
    // The same transitions twice: the second ones are counted in the events of the first.
    for (image, isolated) in [("hello-app:2", false), ("hello-app:3", true)] {
        let spec = json!({"image": image, "networkPolicy": {"enabled": isolated}});
        world.apply("demo", spec).await;
        world.ready("demo").await;
        world.settle(&operator).await;
    }
    // With a network policy of its own. Its step does not end here, and a migration would wait for that.
    let bucket = json!({"backup": "latest", "destination": {"s3": {"bucket": "company"}}});
    crate::restore::order_from(&world, "back", bucket, false).await;
    crate::restore::reached(&world, "back", "Staging", "Staging").await;
    let _cnpg = CnpgStandIn::start(&world);
    // Refers to objects of other clients.
    let certificates = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": ""}});
    crate::reference::make(&world, "ca", certificates).await;
    let oidc = json!({"issuer": "https://id.example.com", "audience": ["hello"], "caConfigMapRef": {"name": "ca"}});
    let engine = json!({"database": {"cloudNativePG": {}}, "auth": {"oidc": oidc}});
    world.apply("engine", engine).await;
    world.ready("engine").await;
    // A deletion that waits for a last backup, until nobody wants one.
    let snapshot = json!({"deletionPolicy": "Snapshot", "backup": {"schedule": "@yearly"}});
    world.apply("going", snapshot).await;
    world.ready("going").await;
    crate::snapshot::delete(&world, "going", DeleteParams::background()).await;
    crate::snapshot::waits(&world, "going", "SnapshotPending", "is being made").await;
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    crate::snapshot::patch(&world, "going", retain).await;
    crate::snapshot::gone(&world, "going").await;
    // A change of the data's version, as far as the former server is replaced.
    crate::versions::change_once(&world, "changed").await;
    // A migration whose pod does not come: the events of its Job say why.
    world.set_jobs(Jobs::Hang);
    world.apply("late", json!({})).await;
    let events = (String::new(), "events".into(), "list".into());
    eventually("events are read", || async {
        used().contains(&events).then_some(())
    })
    .await;
    let metrics = operator.metrics.render();
    assert!(!metrics.contains("result=\"error\""), "{metrics}");
    operator.stop().await;
    assert_eq!(used(), granted);
}

/// A pod of the database that a mistake in an earlier spec keeps from starting; the operator deletes it.
pub async fn stuck_pod(world: &World) {
    let server = ChildId::new(Kind::StatefulSet, "demo-db");
    let owner = world.get(&server).await.unwrap().uid();
    let pod = json!({"metadata": {"name": "demo-db-0",
        "labels": {"app.kubernetes.io/managed-by": "hello-operator", "app.kubernetes.io/instance": "demo",
            "app.kubernetes.io/component": "database", "controller-revision-hash": "former"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-db", "uid": owner,
            "controller": true}]},
        "spec": {"containers": [{"name": "postgres", "image": "postgres:81"}]}});
    let pods: kube::Api<Pod> = kube::Api::namespaced(world.client.clone(), &world.namespace);
    let pod = serde_json::from_value(pod).unwrap();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    report(world, &pod, containers(&pod, "Pending", &waiting)).await;
    eventually("the pod is gone", || async {
        find(world, &pod).await.is_none().then_some(())
    })
    .await;
}

/// The rights that the requests in the audit log needed.
fn used() -> BTreeSet<Right> {
    let mut used = BTreeSet::new();
    for line in server().audit_log().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if entry["impersonatedUser"]["username"] != ACCOUNT {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &entry["objectRef"];
        let mut resource = text(&object["resource"]);
        if let Some(subresource) = object["subresource"].as_str() {
            resource = format!("{resource}/{subresource}");
        }
        let group = text(&object["apiGroup"]);
        let verb = text(&entry["verb"]);
        // Server-side apply of an object that does not exist needs the right to create it.
        if verb == "patch" && entry["responseStatus"]["code"] == 201 {
            used.insert((group.clone(), resource.clone(), "create".into()));
        }
        used.insert((group, resource, verb));
    }
    used
}

/// Applies the role of the manifests unchanged, and returns its rights.
async fn grant(world: &World) -> BTreeSet<Right> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut granted = BTreeSet::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document).unwrap();
        match value["kind"].as_str() {
            Some("ClusterRole") => {
                let role: ClusterRole = serde_json::from_value(value).unwrap();
                granted.extend(rights(&role));
                apply(world, &role).await;
            }
            Some("ClusterRoleBinding") => {
                let binding: ClusterRoleBinding = serde_json::from_value(value).unwrap();
                let api: kube::Api<ClusterRoleBinding> = kube::Api::all(world.client.clone());
                api.create(&PostParams::default(), &binding).await.unwrap();
            }
            _ => {}
        }
    }
    granted
}

/// Both tests need the same role.
async fn apply(world: &World, role: &ClusterRole) {
    let api: kube::Api<ClusterRole> = kube::Api::all(world.client.clone());
    let (name, parameters) = (role.metadata.name.as_ref(), PatchParams::apply("test"));
    api.patch(name.unwrap(), &parameters, &Patch::Apply(role))
        .await
        .unwrap();
}

/// Bound in one namespace, as in the overlay, the same role is enough for that namespace and grants nothing in others.
#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_one_namespace_are_enough_for_it() {
    const OTHER: &str = "hello-operator-of-one-namespace";
    let world = World::new("rights-of-one").await;
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
    let rules = std::fs::read_to_string(format!("{manifests}/base/rbac.yaml")).unwrap();
    let role = serde_yaml::Deserializer::from_str(&rules)
        .map(|document| Value::deserialize(document).unwrap())
        .find(|value| value["kind"] == "ClusterRole")
        .unwrap();
    apply(&world, &serde_json::from_value(role).unwrap()).await;
    let binding = format!("{manifests}/overlays/namespaced/binding.yaml");
    let binding = std::fs::read_to_string(binding).unwrap();
    let mut binding: RoleBinding = serde_yaml::from_str(&binding).unwrap();
    binding.metadata.namespace = Some(world.namespace.clone());
    binding.subjects.as_mut().unwrap()[0].name = OTHER.into();
    let api: kube::Api<RoleBinding> = kube::Api::namespaced(world.client.clone(), &world.namespace);
    api.create(&PostParams::default(), &binding).await.unwrap();

    let mut config = server().config(&server().url);
    config.auth_info.impersonate = Some(format!("system:serviceaccount:hello-system:{OTHER}"));
    let client = hello_operator::kubernetes::connection::connect(config).unwrap();
    let operator = world.operator_through(client.clone());
    world.apply("demo", crate::converge::everything()).await;
    world.ready("demo").await;
    let metrics = operator.metrics.render();
    assert!(!metrics.contains("result=\"error\""), "{metrics}");
    operator.stop().await;

    let elsewhere: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(client, "default", &Kind::Secret.resource());
    let refused = elsewhere.list(&kube::api::ListParams::default()).await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));
}

fn rights(role: &ClusterRole) -> Vec<Right> {
    let mut rights = Vec::new();
    for rule in role.rules.iter().flatten() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    rights.push((group.clone(), resource.clone(), verb.clone()));
                }
            }
        }
    }
    rights
}
