//! Claims of persistent volumes.

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

/// A claim of this size for one node at a time.
pub fn spec(size: &str, storage_class: Option<&String>) -> PersistentVolumeClaimSpec {
    PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".into()]),
        storage_class_name: storage_class.cloned(),
        ..resized(size)
    }
}

/// The part of a claim that may change.
pub fn resized(size: &str) -> PersistentVolumeClaimSpec {
    let requests = [("storage".to_owned(), Quantity(size.to_owned()))].into();
    PersistentVolumeClaimSpec {
        resources: Some(VolumeResourceRequirements {
            requests: Some(requests),
            limits: None,
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}
