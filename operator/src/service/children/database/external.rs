//! A server that the user runs: the operator only reads its address.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{Secret, Volume},
    networking::v1::NetworkPolicyPeer,
};

use super::{
    super::{metadata::owned, pod},
    address::{Address, URI, VOLUME, file},
    kind::{DatabaseKind, DatabaseResources},
};
use crate::{
    object::{
        child,
        names::{self, Component},
    },
    service::{
        dereference::inputs::Inputs,
        validate::{self, ExternalAddress, Validated},
    },
};

/// File with the certificate authority of the server.
const AUTHORITY: &str = "ca.crt";

/// A server that the user runs.
pub struct External<'a> {
    /// The service that uses it.
    pub service: &'a Validated,
    /// What is known from the cluster.
    pub inputs: &'a Inputs,
    /// Where its address is.
    pub database: &'a validate::External,
}

impl DatabaseKind for External<'_> {
    fn resources(&self) -> DatabaseResources {
        let address = match &self.database.address {
            ExternalAddress::Uri { .. } => None,
            ExternalAddress::Parts(_) => Some(self.made_address()),
        };
        DatabaseResources::External { address }
    }

    /// All parts use the one login that there is. Migrations and backups go past a pooler.
    fn address(&self, part: Component) -> Address {
        let mut address = Address::in_volume(self.volume(part));
        if self.database.ca_key.is_some() {
            let variable = pod::env("PGSSLROOTCERT", file(AUTHORITY));
            address.variables.push(variable);
        }
        if self.database.pooled && part == Component::App {
            let variable = pod::env("HELLO_DATABASE_POOLER", "transaction");
            address.variables.push(variable);
        }
        address
    }

    fn servers(&self) -> Option<NetworkPolicyPeer> {
        None
    }

    /// Another address may mean other data, so it replaces the pods. The operator's own databases need no such
    /// annotation: pods read their passwords again whenever they connect.
    fn app_annotations(&self) -> Option<BTreeMap<String, String>> {
        let identity = self.inputs.database_identity.as_deref();
        let fingerprint = child::hash(identity.unwrap_or_default());
        Some([(names::CREDENTIALS_ANNOTATION.to_owned(), fingerprint)].into())
    }
}

impl External<'_> {
    /// The address that is made of parts. Until they are known it is not written.
    fn made_address(&self) -> Secret {
        let made = self.inputs.made_address.as_ref();
        Secret {
            metadata: owned(self.service, self.secret_name(), Component::Database),
            data: made.map(|address| [(URI.to_owned(), address.data())].into()),
            type_: Some("Opaque".into()),
            ..Secret::default()
        }
    }

    fn secret_name(&self) -> String {
        names::external_address(&self.service.identity.name)
    }

    fn volume(&self, part: Component) -> Volume {
        let given = self.database.secret.as_str();
        let authority = self.database.ca_key.as_deref().map(|key| (key, AUTHORITY));
        match &self.database.address {
            ExternalAddress::Uri { key, direct } => {
                let key = match part {
                    Component::App => key,
                    Component::Database
                    | Component::Migration
                    | Component::Backup
                    | Component::Restore => direct.as_ref().unwrap_or(key),
                };
                let items = std::iter::once((key.as_str(), URI)).chain(authority);
                pod::secret_volume(VOLUME, given, &items.collect::<Vec<_>>())
            }
            ExternalAddress::Parts(_) => {
                let made = (self.secret_name(), &[(URI, URI)][..]);
                match authority {
                    None => pod::secret_volume(VOLUME, &made.0, made.1),
                    Some(authority) => {
                        let theirs = [authority];
                        let given = (given.to_owned(), &theirs[..]);
                        pod::secrets_volume(VOLUME, &[made, given])
                    }
                }
            }
        }
    }
}
