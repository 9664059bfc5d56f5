//! The database of a service.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    availability::Probes,
    bootstrap::Bootstrap,
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
    /// Container image of PostgreSQL. Another major version cannot use the data: set `dataVersion`, too. Default: the operator's
    /// setting `HELLO_POSTGRES_IMAGE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = NO_WHITE_SPACE))]
    pub image: Option<String>,
    /// Name of the data's version, such as `18`. Each version has a volume of its own. Another name stops the application, backs
    /// up the data, restores the backup into a new volume by the programs of `image`, and compares it, before the application
    /// starts again. The former volume is kept. Default: the version of the first volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), regex(pattern = r"^[a-z0-9]+$"))]
    pub data_version: Option<String>,
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
    /// Where the passwords of the roles come from. Default: the operator generates them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<DatabaseCredentials>,
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
    /// What a new service starts from. Default: an empty database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
}

/// Where the passwords of the database's roles come from.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseCredentials {
    /// Secret with the keys `owner-password`, `app-password` and `backup-password`, as external-secrets or Vault write
    /// them. Other values are a rotation.
    pub secret_ref: PasswordsRef,
}

/// A Secret with passwords, in the namespace of the HelloService.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordsRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
}

/// Your own PostgreSQL server.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("has(self.pooler) == has(self.secretRef.directKey)")
    .message("spec.database.external: set pooler and secretRef.directKey, or neither; migrations and backups need a session that a pooler does not give them"))]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Secret with the address of the database and the login of its owner.
    pub secret_ref: SecretKeyRef,
    /// Pooler at the address. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooler: Option<Pooler>,
}

/// A pooler between the application and the server.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// One such as PgBouncer that gives each transaction any connection to the server.
    Transaction,
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
    /// What a new service starts from. Default: an empty database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
}

const fn default_instances() -> i32 {
    3
}

/// A Secret with the address of a database.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.keys) && (has(self.directKey) || self.key != 'uri'))")
    .message("spec.database.external.secretRef: set keys, or key and directKey"))]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret. It must be in the namespace of the HelloService.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Key that contains a `postgres://` URI with the login of the role that owns the database. Default: `uri`.
    #[serde(default = "default_uri_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub key: String,
    /// Key that contains the `postgres://` URI of the same database without the pooler, for migrations and backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub direct_key: Option<String>,
    /// Keys that contain the parts of the address, instead of a URI. They may have any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<AddressKeys>,
    /// Key that contains the certificate authority of the server, in PEM. It is needed for a private authority only.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub ca_key: Option<String>,
}

fn default_uri_key() -> String {
    "uri".into()
}

/// Keys of a Secret that contain the parts of an address.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressKeys {
    /// Key with the host name or the IP address. Default: `host`.
    #[serde(default = "default_host_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub host: String,
    /// Key with the port. Unset: port 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub port: Option<String>,
    /// Key with the name of the database. Default: `database`.
    #[serde(default = "default_database_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub database: String,
    /// Key with the role that owns the database. Default: `user`.
    #[serde(default = "default_user_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub user: String,
    /// Key with its password. Default: `password`.
    #[serde(default = "default_password_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub password: String,
}

fn default_host_key() -> String {
    "host".into()
}

fn default_database_key() -> String {
    "database".into()
}

fn default_user_key() -> String {
    "user".into()
}

fn default_password_key() -> String {
    "password".into()
}
