//! Parts of network policies.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::metadata::owned;
use crate::{
    object::names::{self, Component},
    service::validate::Validated,
};

/// The pods that connect to the database.
pub fn database_clients(service: &Validated) -> Vec<NetworkPolicyPeer> {
    let clients = [Component::App, Component::Migration, Component::Backup];
    clients.map(|part| pods(service, part)).into()
}

/// The pods of one part.
pub fn pods(service: &Validated, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(select(service, component)),
        ..NetworkPolicyPeer::default()
    }
}

fn select(service: &Validated, component: Component) -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::selector(&service.identity.name, component)),
        match_expressions: None,
    }
}

/// One port.
pub fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.into()),
        port: Some(IntOrString::Int(number.into())),
        end_port: None,
    }
}

/// The policy of one part. Both directions are closed: without a rule, nothing is allowed.
pub fn for_part(
    service: &Validated,
    component: Component,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    let name = names::network_policy(&service.identity.name, component);
    NetworkPolicy {
        metadata: owned(service, name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(select(service, component)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(ingress).filter(|rules| !rules.is_empty()),
            egress: Some(egress).filter(|rules| !rules.is_empty()),
        }),
    }
}
