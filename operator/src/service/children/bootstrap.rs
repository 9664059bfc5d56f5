//! The restore that brings the first data of a new service: a HelloRestore of the service's own.

use hello_crds::{HelloRestore, HelloRestoreSpec, RestoredService};

use super::metadata::owned;
use crate::{
    object::names::Component,
    service::validate::{Bootstrap, Validated},
};

/// The order. It is deleted with the service, and accepts no loss: only a person can.
pub fn restore(service: &Validated, bootstrap: &Bootstrap) -> HelloRestore {
    HelloRestore {
        metadata: owned(service, bootstrap.restore.clone(), Component::Restore),
        spec: HelloRestoreSpec {
            service: RestoredService {
                name: service.identity.name.clone(),
            },
            source: bootstrap.source.clone(),
            accept_data_loss: false,
        },
        status: None,
    }
}
