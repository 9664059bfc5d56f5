//! What is known of the data that a service has had: the only part of the status that decides about anything.

use hello_crds::{BootstrapStatus, DataStatus, HelloService};
use kube::ResourceExt;

use super::Database;
use crate::object::names;

/// What is known of the data that a service has had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownData {
    /// What held it; `None` when there has been none in a database of this kind.
    pub had: Option<DataStatus>,
    /// The backup that the service starts from.
    pub bootstrap: Option<BootstrapStatus>,
    /// UID of what a person accepts in its place.
    pub accepted: Option<String>,
}

impl KnownData {
    pub(super) fn read(service: &HelloService, database: &Database) -> Self {
        let status = service.status.as_ref();
        let status = status.and_then(|status| status.database.as_ref());
        let bootstrap = status.and_then(|status| status.bootstrap.clone());
        let had = status.filter(|status| status.kind == database.kind());
        let annotations = service.annotations();
        Self {
            had: had.and_then(|status| status.data.clone()),
            bootstrap,
            accepted: annotations.get(names::ACCEPT_DATA_ANNOTATION).cloned(),
        }
    }
}
