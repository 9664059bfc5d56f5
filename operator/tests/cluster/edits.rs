//! Every field of the spec: changed, and changed back.

use hello_crds::definitions;
use hello_operator::object::kind::Kind;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    data::{bind, make_class},
    field_changes::{Change, change, free_port, match_node, near, prefer, selector},
    reference::make,
    state::{State, assert_same, likeness, state},
    world::World,
};

/// The smallest valid spec in which every part exists. Node ports belong to the whole cluster.
fn base(port: u16) -> Value {
    json!({
        "image": "hello-app:1", "imagePullPolicy": "IfNotPresent", "imagePullSecrets": [{"name": "a"}], "replicas": 2,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 50,
            "targetMemoryUtilizationPercentage": 80, "behavior": {"scaleUp": scaling_rules(), "scaleDown": scaling_rules()},
            "external": false},
        "disruptionBudget": {"maxUnavailable": 2}, "probes": {"readiness": timing(), "liveness": timing()},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "pods": {"all": pod_settings(), "app": {}, "database": {}, "migration": {}, "backup": {}},
        "config": {"timeZone": "UTC", "leapDay": "feb28", "usernames": "unicode", "logLevel": "info", "logFormat": "json",
            "rateLimit": {"requests": 10, "per": "second", "burst": 20, "trustedProxies": ["10.0.0.0/8"],
                "forwardedHeader": "forwarded"}},
        "expose": {"service": {"type": "LoadBalancer", "port": 80, "nodePort": port, "annotations": {"a": "1"},
                "loadBalancerClass": "a.example.com/a", "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "externalTrafficPolicy": "Cluster", "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]},
            "ingress": {"className": "a", "host": "a.example.com", "tlsSecretName": "a", "annotations": {"cert-manager.io/issuer": "a"}},
            "httpRoute": {"parentRefs": [{"name": "a"}], "hostnames": ["a.example.com"]}},
        "tls": {"secretName": "a"},
        "auth": {"oidc": {"issuer": "https://a.example.com", "audience": ["a"], "usernameClaim": "sub", "adminScope": "a",
            "algorithms": ["RS256"], "leewaySeconds": 60, "caSecretRef": {"name": "a", "key": "ca.crt"}}},
        "monitoring": {"serviceMonitor": true, "serviceMonitorLabels": {"release": "a"}},
        "database": {"managed": {"image": "postgres:18", "storage": {"size": "1Gi", "storageClassName": "a"},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "sharedMemory": "64Mi", "probes": {"readiness": timing(), "liveness": timing()},
            "parameters": {"work_mem": "1MB"}}},
        "backup": {"schedule": "@daily", "timeZone": "UTC", "formats": ["custom"], "retention": {"keepLast": 7},
            "destination": {"volume": {"size": "1Gi", "storageClassName": "a"}}, "suspend": false},
        "networkPolicy": {"enabled": true, "dnsPort": 5353,
            "monitoring": {"namespaceSelector": selector("a"), "podSelector": selector("a")},
            "extraIngress": [{"from": [{"podSelector": selector("a")}]}], "extraEgress": [{"ports": [{"port": 4317}]}]},
        "deletionPolicy": "Retain", "paused": false,
    })
}

fn scaling_rules() -> Value {
    json!({"policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}], "selectPolicy": "Min",
        "stabilizationWindowSeconds": 60})
}

fn timing() -> Value {
    json!({"periodSeconds": 4, "timeoutSeconds": 4, "failureThreshold": 4})
}

/// Every field of the settings of pods.
fn pod_settings() -> Value {
    json!({"labels": {"a": "1"}, "annotations": {"a": "1"}, "nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}],
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [prefer("a")],
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [match_node("a")]}},
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": near("a")}],
                "requiredDuringSchedulingIgnoredDuringExecution": [near("a")]},
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": near("a")}],
                "requiredDuringSchedulingIgnoredDuringExecution": [near("a")]}},
        "topologySpreadConstraints": [{"topologyKey": "a"}], "priorityClassName": "system-node-critical",
        "runtimeClassName": "a",
        "securityContext": {"assignIds": true, "runAsUser": 5, "runAsGroup": 5, "fsGroup": 5, "supplementalGroups": [5]},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "env": [{"name": "A", "value": "1"}], "envFrom": [{"secretRef": {"name": "a"}}],
        "volumes": [{"name": "a", "emptyDir": {}}], "volumeMounts": [{"name": "a", "mountPath": "/a"}],
        "serviceAccount": {"annotations": {"a": "1"}}})
}

