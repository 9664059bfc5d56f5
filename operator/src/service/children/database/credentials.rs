//! The Secret with passwords and addresses of a database whose roles the operator owns.

use k8s_openapi::api::core::v1::Secret;

use super::super::metadata::data_owned;
use crate::{
    object::names::{self, Component},
    service::{secrets::credentials::Credentials, validate::Validated},
};

/// The Secret for the server at `host`. Clients verify the server by the authority in the file `trusted`.
pub fn secret(service: &Validated, credentials: &Credentials, host: &str, trusted: &str) -> Secret {
    let name = names::credentials(&service.identity.name);
    let mut metadata = data_owned(service, name, Component::Database);
    let annotations = credentials.annotations();
    if !annotations.is_empty() {
        let all = metadata.annotations.get_or_insert_default();
        all.extend(annotations);
    }
    Secret {
        metadata,
        data: Some(credentials.data(host, trusted)),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}
