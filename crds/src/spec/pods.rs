//! Settings of the pods, for each part of a service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource, EnvFromSource, EnvVar,
    PersistentVolumeClaimVolumeSource, SecretVolumeSource, Toleration, VolumeMount,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    core::{bare, bare_list},
    patterns::{LABEL_NAME, OBJECT_NAME},
    resources::Resources,
};

/// Settings of the pods. `all` applies to every part; the settings of a part take precedence.
// Boxed: five times all these fields are kilobytes, which every resource would have on the stack.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// Settings of the pods of every part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Box<PodSettings>>,
    /// Settings of the application's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Box<PodSettings>>,
    /// Settings of the database's pods. With `cloudNativePG`, those that its `Cluster` has too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Box<PodSettings>>,
    /// Settings of the pods of migrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Box<PodSettings>>,
    /// Settings of the pods of backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Box<PodSettings>>,
}

/// Settings of pods. The operator's own labels, variables, volumes and paths cannot be replaced.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Labels of the pods, beside the operator's own. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 63})
    )]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have to run the pods. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 63})
    )]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate, as in `kubectl explain pod.spec.tolerations`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bare_list::<Toleration>", length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// Nodes and neighbours that the pods need or prefer, as in `kubectl explain pod.spec.affinity`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<Affinity>")]
    pub affinity: Option<Affinity>,
    /// How the pods of a part are spread. Default: the application and CloudNativePG's servers over zones and nodes, as
    /// far as possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["topologyKey".into()]))]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<SpreadConstraint>,
    /// PriorityClass of the pods. Default: the default class of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub priority_class_name: Option<String>,
    /// RuntimeClass of the pods. Default: the runtime of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub runtime_class_name: Option<String>,
    /// Users and groups of the processes. Default: those of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurity>,
    /// CPU and memory of the part's own container, where no other field of the spec sets them. When it has a limit, the
    /// containers beside it have one too. Default: small requests, no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Variables of the part's own container, as in `kubectl explain pod.spec.containers.env`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(schema_with = "bare_list::<EnvVar>", length(max = 128))]
    pub env: Vec<EnvVar>,
    /// Secrets and ConfigMaps whose keys are variables of the part's own container. The operator's variables take
    /// precedence. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bare_list::<EnvFromSource>", length(max = 16))]
    pub env_from: Vec<EnvFromSource>,
    /// Volumes of the pods. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 32))]
    pub volumes: Vec<PodVolume>,
    /// Where the part's own container has these volumes, as in `kubectl explain pod.spec.containers.volumeMounts`.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    #[schemars(schema_with = "bare_list::<VolumeMount>", length(max = 32))]
    pub volume_mounts: Vec<VolumeMount>,
    /// Account of the pods. No pod has its token. Default: an account without rights that the operator makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<PodAccount>,
}

/// How the pods of a part are spread over the values of one label of the nodes.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'")
    .message("topologySpreadConstraints.minDomains: set whenUnsatisfiable to DoNotSchedule, or remove minDomains"))]
#[serde(rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// Label of nodes, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317))]
    pub topology_key: String,
    /// Highest difference between the numbers of pods of two values. Default: 1.
    #[serde(default = "default_skew")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_skew: i32,
    /// What happens to a pod that cannot be placed so. Default: `ScheduleAnyway`.
    #[serde(default)]
    pub when_unsatisfiable: Unsatisfiable,
    /// Number of values that must be there, with `DoNotSchedule` only. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_domains: Option<i32>,
}

const fn default_skew() -> i32 {
    1
}

/// What happens to a pod that cannot be spread as wanted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum Unsatisfiable {
    /// It runs where it differs least.
    #[default]
    ScheduleAnyway,
    /// It waits.
    DoNotSchedule,
}

impl Unsatisfiable {
    /// The value in the core API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScheduleAnyway => "ScheduleAnyway",
            Self::DoNotSchedule => "DoNotSchedule",
        }
    }
}

/// Users and groups of the processes of a pod. They never run as root.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// `false` leaves out the ids that are not given here, so that the cluster assigns them, as OpenShift does.
    /// Default: `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign_ids: Option<bool>,
    /// User. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// Primary group. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,
    /// Group of the files of volumes. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub fs_group: Option<i64>,
    /// Other groups. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 0, max = 2_147_483_647)))]
    pub supplemental_groups: Vec<i64>,
}

/// A volume: one name and one source.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim), has(self.csi)].exists_one(given, given)")
    .message("volumes: set exactly one of configMap, secret, emptyDir, persistentVolumeClaim and csi"))]
#[serde(rename_all = "camelCase")]
pub struct PodVolume {
    /// Name of the volume, for `volumeMounts`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = LABEL_NAME)
    )]
    pub name: String,
    /// Keys of a ConfigMap as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<ConfigMapVolumeSource>")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// Keys of a Secret as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<SecretVolumeSource>")]
    pub secret: Option<SecretVolumeSource>,
    /// A directory that is empty when the pod starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<EmptyDirVolumeSource>")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<PersistentVolumeClaimVolumeSource>")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A volume of a CSI driver, such as `secrets-store.csi.k8s.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bare::<CSIVolumeSource>")]
    pub csi: Option<CSIVolumeSource>,
}

/// Account of pods.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.name) && has(self.annotations))")
    .message("serviceAccount: set name or annotations, not both; the operator changes no account that is not its own"))]
#[serde(rename_all = "camelCase")]
pub struct PodAccount {
    /// A ServiceAccount that exists. Default: the operator makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: Option<String>,
    /// Annotations of the account that the operator makes, such as `eks.amazonaws.com/role-arn`. A part with annotations
    /// of its own has an account of its own. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}
