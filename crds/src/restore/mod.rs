//! The `HelloRestore` resource: brings the data of a service back from one of its backups.
//!
//! A restore is an order that is given once, so its spec does not change. Only the consent to a loss can be given later.

mod status;

pub use status::*;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{RestoreSource, patterns::INSTANCE_NAME};

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
