//! What a deletion of the resource does, and what is known of the backup that comes before it.

use hello_crds::{DeletionPolicy, HelloService, OrderedBackup};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    error::{Error, Result},
    object::names::SNAPSHOT_FINALIZER,
};

/// What of the data outlives the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    All,
    /// The volume of the backups: the last one is proved.
    Backups,
    /// Nothing.
    Nothing,
}

/// What a deletion does, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The policy.
    pub policy: DeletionPolicy,
    /// Since when the resource is being deleted.
    pub since: Option<Timestamp>,
    /// Its finalizers. One of the operator's makes the deletion wait for it.
    pub finalizers: Vec<String>,
    /// The version of the resource that was read.
    pub version: Option<String>,
    /// The backup that the status knows to be ordered.
    pub ordered: Option<OrderedBackup>,
    /// Whether the status knows of an application.
    pub has_served: bool,
    /// What asks for another try of a backup that failed: the value of the annotation that requests backups.
    pub request: Option<String>,
}

impl Deletion {
    pub(super) fn read(service: &HelloService) -> Result<Self> {
        let policy = service.spec.deletion_policy;
        // The API server refuses that, unless its definition is older.
        if policy == DeletionPolicy::Snapshot && service.spec.wanted_backup().is_none() {
            let words = "Snapshot makes a last backup, and spec.backup wants none";
            return Err(Error::invalid("spec.deletionPolicy", words));
        }
        let metadata = &service.metadata;
        let status = service.status.as_ref();
        let annotations = service.annotations();
        Ok(Self {
            policy,
            since: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            finalizers: service.finalizers().to_vec(),
            version: metadata.resource_version.clone(),
            ordered: status.and_then(|status| status.backup.as_ref()?.ordered.clone()),
            has_served: status.is_some_and(|status| status.image.is_some()),
            request: annotations
                .get(hello_crds::names::BACKUP_REQUEST_ANNOTATION)
                .cloned(),
        })
    }

    /// Whether the deletion waits, or would wait, for the operator.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.finalizers
            .iter()
            .any(|name| name == SNAPSHOT_FINALIZER)
    }

    /// Whether the resource is being deleted and waits for the operator.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.since.is_some() && self.is_held()
    }

    /// What of the data outlives the resource before a last backup: without one, that of `Snapshot` stays.
    #[must_use]
    pub const fn kept(&self) -> Kept {
        match self.policy {
            DeletionPolicy::Retain | DeletionPolicy::Snapshot => Kept::All,
            DeletionPolicy::Delete => Kept::Nothing,
        }
    }
}
