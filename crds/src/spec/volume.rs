//! Persistent volumes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{OBJECT_NAME, SIZE};

/// A persistent volume.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Size as a Kubernetes quantity, such as `10Gi`. A volume grows where its storage class allows it. It never shrinks:
    /// one that is larger already stays as it is.
    #[schemars(length(min = 1, max = 32), regex(pattern = SIZE))]
    pub size: String,
    /// StorageClass of a new volume. One that exists keeps its class. Default: the default class of the cluster.
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

impl Volume {
    /// The volume for backups where none is given.
    #[must_use]
    pub fn for_backups() -> Self {
        Self {
            size: "2Gi".into(),
            storage_class_name: None,
        }
    }
}
