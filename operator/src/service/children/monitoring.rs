//! How the Prometheus Operator finds the application's metrics.

use serde_json::{Value, json};

use super::app;
use crate::{
    object::{
        kind::Kind,
        names::{self, Component},
    },
    service::validate::Validated,
};

/// The ServiceMonitor, when asked for.
pub fn service_monitor(service: &Validated) -> Option<Value> {
    if !service.monitoring.service_monitor {
        return None;
    }
    let resource = Kind::ServiceMonitor.resource();
    let mut metadata = app::meta(service);
    let mut labels = service.monitoring.service_monitor_labels.clone();
    labels.extend(metadata.labels.unwrap_or_default());
    metadata.labels = Some(labels);
    Some(json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": names::selector(&service.identity.name, Component::App)},
            // The pods' port and none of the Service's: what the Service exposes may be reached
            // from outside of the cluster.
            "endpoints": [{"targetPort": "admin", "path": "/metrics"}],
        },
    }))
}
