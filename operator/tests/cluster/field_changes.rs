//! Another valid value for each field of the spec.

use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

/// How a field may change.
pub enum Change {
    /// Another valid value.
    To(Value),
    /// A valid value that it may never change to.
    Never(Value),
    /// A value that it may change to, but not back from.
    Forth(Value),
    /// It has a test of its own.
    Elsewhere,
}

/// How the field at a path is changed.
pub fn change(path: &str) -> Change {
    Change::To(match path {
        "/image" | "/database/managed/image" | "/database/cloudNativePG/image" => {
            json!("registry.example.com/other:2")
        }
        "/imagePullPolicy" => json!("Always"),
        "/imagePullSecrets" => json!([{"name": "b"}]),
        "/replicas" => json!(4),
        "/autoscaling/minReplicas" => json!(3),
        "/autoscaling/maxReplicas" => json!(6),
        "/autoscaling/targetCPUUtilizationPercentage" => json!(70),
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
        "/auth/oidc/audience" => json!(["a", "b"]),
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
        "/expose/service/type" => json!("NodePort"),
        "/expose/service/port" => json!(8080),
        "/expose/service/nodePort" => json!(free_port()),
        "/expose/ingress/className" | "/expose/ingress/tlsSecretName" => json!("b"),
        "/expose/ingress/host" => json!("b.example.com"),
        "/expose/ingress/annotations" => json!({"cert-manager.io/cluster-issuer": "b"}),
        "/database/managed/parameters" => json!({"work_mem": "2MB", "max_connections": "50"}),
        // One instance has no synchronous replication: that part of the Cluster is removed and added again.
        "/database/cloudNativePG/instances" => json!(1),
        "/backup/schedule" => json!("1 2 3 4 5"),
        "/backup/formats" => json!(["plain", "custom"]),
        "/backup/retention/keepLast" => json!(9),
        "/backup/suspend" => json!(true),
        "/networkPolicy/enabled" => json!(false),
        "/deletionPolicy" => json!("Delete"),
        _ if path.ends_with("/requests/cpu") => json!("70m"),
        _ if path.ends_with("/requests/memory") => json!("70Mi"),
        _ if path.ends_with("/limits/cpu") => json!("2"),
        _ if path.ends_with("/limits/memory") => json!("2Gi"),
        "/database/external/secretRef/name" => json!("b"),
        "/database/external/secretRef/key" => json!("other-uri"),
        "/database/external/secretRef/caKey" => json!("tls.crt"),
        _ if path.ends_with("/storageClassName") => return Change::Never(json!("b")),
        _ if path.ends_with("/size") => return Change::Forth(json!("3Gi")),
        // It stops every change, so nothing converges.
        "/paused" => return Change::Elsewhere,
        _ => panic!("{path} is new: give it another valid value here"),
    })
}

/// A node port that no other test uses.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(31_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
