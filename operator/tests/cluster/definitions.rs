//! Definitions of custom resources of other projects, from their own Go modules: the real ones, not copies.

use std::{path::PathBuf, process::Command};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// CloudNativePG's `Cluster`.
pub fn cluster() -> CustomResourceDefinition {
    definition(
        "github.com/cloudnative-pg/cloudnative-pg",
        "config/crd/bases/postgresql.cnpg.io_clusters.yaml",
    )
}

/// The Gateway API's `HTTPRoute`.
pub fn http_route() -> CustomResourceDefinition {
    definition(
        "sigs.k8s.io/gateway-api",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    )
}

/// The Prometheus Operator's `ServiceMonitor`.
pub fn service_monitor() -> CustomResourceDefinition {
    definition(
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    )
}

/// The Prometheus Operator's `PrometheusRule`.
pub fn prometheus_rule() -> CustomResourceDefinition {
    definition(
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    )
}

fn definition(module: &str, path: &str) -> CustomResourceDefinition {
    let text = std::fs::read_to_string(folder(module).join(path)).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Folder of a module's files, which are verified against `go.sum`.
fn folder(module: &str) -> PathBuf {
    const PINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/definitions");
    let sums = include_str!("../definitions/go.sum");
    let pin = sums
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words[0] == module && !words[1].ends_with("/go.mod"))
        .unwrap_or_else(|| panic!("{module} is not in go.sum"));
    // Downloaded once; after that the Go tool finds it in its cache.
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{module}@{}", pin[1])])
        .env("GOFLAGS", "-mod=mod")
        .current_dir(PINS)
        .output()
        .expect("the Go tool fetches the definitions");
    let text = String::from_utf8_lossy(&output.stdout);
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(answer["Sum"], pin[2], "{module}");
    answer["Dir"]
        .as_str()
        .unwrap_or_else(|| panic!("{text}"))
        .into()
}
