//! Which pods may connect to which: each part is closed except for the connections that the service needs.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
};

use super::{app, database::kind::DatabaseKind, policy};
use crate::{object::names::Component, service::validate::Validated};

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
        ports: Some(vec![policy::port("TCP", database_port)]),
    };
    let client_egress = vec![name_lookup(), to_database];
    let mut app_egress = client_egress.clone();
    app_egress.extend(service.oidc.as_ref().map(|issuer| to_issuer(issuer.port)));
    let mut policies = vec![
        policy::for_part(service, Component::App, app_ingress(), app_egress),
        policy::for_part(service, Component::Migration, vec![], client_egress.clone()),
    ];
    if service.backup.is_some() {
        policies.push(policy::for_part(
            service,
            Component::Backup,
            vec![],
            client_egress,
        ));
    }
    policies
}

fn app_ingress() -> Vec<NetworkPolicyIngressRule> {
    vec![
        NetworkPolicyIngressRule {
            from: None,
            ports: Some(vec![policy::port("TCP", app::HTTP_PORT)]),
        },
        NetworkPolicyIngressRule {
            from: Some(vec![policy::monitoring()]),
            ports: Some(vec![policy::port("TCP", app::ADMIN_PORT)]),
        },
    ]
}

fn name_lookup() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![policy::port("UDP", 53), policy::port("TCP", 53)]),
    }
}

/// The issuer and its keys can be anywhere; the port is known.
fn to_issuer(number: u16) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![policy::port("TCP", number)]),
    }
}
