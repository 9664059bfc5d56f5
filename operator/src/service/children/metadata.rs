//! Metadata of children: their labels, and what happens to them when the resource is deleted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    object::{
        names::{self, Component},
        owner,
    },
    service::validate::{Kept, Validated},
};

/// Metadata of a child that is deleted with the resource.
pub fn owned(service: &Validated, name: String, component: Component) -> ObjectMeta {
    let identity = &service.identity;
    ObjectMeta {
        name: Some(name),
        namespace: Some(identity.namespace.clone()),
        labels: Some(names::labels(&identity.name, component)),
        owner_references: Some(vec![owner::reference(
            hello_crds::API_VERSION,
            hello_crds::KIND,
            &identity.name,
            &identity.uid,
        )]),
        ..ObjectMeta::default()
    }
}

/// Metadata of a child that holds data: it is deleted with the resource only when the policy says so.
pub fn data_owned(service: &Validated, name: String, component: Component) -> ObjectMeta {
    let mut meta = owned(service, name, component);
    let outlives = match service.kept {
        Kept::All => true,
        Kept::Backups => component == Component::Backup,
        Kept::Nothing => false,
    };
    if outlives {
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
