//! Where a backup is that is restored: of a service's own, or of another one.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    destination::S3,
    patterns::{DATA_KEY, OBJECT_NAME, SET},
};

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
    /// Secret with the secret key of age that opens an encrypted backup. Only the pod that reads the backup gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_secret_ref: Option<IdentityRef>,
}

/// One key of a Secret. It contains secret keys of age, one in a line.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityRef {
    /// Name of the Secret. It must be in the namespace of the restored service.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Key that contains the secret keys. Default: `identity`.
    #[serde(default = "default_identity_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub key: String,
}

impl IdentityRef {
    /// The usual key of the Secret `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: default_identity_key(),
        }
    }
}

fn default_identity_key() -> String {
    "identity".into()
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