/// The same with the other alternative, where alternatives exclude each other.
fn other_base(port: u16) -> Value {
    let mut spec = base(port);
    let oidc = spec["auth"]["oidc"].as_object_mut().unwrap();
    let certificates = oidc.remove("caSecretRef").unwrap();
    oidc.insert("caConfigMapRef".into(), certificates);
    spec["database"] = json!({"cloudNativePG": {"instances": 3, "image": "postgresql:18",
        "storage": {"size": "1Gi", "storageClassName": "a"},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}}});
    spec
}

/// The third alternative.
fn external_base(port: u16) -> Value {
    let mut spec = base(port);
    spec["database"] =
        json!({"external": {"secretRef": {"name": "a", "key": "uri", "caKey": "ca.crt"}}});
    spec["pods"].as_object_mut().unwrap().remove("database");
    spec
}

/// Parts whose settings of pods have the type of those of all parts. Their fields are not edited one by one.
const PARTS: [&str; 4] = [
    "/pods/app",
    "/pods/database",
    "/pods/migration",
    "/pods/backup",
];

/// Paths of all fields without fields of their own, from the schema.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    match schema["properties"].as_object() {
        Some(properties) if !PARTS.contains(&path) => {
            for (name, schema) in properties {
                leaves(schema, &format!("{path}/{name}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn fields() -> Vec<String> {
    let definition = definitions().unwrap().remove(0);
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap();
    let mut found = Vec::new();
    leaves(schema, "", &mut found);
    found
}

/// A spec of its own for each field: the base with that field changed.
fn changed(base: fn(u16) -> Value, path: &str, value: Value) -> Value {
    let mut spec = base(free_port());
    let mut remove = |part: &str, fields: &[&str]| {
        let part = spec
            .pointer_mut(part)
            .and_then(Value::as_object_mut)
            .unwrap();
        fields.iter().for_each(|field| drop(part.remove(*field)));
    };
    // Some fields need others to be as they are not in the base.
    match path {
        // The number of pods counts only without an autoscaler.
        "/replicas" => remove("", &["autoscaling"]),
        // Labels of an object that is not wanted would be refused.
        "/monitoring/serviceMonitor" => remove("/monitoring", &["serviceMonitorLabels"]),
        "/expose/service/type" => remove(
            "/expose/service",
            &["loadBalancerClass", "loadBalancerSourceRanges"],
        ),
        // Ids that are given are kept.
        "/pods/all/securityContext/assignIds" => remove(
            "/pods/all/securityContext",
            &["runAsUser", "runAsGroup", "fsGroup"],
        ),
        "/pods/all/serviceAccount/name" => {
            spec["pods"]["all"]["serviceAccount"] = json!({"name": "a"});
        }
        "/autoscaling/external" => remove(
            "/autoscaling",
            &[
                "maxReplicas",
                "behavior",
                "targetMemoryUtilizationPercentage",
            ],
        ),
        "/disruptionBudget/minAvailable" => spec["disruptionBudget"] = json!({"minAvailable": 2}),
        "/expose/service/ipFamilies" => {
            spec["expose"]["service"]["ipFamilyPolicy"] = "RequireDualStack".into();
        }
        "/expose/service/ipFamilyPolicy" => {
            spec["expose"]["service"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
        }
        _ => {}
    }
    *spec
        .pointer_mut(path)
        .unwrap_or_else(|| panic!("{path} is not in the base")) = value;
    spec
}

/// The state of the children, without what depends on chance or history.
async fn outcome(world: &World, name: &str, spec: &Value) -> State {
    let mut state = likeness(world, name).await;
    for (id, content) in &mut state {
        let content = &mut content["spec"];
        match id.split(' ').next().unwrap() {
            // The autoscaler's.
            "Deployment" if spec.get("autoscaling").is_some() => {
                content.as_object_mut().unwrap().remove("replicas");
            }
            "Service" => {
                for port in content["ports"].as_array_mut().unwrap() {
                    if port["nodePort"] == spec["expose"]["service"]["nodePort"] {
                        port["nodePort"] = "as wanted".into();
                    }
                }
            }
            // A template cannot change; the claim made from it can.
            "StatefulSet" => {
                let claim = &mut content["volumeClaimTemplates"][0];
                claim["spec"]["resources"]["requests"]["storage"].take();
            }
            "PersistentVolumeClaim" => {
                content.as_object_mut().unwrap().remove("volumeName");
            }
            _ => {}
        }
    }
    state
}

/// A namespace with the objects that the specs name.
async fn furnished(name: &str) -> World {
    let world = World::new(name).await;
    let uri = |host: &str| format!("postgres://owner:pw@{host}.example.com/hello");
    let data =
        json!({"tls.crt": "", "tls.key": "", "ca.crt": "", "uri": uri("a"), "other-uri": uri("b")});
    for name in ["a", "b"] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": data});
        make(&world, name, secret).await;
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
        make(&world, name, map).await;
    }
    world
}

/// The state that a fresh apply of each spec leads to.
async fn fresh(namespace: &str, specs: &[Value]) -> Vec<State> {
    let world = furnished(namespace).await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let name = |index: usize| format!("fresh{index:02}");
    let mut states = Vec::new();
    let numbered: Vec<(usize, &Value)> = specs.iter().enumerate().collect();
    // Several at a time: most of the time is spent waiting.
    for some in numbered.chunks(6) {
        for (index, spec) in some {
            world.apply(&name(*index), (*spec).clone()).await;
        }
        for (index, spec) in some {
            world.ready(&name(*index)).await;
            states.push(outcome(&world, &name(*index), spec).await);
        }
    }
    operator.stop().await;
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_can_be_changed_and_changed_back() {
    let fields: Vec<String> = fields().into_iter().filter(|path| is_first(path)).collect();
    // Two at a time: most of the time is spent waiting.
    let (left, right) = fields.split_at(fields.len() / 2);
    let (left, right) = tokio::join!(
        edit_all("edits-left", base, left),
        edit_all("edits-right", base, right)
    );
    assert!(left + right > 50, "{left} and {right} fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_the_other_choices_too() {
    let of = |beginning: &[&str]| -> Vec<String> {
        let is = |path: &String| beginning.iter().any(|start| path.starts_with(start));
        fields().into_iter().filter(is).collect()
    };
    let (other, external) = (of(&OTHER), of(&EXTERNAL));
    let (other, external) = tokio::join!(
        edit_all("edits-other", other_base, &other),
        edit_all("edits-external", external_base, &external)
    );
    assert_eq!((other, external), (8, 3));
}

const OTHER: [&str; 2] = ["/database/cloudNativePG/", "/auth/oidc/caConfigMapRef/"];
const EXTERNAL: [&str; 1] = ["/database/external/"];

fn is_first(path: &str) -> bool {
    let mut others = OTHER.iter().chain(&EXTERNAL);
    !others.any(|start| path.starts_with(start))
}

/// Edits each of the fields that may change, and reverts the edit: both lead to the state of a fresh apply. Returns
/// the number of these fields.
async fn edit_all(namespace: &str, base: fn(u16) -> Value, fields: &[String]) -> usize {
    let plain = base(free_port());
    let mut edits = Vec::new();
    let mut never = Vec::new();
    for path in fields {
        match change(path) {
            Change::To(value) => edits.push((path, value)),
            Change::Never(value) => never.push((path, value)),
            Change::Forth(_) | Change::Elsewhere => {}
        }
    }
    let mut specs = vec![base(free_port())];
    specs.extend(
        edits
            .iter()
            .map(|(path, value)| changed(base, path, value.clone())),
    );
    let fresh = fresh(&format!("{namespace}-fresh"), &specs).await;

    let world = furnished(namespace).await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    world.apply("demo", plain.clone()).await;
    world.ready("demo").await;
    world.settle(&operator).await;
    let before = state(&world, "demo").await;
    assert_same(&outcome(&world, "demo", &plain).await, &fresh[0], "fresh");
    for ((path, value), fresh) in edits.iter().zip(&fresh[1..]) {
        let mut spec = changed(base, path, value.clone());
        spec["expose"]["service"]["nodePort"] = match path.as_str() {
            "/expose/service/nodePort" => free_port().into(),
            _ => plain["expose"]["service"]["nodePort"].clone(),
        };
        world.apply("demo", spec.clone()).await;
        world.ready("demo").await;
        assert_ne!(
            state(&world, "demo").await,
            before,
            "{path} changes nothing"
        );
        let reached = without_former_accounts(outcome(&world, "demo", &spec).await, fresh);
        assert_same(&reached, fresh, path);
        world.apply("demo", plain.clone()).await;
        world.ready("demo").await;
        if ["/replicas", "/autoscaling/minReplicas"].contains(&path.as_str()) {
            // The autoscaler, which nobody plays here, takes over from the number it finds.
            scale(&world, 2).await;
        }
        let after = without_former_accounts(state(&world, "demo").await, &before);
        assert_same(&after, &before, &format!("{path} changed back"));
    }
    for (path, value) in never {
        refused(&world, &changed(base, path, value), path).await;
    }
    operator.stop().await;
    edits.len()
}

/// An account that is no longer wanted stays until the resource is deleted: pods of a former template may need it.
fn without_former_accounts(mut state: State, wanted: &State) -> State {
    state.retain(|id, _| wanted.contains_key(id) || !id.starts_with("ServiceAccount "));
    state
}

async fn scale(world: &World, replicas: i32) {
    let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let deployments = world.api(Kind::Deployment);
    deployments
        .patch_scale("demo", &PatchParams::default(), &scale)
        .await
        .unwrap();
    world.ready("demo").await;
}

/// Asserts that the API server refuses the spec and names the field.
async fn refused(world: &World, spec: &Value, path: &str) {
    let body = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo"}, "spec": spec});
    let parameters = PatchParams::apply("test").force();
    let services = world.services();
    let error = services
        .patch("demo", &parameters, &Patch::Apply(&body))
        .await
        .unwrap_err()
        .to_string();
    let part = path.rsplit_once('/').unwrap().0.replace('/', ".");
    assert!(
        error.contains(&format!("spec{part}: Invalid value")),
        "{path}: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_size_grows_to_what_a_fresh_apply_gives() {
    let fields = fields().into_iter();
    let grows = fields.filter_map(|path| match change(&path) {
        Change::Forth(value) => Some((path, value)),
        _ => None,
    });
    let (first, other): (Vec<_>, Vec<_>) = grows.partition(|(path, _)| is_first(path));
    assert_eq!((first.len(), other.len()), (2, 1));
    tokio::join!(
        grow_all("grow-first", base, &first),
        grow_all("grow-other", other_base, &other)
    );
}

async fn grow_all(namespace: &str, base: fn(u16) -> Value, fields: &[(String, Value)]) {
    let mut specs = vec![base(free_port())];
    for (path, value) in fields {
        let mut spec = specs.last().unwrap().clone();
        spec["expose"]["service"]["nodePort"] = free_port().into();
        *spec.pointer_mut(path).unwrap() = value.clone();
        specs.push(spec);
    }
    let fresh = fresh(&format!("{namespace}-fresh"), &specs[1..]).await;
    let world = furnished(namespace).await;
    make_class(&world, "a").await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let port = free_port();
    for spec in &mut specs {
        spec["expose"]["service"]["nodePort"] = port.into();
    }
    world.apply("demo", specs[0].clone()).await;
    world.ready("demo").await;
    for (id, _) in world.children("demo").await {
        if id.kind == Kind::PersistentVolumeClaim {
            bind(&world, &id).await;
        }
    }
    for (index, (path, _)) in fields.iter().enumerate() {
        world.apply("demo", specs[index + 1].clone()).await;
        world.ready("demo").await;
        let grown = outcome(&world, "demo", &specs[index + 1]).await;
        assert_same(&grown, &fresh[index], path);
    }
    operator.stop().await;
}
