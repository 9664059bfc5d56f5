//! Specs in which every field is set, and the same with one field changed.

use hello_crds::definitions;
use serde_json::{Value, json};

use crate::{
    effects::Edit,
    field_changes::{free_port, match_node, near, prefer, selector},
};

/// The smallest valid spec in which every part exists. Node ports belong to the whole cluster.
pub fn base(port: u16) -> Value {
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
        "expose": {"service": {"type": "LoadBalancer", "port": 80, "nodePort": port, "annotations": {"service.kubernetes.io/topology-mode": "Auto"},
                "loadBalancerClass": "a.example.com/a", "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "externalTrafficPolicy": "Cluster", "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]},
            "ingress": {"className": "a", "host": "a.example.com", "tlsSecretName": "a", "annotations": {"cert-manager.io/issuer": "a"}},
            "httpRoute": {"parentRefs": [{"name": "a"}], "hostnames": ["a.example.com"]}},
        "tls": {"secretName": "a"},
        "auth": {"oidc": {"issuer": "https://a.example.com", "audience": ["a"], "clientIds": ["a"], "usernameClaim": "sub",
            "adminScope": "a", "adminClaim": "roles", "reads": "own",
            "algorithms": ["RS256"], "leewaySeconds": 60, "caSecretRef": {"name": "a", "key": "ca.crt"}}},
        "monitoring": {"serviceMonitor": true, "serviceMonitorLabels": {"release": "a"}},
        "database": {"managed": {"image": "postgres:18", "dataVersion": "a", "storage": {"size": "1Gi", "storageClassName": "a"},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "sharedMemory": "64Mi", "probes": {"readiness": timing(), "liveness": timing()},
            "parameters": {"work_mem": "1MB"}}},
        "backup": {"enabled": true, "schedule": "@daily", "timeZone": "UTC", "formats": ["custom"], "retention": {"keepLast": 7, "keepDaily": 1,
            "keepWeekly": 1, "keepMonthly": 1},
            "encryption": {"recipients": ["age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"]}, "verify": {"scratch": {"size": "1Gi"}}, "image": "postgres:18",
            "destination": {"volume": {"size": "1Gi", "storageClassName": "a"}}, "suspend": false},
        "networkPolicy": {"enabled": true, "dnsPort": 5353, "clients": [{"podSelector": selector("a")}],
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
pub fn other_base(port: u16) -> Value {
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
pub fn external_base(port: u16) -> Value {
    let mut spec = base(port);
    spec["database"] =
        json!({"external": {"secretRef": {"name": "a", "key": "uri", "caKey": "ca.crt"}}});
    spec["pods"].as_object_mut().unwrap().remove("database");
    spec["backup"]["destination"] = json!({"s3": {"bucket": "all", "prefix": "a", "endpoint": "https://a.example.com",
        "region": "a", "pathStyle": true, "caSecretRef": {"name": "a", "key": "ca.crt"},
        "credentialsSecretRef": {"name": "a"}, "serverSideEncryption": "AES256"}});
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

pub fn fields() -> Vec<String> {
    let definition = definitions().unwrap().remove(0);
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .unwrap();
    let mut found = Vec::new();
    leaves(schema, "", &mut found);
    found
}

/// The base with these fields changed.
pub fn changed(base: fn(u16) -> Value, edits: &[&Edit]) -> Value {
    let mut spec = base(free_port());
    for Edit { path, value, .. } in edits {
        prepare(&mut spec, path);
        *spec
            .pointer_mut(path)
            .unwrap_or_else(|| panic!("{path} is not in the base")) = value.clone();
    }
    spec
}

/// Whether an edit of the field concerns others, or what is not built from the spec alone.
pub fn is_edited_alone(base: fn(u16) -> Value, path: &str) -> bool {
    let plain = base(free_port());
    let mut prepared = plain.clone();
    prepare(&mut prepared, path);
    prepared != plain || ["/autoscaling/minReplicas", NODE_PORT].contains(&path)
}

/// Node ports belong to the whole cluster.
pub const NODE_PORT: &str = "/expose/service/nodePort";

/// Some fields need others to be as they are not in the base.
fn prepare(spec: &mut Value, path: &str) {
    let mut remove = |part: &str, fields: &[&str]| {
        let part = spec
            .pointer_mut(part)
            .and_then(Value::as_object_mut)
            .unwrap();
        fields.iter().for_each(|field| drop(part.remove(*field)));
    };
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
        "/database/external/pooler" | "/database/external/secretRef/directKey" => {
            spec["database"]["external"] = json!({"pooler": "transaction",
                "secretRef": {"name": "a", "key": "uri", "caKey": "ca.crt", "directKey": "uri"}});
        }
        _ if path.starts_with("/database/external/secretRef/keys/") => {
            spec["database"]["external"] = json!({"secretRef": {"name": "a", "caKey": "ca.crt", "keys": {
                "host": "host", "port": "port", "database": "database", "user": "user", "password": "password"}}});
        }
        _ if path.starts_with("/backup/destination/s3/caConfigMapRef/") => {
            let store = spec["backup"]["destination"]["s3"].as_object_mut().unwrap();
            let certificates = store.remove("caSecretRef").unwrap();
            store.insert("caConfigMapRef".into(), certificates);
        }
        "/expose/service/ipFamilies" => {
            spec["expose"]["service"]["ipFamilyPolicy"] = "RequireDualStack".into();
        }
        "/expose/service/ipFamilyPolicy" => {
            spec["expose"]["service"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
        }
        _ => {}
    }
}
