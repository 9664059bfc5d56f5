//! What is known of the data that a service has had: the only part of the status that decides about anything.

use hello_crds::{BootstrapStatus, DataStatus, HelloService};
use kube::ResourceExt;

use super::{Data, Database};
use crate::object::names;

/// What is known of the data that a service has had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownData {
    /// What held it; `None` when there has been none in a database of this kind. While data is restored into a new volume,
    /// that one.
    pub had: Option<DataStatus>,
    /// What held the data that has served.
    pub served: Option<DataStatus>,
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
        let had = had.and_then(|status| status.data.clone());
        let annotations = service.annotations();
        Self {
            served: had.clone(),
            had,
            bootstrap,
            accepted: annotations.get(names::ACCEPT_DATA_ANNOTATION).cloned(),
        }
    }

    /// What has the data is another claim while it is restored there.
    pub(super) fn expect(&mut self, data: &Data) {
        if let Some(upgrade) = data.restoring() {
            let claim = upgrade.claim.clone();
            self.had = claim.map(|uid| DataStatus { uid, volume: None });
        }
    }
}
