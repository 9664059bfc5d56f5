//! A server that the user runs: the operator only reads its address.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;

use super::{
    super::pod,
    address::{Address, URI, VOLUME, file},
    kind::{DatabaseKind, DatabaseResources},
};
use crate::{
    object::{
        child,
        names::{self, Component},
    },
    service::{dereference::inputs::Inputs, validate},
};

/// File with the certificate authority of the server.
const AUTHORITY: &str = "ca.crt";

/// A server that the user runs.
pub struct External<'a> {
    /// Where its address is.
    pub database: &'a validate::External,
    /// What is known from the cluster.
    pub inputs: &'a Inputs,
}

impl DatabaseKind for External<'_> {
    fn resources(&self) -> DatabaseResources {
        DatabaseResources::External
    }

    /// All parts use the one login that there is.
    fn address(&self, _: Component) -> Address {
        let secret = self.database;
        let mut items = vec![(secret.key.as_str(), URI)];
        items.extend(secret.ca_key.as_deref().map(|key| (key, AUTHORITY)));
        let volume = pod::secret_volume(VOLUME, secret.secret.as_str(), &items);
        let mut address = Address::in_volume(volume);
        if secret.ca_key.is_some() {
            let variable = pod::env("PGSSLROOTCERT", file(AUTHORITY));
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
