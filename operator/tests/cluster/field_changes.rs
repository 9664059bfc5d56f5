//! Another valid value for each field of the spec.

use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

/// How a field may change.
pub enum Change {
    /// Another valid value.
    To(Value),
    /// A valid value that it may never change to.
    Never(Value),
    /// A value that it may change to. What is there stays when it changes back.
    Forth(Value),
    /// It has a test of its own.
    Elsewhere,
}

/// How the field at a path is changed.
pub fn change(path: &str) -> Change {
    Change::To(match path {
        "/image"
        | "/backup/image"
        | "/database/managed/image"
        | "/database/cloudNativePG/image" => {
            json!("registry.example.com/other:2")
        }
        "/imagePullPolicy" => json!("Always"),
        "/imagePullSecrets" => json!([{"name": "b"}]),
        "/replicas" => json!(4),
        "/autoscaling/minReplicas" => json!(3),
        "/autoscaling/maxReplicas" => json!(6),
        "/autoscaling/targetCPUUtilizationPercentage" => json!(70),
        "/autoscaling/targetMemoryUtilizationPercentage" => json!(90),
        _ if path.starts_with("/autoscaling/behavior/") && path.ends_with("/policies") => {
            json!([{"type": "Percent", "value": 10, "periodSeconds": 60}])
        }
        _ if path.ends_with("/selectPolicy") => json!("Disabled"),
        _ if path.ends_with("/stabilizationWindowSeconds") => json!(90),
        "/autoscaling/external" => json!(true),
        "/disruptionBudget/maxUnavailable" => json!("25%"),
        "/disruptionBudget/minAvailable" => json!("50%"),
        _ if path.ends_with("/periodSeconds") => json!(7),
        _ if path.ends_with("/timeoutSeconds") => json!(3),
        _ if path.ends_with("/failureThreshold") => json!(8),
        "/database/managed/sharedMemory" => json!("128Mi"),
        "/networkPolicy/dnsPort" => json!(53),
        _ if path.ends_with("Selector/matchLabels") => json!({"b": "2"}),
        _ if path.ends_with("Selector/matchExpressions") => {
            json!([{"key": "b", "operator": "Exists"}])
        }
        "/networkPolicy/clients" => json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]),
        "/networkPolicy/extraIngress" => json!([{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
        "/networkPolicy/extraEgress" => json!([{"ports": [{"port": 4318, "protocol": "UDP"}]}]),
        "/config/timeZone" | "/backup/timeZone" => json!("Europe/Berlin"),
        "/config/leapDay" => json!("mar1"),
        "/config/usernames" => json!("ascii"),
        "/config/logLevel" => json!("debug"),
        "/config/logFormat" => json!("text"),
        "/config/rateLimit/requests" => json!(11),
        "/config/rateLimit/per" => json!("minute"),
        "/config/rateLimit/burst" => json!(21),
        "/config/rateLimit/trustedProxies" => json!(["10.0.0.0/8", "::1"]),
        "/config/rateLimit/forwardedHeader" => json!("x-forwarded-for"),
        "/tls/secretName" => json!("b"),
        "/auth/oidc/issuer" => json!("https://b.example.com:8443"),
        "/auth/oidc/audience" | "/auth/oidc/clientIds" => json!(["a", "b"]),
        "/auth/oidc/adminClaim" => json!("realm_access.roles"),
        "/auth/oidc/reads" => json!("authenticated"),
        "/auth/oidc/usernameClaim" | "/auth/oidc/adminScope" => json!("b"),
        "/auth/oidc/algorithms" => json!(["ES256", "EdDSA"]),
        "/auth/oidc/leewaySeconds" => json!(0),
        "/auth/oidc/caSecretRef/name" | "/auth/oidc/caConfigMapRef/name" => json!("b"),
        "/auth/oidc/caSecretRef/key" | "/auth/oidc/caConfigMapRef/key" => json!("tls.crt"),
        "/expose/httpRoute/parentRefs" => {
            json!([{"name": "a", "namespace": "b", "sectionName": "https", "port": 443}])
        }
        "/expose/httpRoute/hostnames" => json!(["b.example.com", "*.example.com"]),
        "/monitoring/serviceMonitor" => json!(false),
        "/monitoring/serviceMonitorLabels" => json!({"release": "b"}),
        "/pods/app" | "/pods/database" | "/pods/migration" | "/pods/backup" => settings_of_a_part(),
        "/pods/all/labels" | "/pods/all/annotations" | "/pods/all/nodeSelector" => {
            json!({"a": "2", "b": "2"})
        }
        "/pods/all/serviceAccount/annotations" => json!({"b": "2"}),
        "/pods/all/serviceAccount/name" => json!("other"),
        "/pods/all/tolerations" => json!([{"key": "b"}]),
        "/pods/all/topologySpreadConstraints" => {
            json!([{"topologyKey": "b", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}])
        }
        "/pods/all/priorityClassName" => json!("system-cluster-critical"),
        "/pods/all/runtimeClassName" => json!("b"),
        "/pods/all/securityContext/assignIds" => json!(false),
        "/pods/all/securityContext/supplementalGroups" => json!([5, 6]),
        _ if path.starts_with("/pods/all/securityContext/") => json!(6),
        "/pods/all/env" => json!([{"name": "B", "value": "2"}]),
        "/pods/all/envFrom" => json!([{"configMapRef": {"name": "a"}}]),
        "/pods/all/volumes" => json!([{"name": "a", "configMap": {"name": "a"}}]),
        "/pods/all/volumeMounts" => json!([{"name": "a", "mountPath": "/b"}]),
        _ if path.starts_with("/pods/all/affinity/") => affinity(path),
        "/expose/service/annotations" => {
            json!({"external-dns.alpha.kubernetes.io/ttl": "60"})
        }
        "/expose/service/loadBalancerClass" => return Change::Never(json!("b.example.com/b")),
        "/expose/service/loadBalancerSourceRanges" => json!(["10.0.0.0/8", "192.0.2.0/24"]),
        "/expose/service/externalTrafficPolicy" => json!("Local"),
        "/expose/service/ipFamilyPolicy" => json!("PreferDualStack"),
        "/expose/service/ipFamilies" => json!(["IPv4", "IPv6"]),
        "/expose/service/type" => json!("NodePort"),
        "/expose/service/port" => json!(8080),
        "/expose/service/nodePort" => json!(free_port()),
        "/expose/ingress/className" | "/expose/ingress/tlsSecretName" => json!("b"),
        "/expose/ingress/host" => json!("b.example.com"),
        "/expose/ingress/annotations" => json!({"cert-manager.io/cluster-issuer": "b"}),
        "/database/managed/parameters" => json!({"work_mem": "2MB", "max_connections": "50"}),
        // One instance has no synchronous replication: that part of the Cluster is removed and added again.
        "/database/cloudNativePG/instances" => json!(1),
        // The claim with earlier backups stays: `tests/cluster/backup.rs`.
        "/backup/enabled" => return Change::Elsewhere,
        "/backup/schedule" => json!("1 2 3 4 5"),
        "/backup/formats" => json!(["plain", "custom"]),
        "/backup/retention/keepLast" => json!(9),
        "/backup/retention/keepDaily"
        | "/backup/retention/keepWeekly"
        | "/backup/retention/keepMonthly" => json!(0),
        "/backup/encryption/recipients" => {
            json!(["age1n2xdefkek8zfxrxj72unntf9zypcl9aafuvjh4zdldczjsylfqpsmmtu0r"])
        }
        "/backup/verify/scratch/size" => json!("3Gi"),
        "/backup/suspend" => json!(true),
        "/backup/destination/s3/bucket" => json!("other"),
        "/backup/destination/s3/prefix" | "/backup/destination/s3/region" => json!("b"),
        "/backup/destination/s3/endpoint" => json!("http://b.example.com:9000"),
        "/backup/destination/s3/pathStyle" => json!(false),
        "/backup/destination/s3/serverSideEncryption" => json!("aws:kms"),
        "/backup/destination/s3/credentialsSecretRef/name" => json!("b"),
        _ if path.starts_with("/backup/destination/s3/ca") && path.ends_with("/name") => json!("b"),
        _ if path.starts_with("/backup/destination/s3/ca") => json!("tls.crt"),
        "/networkPolicy/enabled" => json!(false),
        "/deletionPolicy" => json!("Delete"),
        _ if path.ends_with("/requests/cpu") => json!("70m"),
        _ if path.ends_with("/requests/memory") => json!("70Mi"),
        _ if path.ends_with("/limits/cpu") => json!("2"),
        _ if path.ends_with("/limits/memory") => json!("2Gi"),
        "/database/external/pooler" => json!("transaction"),
        "/database/external/secretRef/directKey" => json!("other-uri"),
        "/database/external/secretRef/keys/port" => json!("port"),
        _ if path.starts_with("/database/external/secretRef/keys/") => json!("other"),
        "/database/external/secretRef/name" => json!("b"),
        "/database/external/secretRef/key" => json!("other-uri"),
        "/database/external/secretRef/caKey" => json!("tls.crt"),
        // A volume keeps its class: `tests/cluster/volumes.rs`.
        _ if path.ends_with("/storageClassName") => return Change::Elsewhere,
        _ if path.ends_with("/size") => return Change::Forth(json!("3Gi")),
        // Other passwords are a rotation, which takes its time.
        "/database/managed/credentials/secretRef/name" => return Change::Elsewhere,
        // It is a change of the data: `tests/cluster/versions.rs`.
        "/database/managed/dataVersion" => return Change::Elsewhere,
        // It matters before anything serves: `tests/cluster/bootstrap.rs`.
        _ if path.contains("/bootstrap/") => return Change::Elsewhere,
        // It stops every change, so nothing converges.
        "/paused" => return Change::Elsewhere,
        _ => panic!("{path} is new: give it another valid value here"),
    })
}

/// Another value for one list of an affinity.
fn affinity(path: &str) -> Value {
    let required = path.contains("/required");
    match (path.contains("/nodeAffinity/"), required) {
        (true, true) => json!([match_node("b")]),
        (true, false) => json!([prefer("b")]),
        (false, true) => json!([near("b")]),
        (false, false) => json!([{"weight": 2, "podAffinityTerm": near("b")}]),
    }
}

/// A node with this label.
pub fn match_node(label: &str) -> Value {
    json!({"matchExpressions": [{"key": label, "operator": "Exists"}]})
}

/// Rather a node with this label.
pub fn prefer(label: &str) -> Value {
    json!({"weight": 1, "preference": match_node(label)})
}

/// Beside pods with this label.
pub fn near(label: &str) -> Value {
    json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"label": label}}})
}

/// A selector with every field.
pub fn selector(label: &str) -> Value {
    json!({"matchLabels": {label: "1"}, "matchExpressions": [{"key": label, "operator": "Exists"}]})
}

/// Settings of the pods of one part, where others are given for all parts.
fn settings_of_a_part() -> Value {
    json!({"labels": {"part": "1"}, "annotations": {"part": "1"}, "nodeSelector": {"part": "1"},
        "tolerations": [{"key": "part"}], "affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [prefer("part")]}},
        "topologySpreadConstraints": [{"topologyKey": "part"}], "priorityClassName": "system-cluster-critical",
        "resources": {"limits": {"cpu": "3"}}, "env": [{"name": "PART", "value": "1"}],
        "envFrom": [{"configMapRef": {"name": "b"}}], "serviceAccount": {"annotations": {"part": "1"}}})
}

/// A node port that no other test uses.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(31_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
