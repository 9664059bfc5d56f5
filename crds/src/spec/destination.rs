//! Where backups are stored.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{auth::CertificatesRef, patterns::OBJECT_NAME, volume::Volume};

/// Where backups are stored. Default: a volume of 2 GiB.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.volume) && has(self.s3))")
    .message("spec.backup.destination: set volume or s3, not both"))]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Volume for the backups only. Default, without `s3`: 2 GiB of the default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// Bucket of Amazon S3, or of another store that speaks its language. The backups survive the loss of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
}

/// A bucket of an S3 store: for the backups of a service, or as the source of a restore.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.caSecretRef) && has(self.caConfigMapRef))")
    .message("destination.s3: set caSecretRef or caConfigMapRef, not both"))]
#[serde(rename_all = "camelCase")]
pub struct S3 {
    /// Name of the bucket. It must exist.
    #[schemars(
        length(min = 3, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub bucket: String,
    /// What the keys of all objects begin with. No two services may have the same one in a bucket. Default: the namespace
    /// and the name of the HelloService.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")
    )]
    pub prefix: Option<String>,
    /// Address of the store. With `http://`, everything is sent in the clear. Default: Amazon's in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getPort() == '' || (int(url(self).getPort()) > 0 && int(url(self).getPort()) < 65536))")
        .message("destination.s3.endpoint: use a valid URL with a port from 1 to 65535 or none"))]
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")
    )]
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: `us-east-1`.
    #[serde(default = "default_region")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub region: String,
    /// Whether the bucket is in the path of addresses, and not in the host name. Default: `true` with an `endpoint`, and for
    /// names that contain a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Secret with the only certificate authorities that are trusted for connections to the store. Default: the public
    /// authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CertificatesRef>,
    /// ConfigMap with the only certificate authorities that are trusted for connections to the store. Default: the public
    /// authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<CertificatesRef>,
    /// Secret with the access key. Default: the identity of the pod, such as the role in the annotations of
    /// `spec.pods.backup.serviceAccount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<AccessKeyRef>,
    /// How the store encrypts objects. Default: as the bucket says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_encryption: Option<ServerSideEncryption>,
}

fn default_region() -> String {
    "us-east-1".into()
}

/// Secret with an access key: `access-key-id`, `secret-access-key` and, for a temporary one, `session-token`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKeyRef {
    /// Name of the Secret. It must be in the namespace of the HelloService.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
}

/// How a store encrypts objects.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum ServerSideEncryption {
    /// With keys of the store.
    #[serde(rename = "AES256")]
    Aes256,
    /// With the key that the bucket names, kept by a key management service.
    #[serde(rename = "aws:kms")]
    Kms,
    /// The same, twice.
    #[serde(rename = "aws:kms:dsse")]
    KmsTwice,
}

impl ServerSideEncryption {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "aws:kms",
            Self::KmsTwice => "aws:kms:dsse",
        }
    }
}
