//! Network isolation of the pods.

use k8s_openapi::{
    api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::core::{bare, bare_list};

/// Network isolation of the pods. The other fields have no effect while `enabled` is `false`.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkIsolation {
    /// `true` creates NetworkPolicies that allow only the connections that the service needs. Default: `true`.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// Pods and networks that may connect to the API, as in `kubectl explain networkpolicy.spec.ingress.from`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bare_list::<NetworkPolicyPeer>", length(max = 32))]
    pub clients: Vec<NetworkPolicyPeer>,
    /// Pods that may read metrics. Default: all pods of the namespace `monitoring`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringPeers>,
    /// More connections to the application's pods, as in `kubectl explain networkpolicy.spec.ingress`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "bare_list::<NetworkPolicyIngressRule>",
        length(max = 32)
    )]
    pub extra_ingress: Vec<NetworkPolicyIngressRule>,
    /// More connections from the pods of the application, of migrations and of backups, as in `kubectl explain
    /// networkpolicy.spec.egress`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bare_list::<NetworkPolicyEgressRule>", length(max = 32))]
    pub extra_egress: Vec<NetworkPolicyEgressRule>,
    /// Port on which the pods of the cluster's DNS listen, such as 5353 on OpenShift. Default: 53.
    #[serde(default = "default_dns_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub dns_port: i32,
}

impl Default for NetworkIsolation {
    fn default() -> Self {
        Self {
            enabled: true,
            clients: Vec::new(),
            monitoring: None,
            extra_ingress: Vec::new(),
            extra_egress: Vec::new(),
            dns_port: default_dns_port(),
        }
    }
}

const fn default_true() -> bool {
    true
}

const fn default_dns_port() -> i32 {
    53
}

/// Pods that may read metrics: those that match both selectors.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringPeers {
    /// Namespaces of the pods; an empty selector matches all of them. Default: the namespace `monitoring`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<LabelSelector>")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the pods. Default: all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<LabelSelector>")]
    pub pod_selector: Option<LabelSelector>,
}
