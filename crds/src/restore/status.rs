//! What the operator reports about a `HelloRestore`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a `HelloRestore`. Only the operator writes it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloRestoreStatus {
    /// Generation of the spec that this status describes. -1: the operator has not read the resource yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How far the restore is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// UID of the HelloService when the restore started. Another service of the same name is not touched.
    #[serde(
        default,
        rename = "serviceUID",
        skip_serializing_if = "Option::is_none"
    )]
    pub service_uid: Option<String>,
    /// Name of the backup that is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Number of rows of the restored data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// What the swap loses or has lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<RestoreLoss>,
    /// Schema of the database with the data that does not serve: the former data after the swap, the restored data after
    /// an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// When the restored data began to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped_time: Option<String>,
    /// State of the restore. Ready is True when the wanted data serves. Stalled is True when the restore does not go on
    /// without a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl HelloRestoreStatus {
    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    /// Why it is where it is.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        self.condition("Ready")
    }

    /// Whether it does not go on without a person.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.condition("Stalled")
            .is_some_and(|stalled| stalled.status == "True")
    }
}

/// What a swap loses: rows of the live database compared with those of the backup.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreLoss {
    /// Rows that only the live data has.
    pub added: i64,
    /// Rows that the live data has with another content.
    pub changed: i64,
    /// Rows that only the backup has.
    pub removed: i64,
    /// When the backup was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Makes [`RestorePhase`] from its names and meanings.
macro_rules! phases {
    ($($(#[$meaning:meta])+ $name:ident,)+) => {
        /// How far a restore is.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum RestorePhase {
            $($(#[$meaning])+ $name,)+
        }

        impl RestorePhase {
            /// Every phase.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

phases! {
    /// It has not started.
    Pending,
    /// The backup is proved again, restored beside the live data and compared.
    Staging,
    /// The restored data is there, and the swap would lose rows: `spec.acceptDataLoss` decides.
    WaitingForConsent,
    /// The restored data takes the place of the live data.
    Swapping,
    /// The restored data serves.
    Completed,
    /// The former data takes its place again.
    Undoing,
    /// The former data serves again.
    Undone,
    /// It was refused, and nothing was changed.
    Refused,
    /// It failed, and the live data is what it was.
    Failed,
}
