//! Which pods may connect to which: each part is closed except for the connections that the service needs.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{app, database::DatabaseKind, metadata::owned};
use crate::{
    object::names::{self, Component},
    service::{dereference::inputs::DATABASE_PORT, validate::Validated},
};

/// Namespace whose pods may read metrics.
const MONITORING_NAMESPACE: &str = "monitoring";

/// One policy for each part that connects to the database; none when isolation is off.
pub fn policies(
    service: &Validated,
    database: &dyn DatabaseKind,
    database_port: u16,
) -> Vec<NetworkPolicy> {
    if !service.isolate {
        return Vec::new();
    }
    let to_database = NetworkPolicyEgressRule {
        to: database.servers().map(|servers| vec![servers]),
        ports: Some(vec![port("TCP", database_port)]),
    };
    let client_egress = vec![name_lookup(), to_database];
    let mut app_egress = client_egress.clone();
    app_egress.extend(service.oidc.as_ref().map(|issuer| to_issuer(issuer.port)));
    let mut policies = vec![
        policy(service, Component::App, app_ingress(), app_egress),
        policy(service, Component::Migration, vec![], client_egress.clone()),
    ];
    if service.backup.is_some() {
        policies.push(policy(service, Component::Backup, vec![], client_egress));
    }
    policies
}

/// The policy of a database that the operator runs; none when isolation is off.
pub fn database_policy(service: &Validated) -> Option<NetworkPolicy> {
    let ingress = NetworkPolicyIngressRule {
        from: Some(database_clients(service)),
        ports: Some(vec![port("TCP", DATABASE_PORT)]),
    };
    service
        .isolate
        .then(|| policy(service, Component::Database, vec![ingress], vec![]))
}

/// The pods that connect to the database.
pub fn database_clients(service: &Validated) -> Vec<NetworkPolicyPeer> {
    let clients = [Component::App, Component::Migration, Component::Backup];
    clients.map(|part| pods(service, part)).into()
}

fn app_ingress() -> Vec<NetworkPolicyIngressRule> {
    vec![
        NetworkPolicyIngressRule {
            from: None,
            ports: Some(vec![port("TCP", app::HTTP_PORT)]),
        },
        NetworkPolicyIngressRule {
            from: Some(vec![monitoring()]),
            ports: Some(vec![port("TCP", app::ADMIN_PORT)]),
        },
    ]
}

/// Every pod of the namespace whose pods may read metrics.
pub fn monitoring() -> NetworkPolicyPeer {
    let labels = [(
        "kubernetes.io/metadata.name".into(),
        MONITORING_NAMESPACE.into(),
    )];
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(labels.into()),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn name_lookup() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
    }
}

/// The issuer and its keys can be anywhere; the port is known.
fn to_issuer(number: u16) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![port("TCP", number)]),
    }
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

/// Both directions are always closed; an absent list of rules means that nothing passes.
fn policy(
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
