//! What the operator reports about a `HelloService`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::ConditionType;

/// Observed state of a `HelloService`. Only the operator writes it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloServiceStatus {
    /// Generation of the spec that this status describes. -1: the operator has not read the resource yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Version of the operator that wrote this status last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_version: Option<String>,
    // The description is made from the table of types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(description = ConditionType::describe_all())]
    #[allow(missing_docs)]
    pub conditions: Vec<Condition>,
    /// Number of application pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Number of application pods that are ready to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Label selector of the application pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// URL of the service inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Image in the pod template of the application. It differs from spec.image until the migration for that image has
    /// succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Tag or digest of `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// State of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseStatus>,
    /// State of the migration that the current spec needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,
    /// State of the backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
}

/// State of the database.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Kind of the database: `managed`, `external` or `cloudNativePG`.
    pub kind: String,
    /// PersistentVolumeClaim with the data (`managed` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<String>,
    /// What holds the data that the service has had. Another one is not used until it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataStatus>,
    /// Version of the data that serves (`spec.database.managed.dataVersion`). Unset: the version of the first volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
    /// Image of the server that last served this data (`managed` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The change to another version of the data, while one is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// Versions of the data that have served. The operator never deletes their claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerData>,
    /// How far the backup is with which the service starts (`spec.database.*.bootstrap`). What is over here is not done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapStatus>,
    /// Number of servers that are ready (`cloudNativePG` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_instances: Option<i32>,
    /// Pod of the primary, which accepts the writes (`cloudNativePG` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
}

/// What holds the data of a service.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataStatus {
    /// UID of the PersistentVolumeClaim, or of the `Cluster` of CloudNativePG.
    pub uid: String,
    /// PersistentVolume of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
}

/// How far the backup is with which a service starts.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapStatus {
    /// How far it is.
    pub phase: BootstrapPhase,
    /// Name of the HelloRestore that brings the data.
    pub restore: String,
    /// Name of the backup, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
}

/// How far the backup is with which a service starts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash, Serialize)]
pub enum BootstrapPhase {
    /// It is not restored yet, and the application waits for it.
    Restoring,
    /// The service has started with it.
    Completed,
    /// The service had data of its own when it was asked for, and nothing was restored.
    NotNeeded,
}

/// A change to another version of the data.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// Version of the data that served before. Unset: the version of the first volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Version of the data that is to serve. Unset: the version of the first volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How far it is.
    pub phase: UpgradePhase,
    /// When it began, as RFC 3339.
    pub since: String,
    /// Job of the backup, once it is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Name of the backup in the destination, once it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Name of the HelloRestore that brings the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
    /// UID of the claim of the version that is to serve, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
}

/// How far a change to another version of the data is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash, Serialize)]
pub enum UpgradePhase {
    /// The application is being stopped.
    Stopping,
    /// The data is backed up, and the backup is restored into a throw-away server and compared.
    BackingUp,
    /// The former server is being stopped.
    Switching,
    /// The server of the new volume starts, and the backup is restored there and compared.
    Restoring,
    /// The former server starts again: another version is wanted by now.
    Reverting,
    /// The data is complete, and the application starts.
    Starting,
}

impl UpgradePhase {
    /// Every phase.
    pub const ALL: [Self; 6] = [
        Self::Stopping,
        Self::BackingUp,
        Self::Switching,
        Self::Restoring,
        Self::Reverting,
        Self::Starting,
    ];
}

/// A version of the data that has served.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerData {
    /// Its name. Unset: the version of the first volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
    /// Its PersistentVolumeClaim.
    pub claim: String,
    /// UID of that claim.
    pub uid: String,
    /// PersistentVolume of that claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Image of the server that last served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When it stopped serving, as RFC 3339.
    pub until: String,
}

/// State of the migration.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// Name of the Job. It contains a hash of the migration's inputs.
    pub job: String,
    /// Phase of the migration: `Pending`, `Running`, `Succeeded` or `Failed`.
    pub phase: String,
}

/// State of the backups. Times are RFC 3339. It outlives the Jobs and the CronJob.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// When the schedule last started a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<String>,
    /// When the schedule starts the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<String>,
    /// How the last backup that has ended ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<BackupAttempt>,
    /// When a backup last succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_time: Option<String>,
    /// The newest backup that was restored and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<VerifiedBackup>,
    /// Number of proved backups that the destination holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Job of the last request by the annotation `hello.internal/backup-requested-at`. The name contains a hash of its value,
    /// and the same value never starts another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request: Option<String>,
    /// The backup that the operator orders before a deletion, with `deletionPolicy: Snapshot`, or before a change of
    /// `spec.database.managed.dataVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<OrderedBackup>,
}

/// A backup that the operator orders itself.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderedBackup {
    /// Name of its Job. Whenever the application may have run again, it is another one.
    pub job: String,
    /// Name of the backup in the destination, once it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// How a backup ended.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupAttempt {
    /// When it ended.
    pub time: String,
    /// `Verified`, or what went wrong: a reason of the condition `BackupVerified`.
    pub reason: String,
    /// What went wrong, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A backup that was restored and compared.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBackup {
    /// When its proof ended.
    pub time: String,
    /// Its name in the destination, without the ends of the files.
    pub file: String,
    /// Size of its files, in bytes.
    pub size_bytes: i64,
    /// How long the restore took, in seconds: the measured time to recover the data.
    pub seconds: f64,
    /// Number of rows, which the restore and the database had in common.
    pub rows: i64,
    /// Version of the schema.
    pub schema_version: i64,
}
