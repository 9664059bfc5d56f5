//! Which pods may connect to which: each part is closed except for the connections that the service needs.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
};

use super::{app, database::kind::DatabaseKind, policy};
use crate::{
    object::names::Component,
    service::{
        dereference::inputs::Inputs,
        validate::{Bucket, Validated},
    },
};

/// One policy for each part that connects to the database; none when isolation is off.
pub fn policies(
    service: &Validated,
    database: &dyn DatabaseKind,
    inputs: &Inputs,
) -> Vec<NetworkPolicy> {
    if !service.isolate {
        return Vec::new();
    }
    let client_egress = to_database(service, database, &inputs.direct_ports);
    let mut app_egress = to_database(service, database, &inputs.database_ports);
    app_egress.extend(service.oidc.as_ref().map(|issuer| to_anywhere(issuer.port)));
    let mut policies = vec![
        policy::for_part(service, Component::App, app_ingress(service), app_egress),
        policy::for_part(service, Component::Migration, vec![], client_egress.clone()),
    ];
    if let Some(backup) = &service.backup {
        let to_store = backup.destination.bucket().map(to_store);
        let to_store = to_store.into_iter().flatten();
        let client_egress: Vec<_> = client_egress.into_iter().chain(to_store).collect();
        for part in [Component::Backup, Component::Restore] {
            let egress = client_egress.clone();
            policies.push(policy::for_part(service, part, vec![], egress));
        }
    }
    policies
}

/// What every client of the database may reach.
pub(crate) fn to_database(
    service: &Validated,
    database: &dyn DatabaseKind,
    ports: &BTreeSet<u16>,
) -> Vec<NetworkPolicyEgressRule> {
    let ports = ports.iter().map(|port| policy::port("TCP", *port));
    // A rule without ports would be one for all of them.
    let ports = Some(ports.collect::<Vec<_>>()).filter(|ports| !ports.is_empty());
    let to_database = ports.map(|ports| NetworkPolicyEgressRule {
        to: database.servers().map(|servers| vec![servers]),
        ports: Some(ports),
    });
    let extra = service.network.extra_egress.iter().cloned();
    let own = std::iter::once(name_lookup(service)).chain(to_database);
    own.chain(extra).collect()
}

fn app_ingress(service: &Validated) -> Vec<NetworkPolicyIngressRule> {
    // A rule without peers is one for all of them.
    let clients = Some(service.network.clients.clone()).filter(|peers| !peers.is_empty());
    let own = [
        NetworkPolicyIngressRule {
            from: clients,
            ports: Some(vec![policy::port("TCP", app::HTTP_PORT)]),
        },
        NetworkPolicyIngressRule {
            from: Some(vec![service.network.monitoring.clone()]),
            ports: Some(vec![policy::port("TCP", app::ADMIN_PORT)]),
        },
    ];
    let extra = service.network.extra_ingress.iter().cloned();
    own.into_iter().chain(extra).collect()
}

/// To the cluster's own name servers, and nowhere else: a name can carry data out of the cluster.
fn name_lookup(service: &Validated) -> NetworkPolicyEgressRule {
    let port = service.network.dns_port.get();
    NetworkPolicyEgressRule {
        to: Some(policy::name_servers()),
        ports: Some(vec![policy::port("UDP", port), policy::port("TCP", port)]),
    }
}

/// To the store of a bucket, and to the service that issues its keys, where no key is given.
pub(crate) fn to_store(bucket: &Bucket) -> Vec<NetworkPolicyEgressRule> {
    const ISSUER: u16 = 443;
    let issuer = bucket.access_key.is_none().then_some(ISSUER);
    let ports: BTreeSet<u16> = std::iter::once(bucket.port).chain(issuer).collect();
    ports.into_iter().map(to_anywhere).collect()
}

/// The issuer of tokens and the store of buckets can be anywhere; the port is known.
fn to_anywhere(number: u16) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![policy::port("TCP", number)]),
    }
}
