//! Collection of metrics.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Collection of metrics by Prometheus.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!has(self.serviceMonitorLabels) || self.serviceMonitor")
    .message("spec.monitoring.serviceMonitorLabels: set serviceMonitor to true, or remove the labels"))]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// `true` creates a ServiceMonitor for the application's metrics. The Prometheus Operator must be installed in the
    /// cluster. Default: `false`.
    #[serde(default)]
    pub service_monitor: bool,
    /// Labels of the ServiceMonitor, for a Prometheus that selects by labels, such as `release: prometheus`. Default:
    /// none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(name, !name.startsWith('app.kubernetes.io/'))")
        .message("spec.monitoring.serviceMonitorLabels: remove labels that start with app.kubernetes.io/; the operator sets them itself"))]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" = {"type": "string", "maxLength": 63})
    )]
    pub service_monitor_labels: BTreeMap<String, String>,
}
