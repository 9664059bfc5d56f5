//! The number of application pods, when it is not fixed.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{core::bare, default_replicas};

/// Autoscaling by the use of CPU and memory.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("self.external || (has(self.maxReplicas) && self.maxReplicas >= self.minReplicas)")
    .message("spec.autoscaling.maxReplicas: use a value of at least minReplicas"))]
#[x_kube(validation = Rule::new("!self.external || !(has(self.maxReplicas) || has(self.behavior) || has(self.targetMemoryUtilizationPercentage))")
    .message("spec.autoscaling.external: remove maxReplicas, behavior and targetMemoryUtilizationPercentage; the external scaler has its own"))]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Lowest number of pods. A new service starts with it. Default: 2.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Highest number of pods. It is required, except with `external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
    /// Target CPU use, in percent of `resources.requests.cpu`. Default: 50.
    #[serde(
        rename = "targetCPUUtilizationPercentage",
        default = "default_cpu_target"
    )]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,
    /// Target memory use, in percent of `resources.requests.memory`. The higher of the two numbers of pods counts.
    /// Default: memory does not scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_memory_utilization_percentage: Option<i32>,
    /// How fast the number changes, as in `kubectl explain horizontalpodautoscaler.spec.behavior`. Default: Kubernetes'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<HorizontalPodAutoscalerBehavior>")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
    /// `true` leaves the number of pods of the Deployment to another scaler, such as KEDA. The operator makes no
    /// autoscaler. Default: `false`.
    #[serde(default)]
    pub external: bool,
}

const fn default_cpu_target() -> i32 {
    50
}
