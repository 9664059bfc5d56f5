//! Step 2: turns the raw resource into checked types. No later step reads the raw one.

use hello_crds::{HelloRestore, HelloRestoreStatus};
use kube::ResourceExt;

use crate::{
    error::{Error, Result},
    object::{names, object_name::ObjectName, owner::Identity},
    service::validate::{Bucket, Destination, Validated},
};

/// The field of the bucket that another service's backup is in.
pub const SOURCE: &str = "spec.source.destination.s3";

/// A checked HelloRestore.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Which restore it is.
    pub identity: Identity,
    /// The service whose data comes back.
    pub service: ObjectName,
    /// The backup: its name, or `latest`.
    pub backup: String,
    /// The bucket that it is in, unless it is where the service stores its own; or what is wrong with it, in words.
    pub source: Option<Result<Bucket, String>>,
    /// Whether the loss of rows is accepted.
    pub consent: bool,
    /// Whether the former data is wanted back, and whether that may lose rows.
    pub undo: Option<bool>,
    /// Whether the data that does not serve is to be removed.
    pub drop: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its deletion waits for the operator.
    pub held: bool,
    /// What was reported of it.
    pub status: HelloRestoreStatus,
}

/// Checks a resource.
///
/// # Errors
/// [`Error::Invalid`] when a name is none.
pub fn validate(restore: &HelloRestore) -> Result<Order> {
    let (metadata, spec) = (&restore.metadata, &restore.spec);
    let name = restore.name_any();
    let service = ObjectName::parse(&spec.service.name).ok_or_else(|| {
        let name = &spec.service.name;
        Error::invalid(
            "spec.service.name",
            format!("no object can have the name {name:?}"),
        )
    })?;
    let namespace = restore.namespace().unwrap_or_default();
    let source = spec.source.destination.as_ref().map(|destination| {
        let prefix = names::usual_prefix(&namespace, service.as_str());
        let bucket = Bucket::parse(SOURCE, prefix, &destination.s3);
        bucket.map_err(|error| error.to_string())
    });
    let undo = restore.annotations().get(names::UNDO_ANNOTATION);
    let drop = restore.annotations().get(names::DROP_ANNOTATION);
    let holds = |name: &String| name == names::RESTORE_FINALIZER;
    Ok(Order {
        identity: Identity {
            namespace,
            name,
            uid: restore.uid().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
        },
        service,
        backup: spec.source.backup.clone(),
        source,
        consent: spec.accept_data_loss,
        undo: undo
            .filter(|value| *value != "false")
            .map(|value| value == names::UNDO_WITH_LOSS),
        drop: drop.is_some_and(|value| value != "false"),
        deleting: metadata.deletion_timestamp.is_some(),
        held: metadata.finalizers.iter().flatten().any(holds),
        status: restore.status.clone().unwrap_or_default(),
    })
}

impl Order {
    /// The service as the restore reads it: with the backups where this one is. Nothing of it is written.
    #[must_use]
    pub fn sees(&self, mut service: Validated) -> Validated {
        if let (Some(Ok(bucket)), Some(backup)) = (&self.source, &mut service.backup) {
            backup.destination = Destination::Bucket(bucket.clone());
        }
        service
    }
}
