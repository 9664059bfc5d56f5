//! The `HelloRestore` resource: brings the data of a service back from one of its backups.
//!
//! A restore is an order that is given once, so its spec does not change. Only the consent to a loss can be given later.

mod status;

pub use status::*;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{
    S3,
    patterns::{INSTANCE_NAME, OBJECT_NAME, SET},
};

/// Kind of a [`HelloRestore`].
pub const RESTORE_KIND: &str = "HelloRestore";

/// What is restored, and into which service.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "hello.internal",
    version = "v1alpha1",
    kind = "HelloRestore",
    plural = "hellorestores",
    singular = "hellorestore",
    shortname = "hr",
    category = "all",
    namespaced,
    doc = "Brings the data of a HelloService back from one of its backups: beside the live data first, then in place of it.",
    status = "HelloRestoreStatus",
    derive = "PartialEq",
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Backup", type_ = "string", json_path = ".status.backup"),
    printcolumn(name = "Added", type_ = "integer", json_path = ".status.loss.added", priority = 1),
    printcolumn(name = "Changed", type_ = "integer", json_path = ".status.loss.changed", priority = 1),
    printcolumn(name = "Removed", type_ = "integer", json_path = ".status.loss.removed", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: use at most 40 lower-case letters, digits and hyphens; start with a letter and end with a letter or a digit")
)]
#[x_kube(validation = Rule::new("self.service == oldSelf.service && self.source == oldSelf.source")
    .message("spec: make another HelloRestore; service and source of this one cannot change"))]
#[x_kube(validation = Rule::new("self.acceptDataLoss || !oldSelf.acceptDataLoss")
    .message("spec.acceptDataLoss: delete the HelloRestore instead; a consent cannot be taken back"))]
#[serde(rename_all = "camelCase")]
pub struct HelloRestoreSpec {
    /// The service whose data comes back.
    pub service: RestoredService,
    /// Where the data comes from.
    pub source: RestoreSource,
    /// `true` accepts that rows are lost which the backup does not have. Without it, the restore waits as soon as a row
    /// would be lost, and reports how many in `status.loss`. It can be set to `true` later, and not back. Default:
    /// `false`.
    #[serde(default)]
    pub accept_data_loss: bool,
}

/// The service whose data comes back.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredService {
    /// Name of the HelloService, in the namespace of the HelloRestore.
    #[schemars(length(min = 1, max = 40), regex(pattern = INSTANCE_NAME))]
    pub name: String,
}

/// Where the data comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSource {
    /// Name of a backup, such as `hello-20260501T020000Z`, or `latest` for the newest one.
    #[schemars(length(min = 1, max = 40), regex(pattern = SET))]
    pub backup: String,
    /// Where the backup is, when it is another service's or a former one's. It is only read. Default: where
    /// `spec.backup.destination` of the service stores its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<SourceDestination>,
}

/// Where a backup is that another service has made. Exactly one field is set.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("has(self.s3) != has(self.volume)")
    .message("source.destination: set exactly one of s3 and volume"))]
#[serde(rename_all = "camelCase")]
pub struct SourceDestination {
    /// The bucket. Its `prefix` is that of the service that made the backup. Secrets and ConfigMaps are those of the
    /// namespace of the HelloRestore; without an access key, the identity of the pods of backups is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// The volume with the backups of another service, or of a former one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<SourceVolume>,
}

/// A volume with backups. A step of the restore mounts it to read.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceVolume {
    /// Name of the PersistentVolumeClaim, in the same namespace. That of the service `hello` is `hello-backup`.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub claim_name: String,
}
