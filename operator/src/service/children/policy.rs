//! Parts of network policies.

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
        NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
        util::intstr::IntOrString,
    },
};

use super::metadata::owned;
use crate::{
    object::names::{self, Component},
    service::validate::Validated,
};

/// Where the cluster's name servers are: namespaces and, where others run beside them, the values of this label.
const NAME_SERVERS: [(&str, &[&str]); 2] = [
    ("kube-system", &["kube-dns", "coredns", "node-local-dns"]),
    ("openshift-dns", &[]),
];
/// Label of name servers.
const NAME_SERVER_LABEL: &str = "k8s-app";
/// Addresses that no packet to leaves its node: name servers of the node are there.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// The name servers of the cluster, and those on the pod's own node.
pub fn name_servers() -> Vec<NetworkPolicyPeer> {
    let in_cluster = NAME_SERVERS.map(|(name, labels)| NetworkPolicyPeer {
        pod_selector: (!labels.is_empty()).then(|| LabelSelector {
            match_labels: None,
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: NAME_SERVER_LABEL.into(),
                operator: "In".into(),
                values: Some(labels.iter().map(|&label| label.into()).collect()),
            }]),
        }),
        ..namespace(name)
    });
    let on_node = NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: LINK_LOCAL.into(),
            except: None,
        }),
        ..NetworkPolicyPeer::default()
    };
    in_cluster.into_iter().chain([on_node]).collect()
}

/// Every pod of a namespace.
fn namespace(name: &str) -> NetworkPolicyPeer {
    let labels = [("kubernetes.io/metadata.name".into(), name.into())];
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(labels.into()),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

/// The pods that connect to the database.
pub fn database_clients(service: &Validated) -> Vec<NetworkPolicyPeer> {
    let clients = [
        Component::App,
        Component::Migration,
        Component::Backup,
        Component::Restore,
    ];
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
