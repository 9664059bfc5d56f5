//! Objects that the operator does not make.

use hello_operator::object::kind::Kind;
use serde_json::{Value, json};

/// An object as the operator makes them.
pub fn object(kind: &str, content: Value) -> Value {
    let mut object = json!({"metadata": {"name": "made",
        "labels": {"app.kubernetes.io/managed-by": "hello-operator", "app.kubernetes.io/instance": "demo"}}});
    object["apiVersion"] = match kind {
        "Deployment" | "StatefulSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        _ => "v1",
    }
    .into();
    object["kind"] = kind.into();
    for (field, value) in content.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

/// A workload with the pod of the operator's own, in which one value differs.
pub fn workload(kind: Kind, place: &str, value: &Value) -> Value {
    let container = json!({"name": "c", "image": "i", "ports": [{"containerPort": 80}],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    let mut pod = json!({"automountServiceAccountToken": false, "restartPolicy": "Always",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container], "initContainers": [container], "volumes": [{"name": "v", "emptyDir": {}}]});
    pod["initContainers"][0]["name"] = "init".into();
    if !place.is_empty() {
        let (outer, field) = place.rsplit_once('/').unwrap();
        pod.pointer_mut(outer).unwrap()[field] = value.clone();
    }
    if place.ends_with("/procMount") {
        // The API server itself asks for this then.
        pod["hostUsers"] = false.into();
    }
    let labels = json!({"a": "b"});
    let selector = json!({"matchLabels": labels});
    let mut template = json!({"metadata": {"labels": labels}, "spec": pod});
    let batch = matches!(kind, Kind::Job | Kind::CronJob);
    if batch {
        template["spec"]["restartPolicy"] = "Never".into();
    }
    let spec = match kind {
        Kind::Job => json!({"template": template}),
        Kind::CronJob => {
            json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}})
        }
        _ => json!({"selector": selector, "serviceName": "s", "template": template}),
    };
    let mut spec = spec;
    if kind == Kind::Deployment {
        spec.as_object_mut().unwrap().remove("serviceName");
    }
    object(&kind.to_string(), json!({"spec": spec}))
}

/// What a pod must not have, and the words of the refusal.
pub fn forbidden_in_pods() -> Vec<(&'static str, Value, &'static str)> {
    const HOST: &str = "host's namespaces";
    const TOKEN: &str = "with a token";
    const ROOT: &str = "as root";
    const VOLUMES: &str = "only pods with volumes";
    const CONTAINERS: &str = "only containers without privileges";
    let token =
        json!([{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]);
    vec![
        ("/hostNetwork", json!(true), HOST),
        ("/hostPID", json!(true), HOST),
        ("/hostIPC", json!(true), HOST),
        ("/automountServiceAccountToken", json!(true), TOKEN),
        ("/automountServiceAccountToken", Value::Null, TOKEN),
        ("/securityContext", json!({}), ROOT),
        ("/securityContext/runAsUser", json!(0), ROOT),
        ("/securityContext/runAsNonRoot", json!(false), ROOT),
        (
            "/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            ROOT,
        ),
        (
            "/securityContext/windowsOptions",
            json!({"runAsUserName": "Administrator"}),
            ROOT,
        ),
        (
            "/securityContext/sysctls",
            json!([{"name": "kernel.shm_rmid_forced", "value": "1"}]),
            ROOT,
        ),
        (
            "/volumes",
            json!([{"name": "v", "hostPath": {"path": "/"}}]),
            VOLUMES,
        ),
        (
            "/volumes",
            json!([{"name": "v", "nfs": {"server": "s", "path": "/"}}]),
            VOLUMES,
        ),
        ("/volumes", token, VOLUMES),
        ("/containers/0/securityContext", Value::Null, CONTAINERS),
        (
            "/containers/0/securityContext",
            json!({"privileged": true, "capabilities": {"drop": ["ALL"]}}),
            CONTAINERS,
        ),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
            CONTAINERS,
        ),
        (
            "/containers/0/securityContext/capabilities/add",
            json!(["NET_ADMIN"]),
            CONTAINERS,
        ),
        (
            "/containers/0/securityContext/capabilities/drop",
            json!([]),
            CONTAINERS,
        ),
        (
            "/containers/0/securityContext/runAsUser",
            json!(0),
            CONTAINERS,
        ),
        (
            "/containers/0/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            CONTAINERS,
        ),
        (
            "/containers/0/securityContext/procMount",
            json!("Unmasked"),
            CONTAINERS,
        ),
        ("/containers/0/ports/0/hostPort", json!(80), CONTAINERS),
        (
            "/initContainers/0/securityContext/capabilities/add",
            json!(["NET_ADMIN"]),
            CONTAINERS,
        ),
        ("/initContainers/0/ports/0/hostPort", json!(80), CONTAINERS),
    ]
}

/// What is refused beside pods: the namespace, the object, and the words.
pub fn forbidden_objects() -> Vec<(&'static str, Kind, Value, &'static str)> {
    const HERE: &str = "default";
    let secret =
        |type_: &str, data: Value| object("Secret", json!({"type": type_, "stringData": data}));
    let plain = |labels: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made", "labels": labels}});
    let managed = json!({"app.kubernetes.io/managed-by": "hello-operator"});
    let mut token = secret("kubernetes.io/service-account-token", json!({}));
    token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
    let account = |content: Value| object("ServiceAccount", content);
    let service = |mut spec: Value| {
        spec["ports"] = json!([{"port": 80}]);
        object("Service", json!({"spec": spec}))
    };
    const LABELS: &str = "only objects with the operator's labels";
    const TYPES: &str = "only Secrets of the types";
    const ACCOUNTS: &str = "only accounts whose pods get no token";
    const SERVICES: &str = "no Service with externalIPs";
    vec![
        (
            "kube-system",
            Kind::Secret,
            secret("Opaque", json!({})),
            "namespaces of the system",
        ),
        (
            "kube-public",
            Kind::Service,
            service(json!({})),
            "namespaces of the system",
        ),
        (HERE, Kind::Secret, plain(Value::Null), LABELS),
        (HERE, Kind::Secret, plain(managed), LABELS),
        (HERE, Kind::Secret, token, TYPES),
        (
            HERE,
            Kind::Secret,
            secret(
                "kubernetes.io/basic-auth",
                json!({"username": "u", "password": "p"}),
            ),
            TYPES,
        ),
        (HERE, Kind::ServiceAccount, account(json!({})), ACCOUNTS),
        (
            HERE,
            Kind::ServiceAccount,
            account(json!({"automountServiceAccountToken": true})),
            ACCOUNTS,
        ),
        (
            HERE,
            Kind::Service,
            service(json!({"externalIPs": ["192.0.2.1"]})),
            SERVICES,
        ),
        (
            HERE,
            Kind::Service,
            service(json!({"type": "ExternalName", "externalName": "a.example.com"})),
            SERVICES,
        ),
    ]
}
