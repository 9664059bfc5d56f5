//! Step 2: turns the raw resource into checked types. No later step reads the raw one.

use hello_crds::{HelloRestore, HelloRestoreStatus, SourceDestination};
use kube::ResourceExt;

use crate::{
    error::{Error, Result},
    object::{child::ChildId, kind::Kind, names, object_name::ObjectName, owner::Identity},
    service::validate::{Backup, Bucket, Destination, Validated},
};

/// The field of the place that another service's backup is in.
pub const SOURCE: &str = "spec.source.destination";
/// The field of the Secret that opens an encrypted backup.
pub const IDENTITY: &str = "spec.source.identitySecretRef";

/// A checked HelloRestore.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Which restore it is.
    pub identity: Identity,
    /// The service whose data comes back.
    pub service: ObjectName,
    /// The backup: its name, or `latest`.
    pub backup: String,
    /// Where it is, unless that is where the service stores its own; or what is wrong with that, in words.
    pub source: Option<Result<Destination, String>>,
    /// The Secret with what opens an encrypted backup, and its key.
    pub opened_with: Option<(ObjectName, String)>,
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
    let object_name = |field: &str, name: &str| {
        let problem = || format!("no object can have the name {name:?}");
        ObjectName::parse(name).ok_or_else(|| Error::invalid(field, problem()))
    };
    let service = object_name("spec.service.name", &spec.service.name)?;
    let secret = spec.source.identity_secret_ref.as_ref();
    let opened_with = secret
        .map(|secret| Ok((object_name(IDENTITY, &secret.name)?, secret.key.clone())))
        .transpose()?;
    let namespace = restore.namespace().unwrap_or_default();
    let source = spec.source.destination.as_ref().map(|destination| {
        let prefix = names::usual_prefix(&namespace, service.as_str());
        source(prefix, destination).map_err(|error| error.to_string())
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
        opened_with,
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

/// Where another service's backup is.
fn source(usual_prefix: String, spec: &SourceDestination) -> Result<Destination> {
    let field = |name: &str| format!("{SOURCE}.{name}");
    match (&spec.s3, &spec.volume) {
        (Some(s3), None) => Bucket::parse(&field("s3"), usual_prefix, s3).map(Destination::Bucket),
        (None, Some(volume)) => {
            let name = &volume.claim_name;
            let wrong = || format!("no object can have the name {name:?}");
            let parsed = ObjectName::parse(name);
            let parsed = parsed.ok_or_else(|| Error::invalid(&field("volume.claimName"), wrong()));
            parsed.map(Destination::Claim)
        }
        _ => Err(Error::invalid(SOURCE, "needs exactly one of s3 and volume")),
    }
}

impl Order {
    /// The service as the restore reads it: with the backups where this one is. Nothing of it is written.
    #[must_use]
    pub fn sees(&self, mut service: Validated) -> Validated {
        if let Some(Ok(source)) = &self.source {
            let destination = source.clone();
            service.backup = Some(match service.backup {
                Some(own) => Backup { destination, ..own },
                None => Backup::of_others(destination),
            });
        }
        service
    }

    /// The claim with the backup, when it is in another service's.
    #[must_use]
    pub fn source_claim(&self) -> Option<ChildId> {
        match &self.source {
            Some(Ok(Destination::Claim(name))) => {
                Some(ChildId::new(Kind::PersistentVolumeClaim, name.as_str()))
            }
            _ => None,
        }
    }
}
