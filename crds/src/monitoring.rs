//! How metrics are collected.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How metrics are collected.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!has(self.serviceMonitorLabels) || self.serviceMonitor")
    .message("spec.monitoring.serviceMonitorLabels needs serviceMonitor: true"))]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Make a ServiceMonitor, by which the Prometheus Operator finds the application's metrics.
    #[serde(default)]
    pub service_monitor: bool,
    /// Labels of the ServiceMonitor, where Prometheus selects by them, such as `release: prometheus`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(name, !name.startsWith('app.kubernetes.io/'))")
        .message("spec.monitoring.serviceMonitorLabels has a label that the operator sets itself: those of app.kubernetes.io"))]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" = {"type": "string", "maxLength": 63})
    )]
    pub service_monitor_labels: BTreeMap<String, String>,
}
