//! Metadata of children: their labels, and what happens to them when the resource is deleted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::{
    object::names::{self, Component},
    service::validate::Validated,
};

/// Metadata of a child that is deleted with the resource.
pub fn owned(service: &Validated, name: String, component: Component) -> ObjectMeta {
    let identity = &service.identity;
    ObjectMeta {
        name: Some(name),
        namespace: Some(identity.namespace.clone()),
        labels: Some(names::labels(&identity.name, component)),
        // No blockOwnerDeletion: it needs a right on finalizers, and only foreground deletion uses it, which must not
        // wait for the operator either.
        owner_references: Some(vec![OwnerReference {
            api_version: hello_crds::API_VERSION.into(),
            kind: hello_crds::KIND.into(),
            name: identity.name.clone(),
            uid: identity.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}

/// Metadata of a child that holds data: it is deleted with the resource only when the spec says so.
pub fn data_owned(service: &Validated, name: String, component: Component) -> ObjectMeta {
    let mut meta = owned(service, name, component);
    if service.retain {
        let retained_for = service.identity.name.clone();
        meta.owner_references = None;
        meta.labels = Some(names::labels_without_owner(
            &service.identity.name,
            component,
        ));
        meta.annotations = Some([(names::RETAINED_ANNOTATION.to_owned(), retained_for)].into());
    }
    meta
}
