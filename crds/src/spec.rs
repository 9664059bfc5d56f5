//! What a user asks for: the `HelloService` resource.
//!
//! Rules that concern one field are schema bounds; rules between fields, and transitions, are CEL.
//! Every rule names its field in the message, because the message is all that its reader sees.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AppConfig, Auth, Backup, Database, Expose, HelloServiceStatus, Monitoring, Tls};

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
#[x_kube(validation = Rule::new("has(self.database.external) == has(oldSelf.database.external) && has(self.database.cloudNativePG) == has(oldSelf.database.cloudNativePG)")
    .message("spec.database cannot change between managed, external and cloudNativePG: the data would be left behind"))]
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
    /// TLS of the API itself; without it the API speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who may write; everybody when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The database: exactly one kind.
    #[serde(default)]
    pub database: Database,
    /// Scheduled logical backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Network isolation of the pods.
    #[serde(default)]
    pub network_policy: NetworkIsolation,
    /// How metrics are collected.
    #[serde(default)]
    pub monitoring: Monitoring,
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
    #[schemars(length(max = 32), regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,3})?m?$"))]
    pub cpu: Option<String>,
    /// Memory, such as `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(
            pattern = r"^([0-9]{1,15}(\.[0-9]{1,9})?|[0-9]{1,12}(\.[0-9]{1,9})?([KM]i|[kM])|[0-9]{1,6}(\.[0-9]{1,9})?([GT]i|[GT]))$"
        )
    )]
    pub memory: Option<String>,
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
