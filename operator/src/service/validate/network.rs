//! What network policies allow beside what the service needs.

use hello_crds::NetworkIsolation;
use k8s_openapi::{
    api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::expose::Port;
use crate::error::Result;

/// Namespace whose pods may read metrics, when the spec names no others.
const MONITORING_NAMESPACE: &str = "monitoring";

/// What network policies allow beside what the service needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Who may connect to the API. Empty: everybody.
    pub clients: Vec<NetworkPolicyPeer>,
    /// Pods that may read metrics.
    pub monitoring: NetworkPolicyPeer,
    /// More connections to the application.
    pub extra_ingress: Vec<NetworkPolicyIngressRule>,
    /// More connections from the application, migrations and backups.
    pub extra_egress: Vec<NetworkPolicyEgressRule>,
    /// Port of the pods of the cluster's DNS.
    pub dns_port: Port,
}

impl Network {
    pub(super) fn parse(spec: &NetworkIsolation) -> Result<Self> {
        let given = spec.monitoring.clone().unwrap_or_default();
        let namespaces = given.namespace_selector.unwrap_or_else(monitoring);
        Ok(Self {
            clients: spec.clients.clone(),
            monitoring: NetworkPolicyPeer {
                namespace_selector: Some(namespaces),
                pod_selector: given.pod_selector,
                ip_block: None,
            },
            extra_ingress: spec.extra_ingress.clone(),
            extra_egress: spec.extra_egress.clone(),
            dns_port: Port::parse("spec.networkPolicy.dnsPort", spec.dns_port)?,
        })
    }
}

fn monitoring() -> LabelSelector {
    let label = "kubernetes.io/metadata.name".to_owned();
    LabelSelector {
        match_labels: Some([(label, MONITORING_NAMESPACE.to_owned())].into()),
        match_expressions: None,
    }
}
