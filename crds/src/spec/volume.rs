//! Persistent volumes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::patterns::OBJECT_NAME;

/// A persistent volume.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
    .message("size: a volume cannot shrink; keep the size or increase it"))]
#[x_kube(validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
    .message("storageClassName: the class of a volume cannot change; keep the earlier value"))]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Size as a Kubernetes quantity, such as `10Gi`. It can grow where the storage class allows it. It cannot shrink.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[1-9]([0-9]{0,14}|[0-9]{0,11}([KM]i|[kM])|[0-9]{0,5}([GT]i|[GT]))$")
    )]
    pub size: String,
    /// StorageClass of the volume. It cannot change. Default: the default class of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub storage_class_name: Option<String>,
}

impl Default for Volume {
    fn default() -> Self {
        default_data_volume()
    }
}

pub(super) fn default_data_volume() -> Volume {
    Volume {
        size: "1Gi".into(),
        storage_class_name: None,
    }
}

pub(super) fn default_backup_volume() -> Volume {
    Volume {
        size: "2Gi".into(),
        storage_class_name: None,
    }
}
