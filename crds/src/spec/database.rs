//! The database of a service.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    availability::Probes,
    parameters,
    patterns::{DATA_KEY, NO_WHITE_SPACE, OBJECT_NAME},
    resources::Resources,
    volume::{Volume, default_data_volume},
};

/// The database. Exactly one field is set. The kind cannot change.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("[has(self.managed), has(self.external), has(self.cloudNativePG)].exists_one(given, given)")
    .message("spec.database: set exactly one of managed, external and cloudNativePG"))]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// A single PostgreSQL server that the operator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedDatabase>,
    /// Your own PostgreSQL server. The operator runs no database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
    /// A highly available PostgreSQL that CloudNativePG runs. CloudNativePG must be installed in the cluster.
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

/// A single PostgreSQL server that the operator runs.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedDatabase {
    /// Container image of PostgreSQL 18. Default: the operator's setting `HELLO_POSTGRES_IMAGE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = NO_WHITE_SPACE))]
    pub image: Option<String>,
    /// Volume for the data. Default: 1 GiB of the default storage class.
    #[serde(default = "default_data_volume")]
    pub storage: Volume,
    /// CPU and memory of the server's container. Default: requests of 100m CPU and 256Mi memory, no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Size of the server's shared memory (`/dev/shm`), which it uses for parallel queries, as a Kubernetes quantity such as
    /// `256Mi`. It counts as memory of the container. Default: as much as the container's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[1-9]([0-9]{0,14}|[0-9]{0,11}([KM]i|[kM])|[0-9]{0,5}([GT]i|[GT]))$")
    )]
    pub shared_memory: Option<String>,
    /// Timing of the probes of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Settings of the server: those that neither run commands, nor load libraries, nor name files. A change restarts the
    /// server. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new(parameters::rule())
        .message("spec.database.managed.parameters: use only the settings that docs/use.md lists; none that runs commands, loads libraries, names files or is the operator's own"))]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 512})
    )]
    pub parameters: BTreeMap<String, String>,
}

/// Your own PostgreSQL server.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Secret with the address of the database and the login of its owner.
    pub secret_ref: SecretKeyRef,
}

/// A PostgreSQL cluster that CloudNativePG runs. The operator creates its `Cluster`. CloudNativePG does replication,
/// failover and repair.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudNativePgDatabase {
    /// Number of servers: one primary, the others replicas, spread over zones and nodes. With two or more, a write is
    /// acknowledged only after a replica has it too. Default: 3.
    #[serde(default = "default_instances")]
    #[schemars(range(min = 1, max = 9))]
    pub instances: i32,
    /// Container image of PostgreSQL 18 for CloudNativePG. Its tag must start with the major version. Default: the
    /// default of CloudNativePG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = NO_WHITE_SPACE))]
    pub image: Option<String>,
    /// Volume of each server. Default: 1 GiB of the default storage class.
    #[serde(default = "default_data_volume")]
    pub storage: Volume,
    /// CPU and memory of each server. Default: requests of 100m CPU and 256Mi memory, no limits.
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
    /// Name of the Secret. It must be in the namespace of the HelloService.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Key that contains a `postgres://` URI with the login of the role that owns the database. Default: `uri`.
    #[serde(default = "default_uri_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub key: String,
    /// Key that contains the certificate authority of the server, in PEM. It is needed for a private authority only.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub ca_key: Option<String>,
}

fn default_uri_key() -> String {
    "uri".into()
}
