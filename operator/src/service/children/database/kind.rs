//! What a kind of database means for the objects of a service, as the rest of them sees it.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{EnvVar, PersistentVolumeClaim, Secret, Service},
    networking::v1::{NetworkPolicy, NetworkPolicyPeer},
};
use serde_json::Value;

use super::{super::prepared::List, address::Address};
use crate::{
    error::Result,
    object::{
        kind::{Gate, Kind},
        names::Component,
    },
};

/// What a kind of database means for the objects of a service.
pub trait DatabaseKind {
    /// The children that are the database.
    fn resources(&self) -> DatabaseResources;

    /// How the pods of one part of the service reach it.
    fn address(&self, part: Component) -> Address;

    /// The pods of its servers, for network policies; `None` when they can be anywhere.
    fn servers(&self) -> Option<NetworkPolicyPeer>;

    /// Annotations of the application's pods. Pods are replaced when they change.
    fn app_annotations(&self) -> Option<BTreeMap<String, String>> {
        None
    }

    /// Variables that only migrations need.
    fn migration_variables(&self) -> Vec<EnvVar> {
        Vec::new()
    }
}

/// The children that are the database.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // There is one in a pass.
pub enum DatabaseResources {
    /// A server that the operator runs.
    Managed {
        authority: Secret,
        credentials: Secret,
        server_tls: Secret,
        service: Service,
        stateful_set: StatefulSet,
        claim: PersistentVolumeClaim,
        network_policy: Option<NetworkPolicy>,
    },
    /// Servers that CloudNativePG runs.
    CloudNativePg {
        credentials: Secret,
        cluster: Value,
        network_policy: Option<NetworkPolicy>,
    },
    /// The user runs the server.
    External {
        /// Its address, where it is made of parts.
        address: Option<Secret>,
    },
}

impl DatabaseResources {
    /// Adds every child. While the address or the passwords are not known, what has them stays as it is.
    pub fn add_to(self, list: &mut List, address_is_known: bool) -> Result<()> {
        let with_address = |kind: Kind| match address_is_known {
            true => kind.row().gate,
            false => Gate::Never,
        };
        match self {
            Self::Managed {
                authority,
                credentials,
                server_tls,
                service,
                stateful_set,
                claim,
                network_policy,
            } => {
                list.add_all(Kind::Secret, &[authority, server_tls])?;
                list.add_gated(Kind::Secret, with_address(Kind::Secret), &credentials)?;
                list.add(Kind::Service, &service)?;
                let gate = with_address(Kind::StatefulSet);
                list.add_gated(Kind::StatefulSet, gate, &stateful_set)?;
                // The StatefulSet creates it.
                list.add_gated(Kind::PersistentVolumeClaim, Gate::IfPresent, &claim)?;
                list.add_all(Kind::NetworkPolicy, &network_policy)
            }
            Self::CloudNativePg {
                credentials,
                cluster,
                network_policy,
            } => {
                list.add(Kind::Secret, &credentials)?;
                list.add_bodies(Kind::Cluster, [cluster]);
                list.add_all(Kind::NetworkPolicy, &network_policy)
            }
            Self::External { address } => address.iter().try_for_each(|address| {
                list.add_gated(Kind::Secret, with_address(Kind::Secret), address)
            }),
        }
    }
}
