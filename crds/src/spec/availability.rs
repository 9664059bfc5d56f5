//! Probes and disruptions of the application's pods.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::core::bare;

/// How many application pods a drain of nodes may take away.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("has(self.maxUnavailable) != has(self.minAvailable)")
    .message("spec.disruptionBudget: set exactly one of maxUnavailable and minAvailable"))]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// Most pods that may be away, as a number or as a percentage such as `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("string(self).matches('^([0-9]{1,4}|(100|[1-9]?[0-9])%)$')")
        .message("spec.disruptionBudget.maxUnavailable: use a number, or a percentage such as 25%"))]
    #[schemars(schema_with = "bare::<IntOrString>")]
    pub max_unavailable: Option<IntOrString>,
    /// Fewest pods that must be there, as a number or as a percentage such as `50%`. A value of all pods blocks every
    /// drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("string(self).matches('^([0-9]{1,4}|(100|[1-9]?[0-9])%)$')")
        .message("spec.disruptionBudget.minAvailable: use a number, or a percentage such as 50%"))]
    #[schemars(schema_with = "bare::<IntOrString>")]
    pub min_available: Option<IntOrString>,
}

/// Timing of the probes of a container. What they ask cannot change.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Whether the container gets requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ProbeTiming>,
    /// Whether the container is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<ProbeTiming>,
}

/// Timing of one probe.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeTiming {
    /// Seconds between two probes. Default: 1 for readiness, 10 for liveness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub period_seconds: Option<i32>,
    /// Seconds after which a probe without an answer has failed. Default: 2 for the application, 5 for the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: Option<i32>,
    /// Failed probes in a row that count. Default: 3, for the liveness of the database 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: Option<i32>,
}
