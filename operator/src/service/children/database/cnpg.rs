//! PostgreSQL by CloudNativePG: its `Cluster`, our roles' credentials and who may reach its pods.
//!
//! Failover, replication and the owner's password are the engine's own business. What is ours: how
//! many servers there are and where, and the two roles beside the owner.

use hello_crds::{Resources, Volume as VolumeSpec};
use k8s_openapi::{
    api::{
        core::v1::{Secret, Volume},
        networking::v1::{
            NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde_json::{Value, json};

use super::{
    super::{data_owned, network, owned, pod},
    server,
};
use crate::{
    object::{
        kind::Kind,
        names::{self, Component, key},
    },
    service::{
        dereference::inputs::{DATABASE_PORT, Inputs},
        validate::{Image, Validated},
    },
};

/// Port on which CloudNativePG's operator asks its servers how they are.
const STATUS_PORT: u16 = 8000;
/// Port of the servers' metrics.
const METRICS_PORT: u16 = 9187;

/// A database by CloudNativePG.
pub struct Engine<'a> {
    /// The service it belongs to.
    pub service: &'a Validated,
    /// What is known from the cluster.
    pub inputs: &'a Inputs,
    /// Number of servers.
    pub instances: i32,
    /// Image of the servers, when given.
    pub image: Option<&'a Image>,
    /// Volume of each server.
    pub storage: &'a VolumeSpec,
    /// Resources of each server.
    pub resources: &'a Resources,
}

impl Engine<'_> {
    fn instance(&self) -> &str {
        &self.service.identity.name
    }

    /// Passwords and addresses of the roles that are ours; the owner's are in a Secret of the engine.
    pub fn credentials(&self) -> Secret {
        let credentials = self.inputs.credentials.clone().without_owner();
        let host = names::engine_service(self.instance());
        server::credentials(self.service, &credentials, &host, None)
    }

    /// The engine's resource. It owns the volumes, so it is data: it outlives the service under `Retain`.
    pub fn cluster(&self) -> Value {
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
        let mut spec = json!({
            "instances": self.instances,
            "storage": {"size": self.storage.size},
            "resources": pod::resources(self.resources),
            "bootstrap": {"initdb": {
                "database": names::DATABASE,
                "owner": names::OWNER_ROLE,
                "postInitApplicationSQL": owner_rights(),
            }},
            "topologySpreadConstraints": [{
                "topologyKey": "topology.kubernetes.io/zone",
                "maxSkew": 1,
                // A lost zone must not keep a server from starting in another one.
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": select(self.service),
            }],
            // The defaults ask every 10 seconds, which doubles the time to a first answer.
            "probes": {
                "startup": {"periodSeconds": 1, "failureThreshold": 3600},
                "readiness": {"periodSeconds": 1},
            },
        });
        if let Some(class) = &self.storage.storage_class_name {
            spec["storage"]["storageClass"] = class.as_str().into();
        }
        if let Some(image) = self.image {
            spec["imageName"] = image.as_str().into();
        }
        if let Some(policy) = self.service.pull_policy {
            spec["imagePullPolicy"] = policy.as_str().into();
        }
        if !self.service.pull_secrets.is_empty() {
            let secrets = self.service.pull_secrets.iter();
            spec["imagePullSecrets"] = secrets.map(|name| json!({"name": name})).collect();
        }
        if self.instances > 1 {
            // What was acknowledged is on two servers, so no failover loses it.
            spec["postgresql"] = json!({"synchronous": {"method": "any", "number": 1}});
        }
        spec
    }

    /// Who may reach the servers. Their own way out stays open: they talk to the API server, whose
    /// address no policy can name.
    pub fn network_policy(&self) -> Option<NetworkPolicy> {
        if !self.service.isolate {
            return None;
        }
        let clients = [Component::App, Component::Migration, Component::Backup]
            .map(|part| network::pods(self.service, part));
        let rule = |from: Vec<NetworkPolicyPeer>, port: u16| NetworkPolicyIngressRule {
            from: Some(from),
            ports: Some(vec![network::port("TCP", port)]),
        };
        let to_database = clients.into_iter().chain([servers(self.service)]).collect();
        Some(NetworkPolicy {
            metadata: owned(
                self.service,
                names::network_policy(self.instance(), Component::Database),
                Component::Database,
            ),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(select(self.service)),
                policy_types: Some(vec!["Ingress".into()]),
                ingress: Some(vec![
                    rule(to_database, DATABASE_PORT),
                    rule(vec![operator()], STATUS_PORT),
                    rule(vec![network::monitoring()], METRICS_PORT),
                ]),
                egress: None,
            }),
        })
    }
}

/// Lets the owner make the roles that migrations make. It is no superuser, so a stolen address of
/// the owner reaches this database and no file of the server.
fn owner_rights() -> [String; 2] {
    [
        format!("ALTER ROLE {} CREATEROLE", names::OWNER_ROLE),
        format!(
            "GRANT pg_read_all_data TO {} WITH ADMIN OPTION",
            names::OWNER_ROLE
        ),
    ]
}

fn select(service: &Validated) -> LabelSelector {
    let name = names::database(&service.identity.name);
    LabelSelector {
        match_labels: Some([(names::ENGINE_LABEL.to_owned(), name)].into()),
        match_expressions: None,
    }
}

/// The engine's servers.
pub fn servers(service: &Validated) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(select(service)),
        ..NetworkPolicyPeer::default()
    }
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

/// What a migration reads: the owner's address from the engine's Secret, the roles' passwords from ours.
pub fn owner_volume(instance: &str) -> Volume {
    pod::secrets_volume(
        "database",
        &[
            // The full name: the short ones look like a server outside of the cluster.
            (names::engine_secret(instance), &[("fqdn-uri", "uri")]),
            (
                names::credentials(instance),
                &[
                    (key::APP_PASSWORD, key::APP_PASSWORD),
                    (key::BACKUP_PASSWORD, key::BACKUP_PASSWORD),
                ],
            ),
        ],
    )
}
