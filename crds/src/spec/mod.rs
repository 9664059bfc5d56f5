//! The `HelloService` resource and its spec, one file for each section.
//!
//! Rules for one field are bounds and patterns of the schema. Rules between fields, and rules for changes, are CEL.
//! The message of each rule names its field and the action, because the reader sees nothing but the message.

mod auth;
mod autoscaling;
mod availability;
mod backup;
mod bootstrap;
mod config;
mod core;
mod database;
mod destination;
mod expose;
mod images;
mod monitoring;
mod network;
mod parameters;
pub(crate) mod patterns;
mod pods;
mod resources;
mod source;
mod volume;

pub use auth::*;
pub use autoscaling::*;
pub use availability::*;
pub use backup::*;
pub use bootstrap::*;
pub use config::*;
pub use database::*;
pub use destination::*;
pub use expose::*;
pub use images::*;
pub use monitoring::*;
pub use network::*;
pub use parameters::*;
pub use pods::*;
pub use resources::*;
pub use source::*;
pub use volume::*;

use std::borrow::Cow;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::HelloServiceStatus;
use patterns::NO_WHITE_SPACE;

/// Desired state of the service: the API, its database and its backups.
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
    doc = "A hello API with its database, migrations, autoscaling and backups.",
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
    printcolumn(name = "Backup", type_ = "date", json_path = ".status.backup.lastVerified.time"),
    printcolumn(name = "Restore", type_ = "number", json_path = ".status.backup.lastVerified.seconds", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: use at most 40 lower-case letters, digits and hyphens; start with a letter and end with a letter or a digit")
)]
#[x_kube(validation = Rule::new("has(self.database.external) == has(oldSelf.database.external) && has(self.database.cloudNativePG) == has(oldSelf.database.cloudNativePG)")
    .message("spec.database: keep the kind of database (managed, external or cloudNativePG); it cannot change, because the data would be left behind"))]
#[x_kube(validation = Rule::new("!(has(self.pods) && has(self.pods.database) && has(self.database.external))")
    .message("spec.pods.database: remove it; the operator runs no pods of an external database"))]
#[x_kube(validation = Rule::new("!(has(self.pods) && has(self.pods.database) && has(self.database.cloudNativePG) && [has(self.pods.database.runtimeClassName), has(self.pods.database.securityContext), has(self.pods.database.volumes), has(self.pods.database.volumeMounts)].exists(given, given))")
    .message("spec.pods.database: remove runtimeClassName, securityContext, volumes and volumeMounts; CloudNativePG sets them itself"))]
#[x_kube(validation = Rule::new("!(has(self.pods) && has(self.pods.database) && has(self.database.cloudNativePG) && has(self.pods.database.serviceAccount) && has(self.pods.database.serviceAccount.name))")
    .message("spec.pods.database.serviceAccount.name: remove it; CloudNativePG makes the account of its servers"))]
#[x_kube(validation = Rule::new("!has(self.deletionPolicy) || self.deletionPolicy != 'Snapshot' || (has(self.backup) ? (!has(self.backup.enabled) || self.backup.enabled) : !(has(self.database.external) || has(self.database.cloudNativePG)))")
    .message("spec.deletionPolicy: use Retain or Delete, or set spec.backup with enabled: true; Snapshot makes a last backup, and this service makes none"))]
#[serde(rename_all = "camelCase")]
pub struct HelloServiceSpec {
    /// Container image of the API. Default: the operator's setting `HELLO_APP_IMAGE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = NO_WHITE_SPACE))]
    pub image: Option<String>,
    /// When the kubelet pulls the images of this service. Default: `Always` for the tag `latest` or no
    /// tag, else `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets with registry credentials, in the namespace of the HelloService. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    // Two of one name cannot be applied to a pod template.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<ImagePullSecret>,
    /// Number of application pods. It has no effect while `autoscaling` is set. Default: 2.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Scales the application by its use of CPU and memory. Default: no autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// CPU and memory of the application's container. Default: requests of 50m CPU and 64Mi memory, a limit of 256Mi
    /// memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Settings of the pods: labels, placement, accounts, variables and volumes. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Box<Pods>>,
    /// How many application pods a drain of nodes may take away. Default: one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,
    /// Timing of the probes of the application's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Settings of the API.
    #[serde(default)]
    pub config: AppConfig,
    /// How clients reach the API. Default: a ClusterIP Service on port 80.
    #[serde(default)]
    pub expose: Expose,
    /// TLS of the API's own port. Default: none, the API serves plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who may write users. Default: every client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The database. Exactly one field is set. The kind cannot change. Default: `managed`.
    #[serde(default)]
    pub database: Database,
    /// Scheduled logical backups, each proved by restoring it. Default: with a managed database, every night into a volume
    /// of 2 GiB, of which the newest 7 are kept; with another one, no backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Network isolation of the pods. Default: enabled.
    #[serde(default)]
    pub network_policy: NetworkIsolation,
    /// Collection of metrics by Prometheus. Default: no ServiceMonitor.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// What happens to volumes and credentials when this resource is deleted. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// `true` stops all changes by the operator. The status is still reported. Default: `false`.
    #[serde(default)]
    pub paused: bool,
}

impl HelloServiceSpec {
    /// The backups that are wanted; `None` for none. Other software may make those of an external database and of a
    /// `Cluster`, so these are made only when the spec has them.
    #[must_use]
    pub fn wanted_backup(&self) -> Option<Cow<'_, Backup>> {
        match &self.backup {
            Some(backup) => backup.enabled.then_some(Cow::Borrowed(backup)),
            None => {
                let managed = self.database.managed.is_some();
                managed.then(|| Cow::Owned(Backup::default()))
            }
        }
    }
}

const fn default_replicas() -> i32 {
    2
}

/// What happens to volumes and credentials when a resource is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum DeletionPolicy {
    /// They are kept. A new resource of the same name adopts them.
    #[default]
    Retain,
    /// They are deleted with the resource.
    Delete,
    /// A deletion stops the application and makes a last backup. Once that is restored and compared, they are deleted with
    /// the resource, and the backups are kept. Until then nothing is deleted.
    Snapshot,
}
