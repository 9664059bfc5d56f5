//! CPU and memory of containers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CPU and memory of a container.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.requests) && has(self.limits) && has(self.requests.cpu) && has(self.limits.cpu)) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0")
    .message("resources.requests.cpu: use a value of at most resources.limits.cpu"))]
#[x_kube(validation = Rule::new("!(has(self.requests) && has(self.limits) && has(self.requests.memory) && has(self.limits.memory)) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0")
    .message("resources.requests.memory: use a value of at most resources.limits.memory"))]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Amounts that the scheduler reserves for the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceList>,
    /// Amounts that the container cannot exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceList>,
}

/// Amounts of CPU and memory, as Kubernetes quantities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceList {
    /// CPU in cores, such as `250m` (a quarter) or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,3})?m?$"))]
    pub cpu: Option<String>,
    /// Memory in bytes, such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(
            pattern = r"^([0-9]{1,15}(\.[0-9]{1,9})?|[0-9]{1,12}(\.[0-9]{1,9})?([KM]i|[kM])|[0-9]{1,6}(\.[0-9]{1,9})?([GT]i|[GT]))$"
        )
    )]
    pub memory: Option<String>,
}
