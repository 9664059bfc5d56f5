//! PostgreSQL that CloudNativePG runs: its `Cluster`, our roles' credentials and who may reach its pods.
//!
//! Failover, replication and the owner's password are the task of CloudNativePG. The operator decides how many servers
//! there are and where, and owns the two roles beside the owner.

use hello_crds::{SpreadConstraint, Unsatisfiable};
use k8s_openapi::{
    api::{
        core::v1::{Secret, TopologySpreadConstraint},
        networking::v1::{
            NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde_json::{Value, json};

use super::{
    super::{
        metadata::{data_owned, owned},
        pod, policy, settings,
    },
    address::{self, Address, URI, VOLUME},
    credentials,
    kind::{DatabaseKind, DatabaseResources},
};
use crate::{
    object::{
        kind::Kind,
        names::{self, Component, key},
    },
    service::{
        dereference::inputs::{Inputs, volumes},
        secrets::address::DATABASE_PORT,
        validate::{Account, CloudNativePg, Validated},
    },
};

/// Port on which CloudNativePG's operator reads the status of its servers.
const STATUS_PORT: u16 = 8000;
/// Key with the authority in CloudNativePG's Secret, and the name of its file.
const AUTHORITY: &str = "ca.crt";
/// Port of the servers' metrics.
const METRICS_PORT: u16 = 9187;

/// Servers that CloudNativePG runs.
pub struct Cluster<'a> {
    /// The service it belongs to.
    pub service: &'a Validated,
    /// What is known from the cluster.
    pub inputs: &'a Inputs,
    /// How the spec wants it.
    pub database: &'a CloudNativePg,
}

impl DatabaseKind for Cluster<'_> {
    fn resources(&self) -> DatabaseResources {
        DatabaseResources::CloudNativePg {
            credentials: self.credentials(),
            cluster: self.cluster(),
            network_policy: self.network_policy(),
        }
    }

    fn address(&self, part: Component) -> Address {
        let instance = self.instance();
        let own = names::credentials(instance);
        let authority = (
            names::cnpg_authority(instance),
            &[(AUTHORITY, AUTHORITY)][..],
        );
        let is_owner = matches!(
            part,
            Component::Migration | Component::Database | Component::Restore
        );
        if !is_owner {
            let own = (own, address::credentials(part));
            return Address::in_volume(pod::secrets_volume(VOLUME, &[own, authority]));
        }
        // The full host name: the short ones look like a server outside of the cluster.
        let owner = (names::cnpg_secret(instance), &[("fqdn-uri", URI)][..]);
        let passwords = [key::APP_PASSWORD, key::BACKUP_PASSWORD].map(|key| (key, key));
        let own = (own, &passwords[..]);
        let volume = pod::secrets_volume(VOLUME, &[owner, own, authority]);
        let mut address = Address::in_volume(volume);
        // The address that CloudNativePG writes does not say that the server has to be verified.
        address.variables.extend([
            pod::env("PGSSLMODE", "verify-full"),
            pod::env("PGSSLROOTCERT", address::file(AUTHORITY)),
        ]);
        address
    }

    fn servers(&self) -> Option<NetworkPolicyPeer> {
        Some(NetworkPolicyPeer {
            pod_selector: Some(self.select()),
            ..NetworkPolicyPeer::default()
        })
    }
}

impl Cluster<'_> {
    fn instance(&self) -> &str {
        &self.service.identity.name
    }

    fn select(&self) -> LabelSelector {
        let name = names::database(self.instance());
        LabelSelector {
            match_labels: Some([(names::CNPG_LABEL.to_owned(), name)].into()),
            match_expressions: None,
        }
    }

    /// Passwords and addresses of our roles. Those of the owner are in a Secret of CloudNativePG.
    fn credentials(&self) -> Secret {
        let credentials = self.inputs.credentials.clone().without_owner();
        let host = names::cnpg_service(self.instance());
        let trusted = address::file(AUTHORITY);
        credentials::secret(self.service, &credentials, &host, &trusted)
    }

    /// The `Cluster`. It owns the volumes, so it is data: it outlives the service under `Retain`.
    fn cluster(&self) -> Value {
        let resource = Kind::Cluster.resource();
        let name = names::database(self.instance());
        json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": data_owned(self.service, name, Component::Database),
            "spec": self.spec(),
        })
    }

    fn spec(&self) -> Value {
        let storage = &self.database.storage;
        let size = volumes::size(self.inputs.volumes.data.as_ref(), storage);
        let mut spec = json!({
            "instances": self.database.instances,
            "storage": {"size": size},
            "resources": pod::resources(&self.service.pods.of(Component::Database).resources),
            "bootstrap": {"initdb": {
                "database": names::DATABASE,
                "owner": names::OWNER_ROLE,
                "postInitApplicationSQL": owner_rights(),
            }},
            "topologySpreadConstraints": self.spread(),
            // The defaults ask every 10 seconds, which doubles the time to a first answer.
            "probes": {
                "startup": {"periodSeconds": 1, "failureThreshold": 3600},
                "readiness": {"periodSeconds": 1},
            },
        });
        if let Some(class) = &storage.storage_class {
            spec["storage"]["storageClass"] = class.as_str().into();
        }
        if let Some(image) = &self.database.image {
            spec["imageName"] = image.as_str().into();
        }
        if let Some(policy) = self.service.pull_policy {
            spec["imagePullPolicy"] = policy.as_str().into();
        }
        if !self.service.pull_secrets.is_empty() {
            let secrets = self.service.pull_secrets.iter();
            spec["imagePullSecrets"] = secrets.map(|name| json!({"name": name})).collect();
        }
        if self.database.instances > 1 {
            // What was acknowledged is on two servers, so no failover loses it.
            spec["postgresql"] = json!({"synchronous": {"method": "any", "number": 1}});
        }
        self.set_pods(&mut spec);
        spec
    }

    fn spread(&self) -> Vec<TopologySpreadConstraint> {
        let given = &self.service.pods.of(Component::Database).spread;
        // A lost zone must not keep a server from starting in another one.
        let zones = SpreadConstraint {
            topology_key: "topology.kubernetes.io/zone".into(),
            max_skew: 1,
            when_unsatisfiable: Unsatisfiable::ScheduleAnyway,
            min_domains: None,
        };
        let constraints = if given.is_empty() {
            std::slice::from_ref(&zones)
        } else {
            given
        };
        settings::spread(constraints, &self.select())
    }

    /// The settings of the database's pods that a `Cluster` has too.
    fn set_pods(&self, spec: &mut Value) {
        let given = self.service.pods.of(Component::Database);
        let affinity = given.affinity.clone().unwrap_or_default();
        let annotations = match &given.account {
            Account::Own(annotations) => annotations,
            Account::Shared | Account::Existing(_) => &self.service.pods.account_annotations,
        };
        for (path, value) in [
            ("/affinity/nodeSelector", json!(given.node_selector)),
            ("/affinity/tolerations", json!(given.tolerations)),
            ("/affinity/nodeAffinity", json!(affinity.node_affinity)),
            (
                "/affinity/additionalPodAffinity",
                json!(affinity.pod_affinity),
            ),
            (
                "/affinity/additionalPodAntiAffinity",
                json!(affinity.pod_anti_affinity),
            ),
            ("/inheritedMetadata/labels", json!(given.labels)),
            ("/inheritedMetadata/annotations", json!(given.annotations)),
            (
                "/priorityClassName",
                json!(given.priority_class.as_ref().map(ToString::to_string)),
            ),
            ("/env", json!(given.env)),
            ("/envFrom", json!(given.env_from)),
            (
                "/serviceAccountTemplate/metadata/annotations",
                json!(annotations),
            ),
        ] {
            set(spec, path, value);
        }
    }

    /// Who may reach the servers. Their own connections stay open: they talk to the API server, whose address no policy
    /// can name.
    fn network_policy(&self) -> Option<NetworkPolicy> {
        if !self.service.isolate {
            return None;
        }
        let rule = |from: Vec<NetworkPolicyPeer>, port: u16| NetworkPolicyIngressRule {
            from: Some(from),
            ports: Some(vec![policy::port("TCP", port)]),
        };
        let clients = policy::database_clients(self.service);
        let to_database = clients.into_iter().chain(self.servers()).collect();
        Some(NetworkPolicy {
            metadata: owned(
                self.service,
                names::network_policy(self.instance(), Component::Database),
                Component::Database,
            ),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(self.select()),
                policy_types: Some(vec!["Ingress".into()]),
                ingress: Some(vec![
                    rule(to_database, DATABASE_PORT),
                    rule(vec![operator()], STATUS_PORT),
                    rule(vec![self.service.network.monitoring.clone()], METRICS_PORT),
                ]),
                egress: None,
            }),
        })
    }
}

/// Sets a field at a path, unless the value is empty: an empty one in server-side apply would claim the field.
fn set(spec: &mut Value, path: &str, value: Value) {
    let is_empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if !is_empty {
        let names = path.split('/').skip(1);
        *names.fold(spec, |part, name| &mut part[name]) = value;
    }
}

/// Lets the owner create the roles that migrations create, and nobody else make large objects: backups could not read
/// them. The owner is no superuser, so a stolen address of the owner gives access to this database and to no file of the
/// server.
fn owner_rights() -> [String; 3] {
    const LARGE_OBJECTS: &str = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)";
    let owner = names::OWNER_ROLE;
    [
        format!("ALTER ROLE {owner} CREATEROLE"),
        format!("REVOKE EXECUTE ON FUNCTION {LARGE_OBJECTS} FROM PUBLIC"),
        format!("GRANT EXECUTE ON FUNCTION {LARGE_OBJECTS} TO {owner}"),
    ]
}

/// CloudNativePG's operator, wherever it is installed.
fn operator() -> NetworkPolicyPeer {
    let labels = [("app.kubernetes.io/name".into(), "cloudnative-pg".into())];
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector {
            match_labels: Some(labels.into()),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}
