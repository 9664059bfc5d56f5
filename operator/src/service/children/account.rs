//! Accounts of the pods. They have no rights, and no pod has their token; a cloud may give them rights of its own, by
//! their annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::owned;
use crate::{
    object::names::{self, Component},
    service::validate::{Account, Database, Validated},
};

/// The account that parts share, and those of parts with annotations of their own.
pub fn accounts(service: &Validated) -> Vec<ServiceAccount> {
    let shared = account(
        service,
        names::service_account(&service.identity.name),
        Component::App,
        &service.pods.account_annotations,
    );
    let own = Component::ALL
        .into_iter()
        .filter(|part| has_pods(service, *part));
    let own = own.filter_map(|part| match &service.pods.of(part).account {
        Account::Own(annotations) => Some(account(service, name(service, part), part, annotations)),
        Account::Shared | Account::Existing(_) => None,
    });
    std::iter::once(shared).chain(own).collect()
}

/// The name of the account of one part.
pub fn name(service: &Validated, part: Component) -> String {
    let instance = &service.identity.name;
    match &service.pods.of(part).account {
        Account::Shared => names::service_account(instance),
        Account::Own(_) => names::part_account(instance, part),
        Account::Existing(name) => name.to_string(),
    }
}

/// Whether the operator makes pods of this part.
fn has_pods(service: &Validated, part: Component) -> bool {
    match part {
        // A restore of another service's backup needs none of the service's own.
        Component::App | Component::Migration | Component::Backup => true,
        // Those of its steps have the accounts of the backups and the migrations.
        Component::Restore => false,
        Component::Database => matches!(service.database, Database::Managed(_)),
    }
}

fn account(
    service: &Validated,
    name: String,
    part: Component,
    annotations: &BTreeMap<String, String>,
) -> ServiceAccount {
    let mut metadata = owned(service, name, part);
    metadata.annotations = Some(annotations.clone()).filter(|all| !all.is_empty());
    ServiceAccount {
        metadata,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
