//! Where the data is, and where its backups are.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Resources, config::default_time_zone};

/// The database: exactly one of its fields.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("[has(self.managed), has(self.external), has(self.cloudNativePG)].exists_one(given, given)")
    .message("spec.database needs exactly one of managed, external and cloudNativePG"))]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// A PostgreSQL server run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedDatabase>,
    /// A PostgreSQL server that somebody else runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
    /// A highly available PostgreSQL run by CloudNativePG, which must be installed in the cluster.
    #[serde(
        rename = "cloudNativePG",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub cloud_native_pg: Option<CloudNativePgDatabase>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            managed: Some(ManagedDatabase::default()),
            external: None,
            cloud_native_pg: None,
        }
    }
}

/// A PostgreSQL server run by the operator.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedDatabase {
    /// Container image of PostgreSQL 18; the operator's default when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,
    /// The volume with the data.
    #[serde(default = "default_data_volume")]
    pub storage: Volume,
    /// Resources of the server's container; defaults to requests of 100m CPU and 256Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Settings of postgresql.conf; a change restarts the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)?$'))")
        .message("spec.database.managed.parameters has a name that is not a PostgreSQL setting: lower-case letters, digits and underscores"))]
    #[x_kube(validation = Rule::new("self.all(name, !(name in ['config_file', 'data_directory', 'external_pid_file', 'hba_file', 'ident_file', 'listen_addresses', 'port', 'ssl', 'ssl_cert_file', 'ssl_key_file', 'unix_socket_directories']))")
        .message("spec.database.managed.parameters has a setting that the operator sets itself: config_file, data_directory, external_pid_file, hba_file, ident_file, listen_addresses, port, ssl, ssl_cert_file, ssl_key_file, unix_socket_directories"))]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 512})
    )]
    pub parameters: BTreeMap<String, String>,
}

/// A volume claimed from the cluster.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
    .message("size of a volume can grow but never shrink"))]
#[x_kube(validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
    .message("storageClassName of a volume cannot change"))]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Size as a Kubernetes quantity, such as `10Gi`.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[1-9]([0-9]{0,14}|[0-9]{0,11}([KM]i|[kM])|[0-9]{0,5}([GT]i|[GT]))$")
    )]
    pub size: String,
    /// StorageClass; the cluster's default when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

impl Default for Volume {
    fn default() -> Self {
        default_data_volume()
    }
}

fn default_data_volume() -> Volume {
    Volume {
        size: "1Gi".into(),
        storage_class_name: None,
    }
}

/// A PostgreSQL server that somebody else runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Secret with the address of the database.
    pub secret_ref: SecretKeyRef,
}

/// A PostgreSQL run by CloudNativePG: this operator makes its `Cluster`, and never fails over by itself.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudNativePgDatabase {
    /// Number of servers: a primary and its replicas, spread over zones and nodes. From two on, a write is
    /// acknowledged only once a replica has it too.
    #[serde(default = "default_instances")]
    #[schemars(range(min = 1, max = 9))]
    pub instances: i32,
    /// Container image of PostgreSQL 18 as CloudNativePG wants it: its tag starts with the major version.
    /// CloudNativePG's own default when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,
    /// The volume of each server.
    #[serde(default = "default_data_volume")]
    pub storage: Volume,
    /// Resources of each server; defaults to requests of 100m CPU and 256Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

const fn default_instances() -> i32 {
    3
}

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key that holds a `postgres://` URI of the role that owns the database.
    #[serde(default = "default_uri_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// Key that holds the certificates (PEM) by which the server is trusted; public authorities are without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub ca_key: Option<String>,
}

fn default_uri_key() -> String {
    "uri".into()
}

/// Scheduled logical backups.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When backups are made, in cron's five fields, such as `0 2 * * *`.
    #[schemars(
        length(min = 1, max = 100),
        regex(
            pattern = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*/,?-]+( [0-9A-Za-z*/,?-]+){4})$"
        )
    )]
    pub schedule: String,
    /// IANA time zone of the schedule.
    #[serde(default = "default_time_zone")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$")
    )]
    pub time_zone: String,
    /// Formats each backup is written in.
    #[serde(default = "default_formats")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub formats: Vec<BackupFormat>,
    /// Which backups are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Where backups go.
    #[serde(default)]
    pub destination: Destination,
    /// Make no backups for now.
    #[serde(default)]
    pub suspend: bool,
}

fn default_formats() -> Vec<BackupFormat> {
    vec![BackupFormat::Custom, BackupFormat::Plain]
}

/// Format of a backup file.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupFormat {
    /// PostgreSQL's archive, read by `pg_restore`.
    Custom,
    /// SQL text.
    Plain,
}

impl BackupFormat {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Plain => "plain",
        }
    }
}

/// Which backups are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Number of newest backups to keep.
    #[serde(default = "default_keep_last")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: i32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_last: default_keep_last(),
        }
    }
}

const fn default_keep_last() -> i32 {
    7
}

/// Where backups go.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// A volume of its own.
    #[serde(default = "default_backup_volume")]
    pub volume: Volume,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            volume: default_backup_volume(),
        }
    }
}

fn default_backup_volume() -> Volume {
    Volume {
        size: "2Gi".into(),
        storage_class_name: None,
    }
}
