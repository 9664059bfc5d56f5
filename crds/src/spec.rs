//! What a user asks for: the `HelloService` resource.
//!
//! Rules that concern one field are schema bounds; rules between fields, and transitions, are CEL.
//! Every rule names its field in the message, because the message is all that its reader sees.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HelloServiceStatus;

/// Desired state of one hello service: the API, its database, migrations and backups.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "hello.internal",
    version = "v1alpha1",
    kind = "HelloService",
    plural = "helloservices",
    singular = "helloservice",
    shortname = "hs",
    category = "all",
    namespaced,
    doc = "A hello API with its database, migrations, scaling and backups.",
    status = "HelloServiceStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Database", type_ = "string", json_path = r#".status.conditions[?(@.type=="DatabaseReady")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters that starts with a letter: children's names are made from it")
)]
#[x_kube(validation = Rule::new("has(self.database.external) == has(oldSelf.database.external)")
    .message("spec.database cannot change between managed and external: the data would be left behind"))]
#[serde(rename_all = "camelCase")]
pub struct HelloServiceSpec {
    /// Container image of the API; the operator's own release when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,
    /// When the kubelet pulls the images of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets in the same namespace with registry credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<ImagePullSecret>,
    /// Number of application pods; without effect while autoscaling is set.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Scale the application by its CPU use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Resources of the application's container; defaults to requests of 50m CPU and 64Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Behaviour of the API.
    #[serde(default)]
    pub config: AppConfig,
    /// How the API is reached.
    #[serde(default)]
    pub expose: Expose,
    /// The database: exactly one kind.
    #[serde(default)]
    pub database: Database,
    /// Scheduled logical backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Network isolation of the pods.
    #[serde(default)]
    pub network_policy: NetworkIsolation,
    /// What happens to volumes and credentials when this resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stop changing children; the status is still reported.
    #[serde(default)]
    pub paused: bool,
}

const fn default_replicas() -> i32 {
    2
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum ImagePullPolicy {
    /// At each start of a pod.
    Always,
    /// When the node does not have the image.
    IfNotPresent,
    /// Never; the node must have it.
    Never,
}

impl ImagePullPolicy {
    /// The word the core API uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Name of a Secret of type `kubernetes.io/dockerconfigjson`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Horizontal scaling by CPU use.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("self.maxReplicas >= self.minReplicas")
    .message("spec.autoscaling.maxReplicas must not be less than minReplicas"))]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest pods; also the number a new service starts with.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// CPU use to aim for, in percent of the request.
    #[serde(
        rename = "targetCPUUtilizationPercentage",
        default = "default_cpu_target"
    )]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,
}

const fn default_cpu_target() -> i32 {
    50
}

/// Compute resources of a container.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.requests) && has(self.limits) && has(self.requests.cpu) && has(self.limits.cpu)) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0")
    .message("resources.requests.cpu must not be above resources.limits.cpu"))]
#[x_kube(validation = Rule::new("!(has(self.requests) && has(self.limits) && has(self.requests.memory) && has(self.limits.memory)) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0")
    .message("resources.requests.memory must not be above resources.limits.memory"))]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceList>,
    /// What the container cannot exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceList>,
}

/// Amounts of CPU and memory, as Kubernetes quantities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceList {
    /// CPU, such as `250m` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?m?$"))]
    pub cpu: Option<String>,
    /// Memory, such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?([KMGT]i|[kMGT])?$")
    )]
    pub memory: Option<String>,
}

/// Behaviour of the API; each field is one environment variable of the application.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppConfig {
    /// IANA time zone that decides which day is today.
    #[serde(default = "default_time_zone")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$")
    )]
    pub time_zone: String,
    /// When somebody born on 29 February has their birthday in a common year.
    #[serde(default)]
    pub leap_day: LeapDay,
    /// Letters a username may have.
    #[serde(default)]
    pub usernames: Usernames,
    /// Least severe log messages to print.
    #[serde(default)]
    pub log_level: LogLevel,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            time_zone: default_time_zone(),
            leap_day: LeapDay::default(),
            usernames: Usernames::default(),
            log_level: LogLevel::default(),
        }
    }
}

fn default_time_zone() -> String {
    "UTC".into()
}

/// Birthday of somebody born on 29 February, in a common year.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeapDay {
    /// 28 February.
    #[default]
    Feb28,
    /// 1 March.
    Mar1,
}

impl LeapDay {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feb28 => "feb28",
            Self::Mar1 => "mar1",
        }
    }
}

/// Letters a username may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Usernames {
    /// Letters of every script.
    #[default]
    Unicode,
    /// A to Z in both cases.
    Ascii,
}

impl Usernames {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unicode => "unicode",
            Self::Ascii => "ascii",
        }
    }
}

/// Least severe log messages to print.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For finding faults.
    Debug,
    /// What an administrator wants to read.
    #[default]
    Info,
    /// Only what may need action.
    Warn,
    /// Only what failed.
    Error,
}

impl LogLevel {
    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How the API is reached.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// The Service in front of the application.
    #[serde(default)]
    pub service: ServiceExposure,
    /// An Ingress in front of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressExposure>,
}

/// The Service in front of the application.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!has(self.nodePort) || self.type != 'ClusterIP'")
    .message("spec.expose.service.nodePort needs type NodePort or LoadBalancer"))]
#[serde(rename_all = "camelCase")]
pub struct ServiceExposure {
    /// Reach of the Service.
    #[serde(rename = "type", default)]
    pub type_: ServiceType,
    /// Port of the Service.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Port on every node; chosen by the cluster when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
}

impl Default for ServiceExposure {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: default_port(),
            node_port: None,
        }
    }
}

const fn default_port() -> i32 {
    80
}

/// Reach of a Service.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every node.
    NodePort,
    /// Through a load balancer of the cloud.
    LoadBalancer,
}

impl ServiceType {
    /// The word the core API uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// An Ingress for the whole host.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressExposure {
    /// IngressClass; the cluster's default when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Host name, such as `hello.example.com`.
    #[schemars(
        length(min = 1, max = 253),
        regex(
            pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
        )
    )]
    pub host: String,
    /// Secret of type `kubernetes.io/tls` with the host's certificate; plain HTTP when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,
    /// Annotations for the ingress controller or for a certificate issuer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// The database: exactly one of its fields.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("has(self.managed) != has(self.external)")
    .message("spec.database needs exactly one of managed and external"))]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// A PostgreSQL server run by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedDatabase>,
    /// A PostgreSQL server that somebody else runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            managed: Some(ManagedDatabase::default()),
            external: None,
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
    #[x_kube(validation = Rule::new("self.all(name, !(name in ['config_file', 'data_directory', 'external_pid_file', 'hba_file', 'ident_file', 'listen_addresses', 'port', 'unix_socket_directories']))")
        .message("spec.database.managed.parameters has a setting that the operator sets itself: config_file, data_directory, external_pid_file, hba_file, ident_file, listen_addresses, port, unix_socket_directories"))]
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
        regex(pattern = r"^[1-9][0-9]*([KMGT]i|[kMGT])?$")
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

/// Network isolation of the pods.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkIsolation {
    /// Allow only the connections that the service needs.
    #[serde(default = "default_true")]
    pub enabled: bool,
}

impl Default for NetworkIsolation {
    fn default() -> Self {
        Self { enabled: true }
    }
}

const fn default_true() -> bool {
    true
}

/// What happens to volumes and credentials when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum DeletionPolicy {
    /// They stay, and a new resource of the same name adopts them.
    #[default]
    Retain,
    /// They are deleted with the resource.
    Delete,
}
