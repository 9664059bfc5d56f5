//! PostgreSQL that the operator runs: a StatefulSet of one pod, its headless Service and its data's claim.
//!
//! Certificates and access rules are in [`super::transport`].

use std::collections::BTreeMap;

use hello_crds::ProbeTiming;
use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec},
        core::v1::{
            Container, ContainerPort, EnvVar, ExecAction, Lifecycle, LifecycleHandler,
            PersistentVolumeClaim, PodTemplateSpec, Probe, Secret, Service, ServicePort,
            ServiceSpec, TCPSocketAction,
        },
        networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{
    super::{claim, metadata::owned, pod, policy},
    address::{self, Address, VOLUME},
    credentials, files,
    kind::{DatabaseKind, DatabaseResources},
    transport,
};
use crate::{
    object::{
        names::{self, Component, key},
        quantity::Quantity,
    },
    service::{
        dereference::inputs::{Inputs, volumes},
        secrets::{address::DATABASE_PORT, certificates, credentials::PROPAGATION},
        validate::{Kept, Managed, Validated},
    },
};

/// The server's container.
pub const CONTAINER: &str = "postgres";

/// Gives the owner's role its rights and the password of the Secret: after a restore or a lost Secret they differ. Waits
/// for the server over TCP, because the temporary server of a first start has no TCP.
const SET_OWNER: &str = "until pg_isready -q -h 127.0.0.1; do sleep 0.1; done
exec bash \"$FILES/owner.sh\"";

/// Ends sessions at once and shuts down cleanly. SIGTERM alone waits until every client has disconnected.
const FAST_SHUTDOWN: &str = "pg_ctl stop -D \"$PGDATA\" -m fast --no-wait";

/// Where the server's processes share memory. The runtime's own has 64 MiB, too little for parallel queries.
const SHARED_MEMORY: &str = "/dev/shm";

/// A server that the operator runs.
pub struct Server<'a> {
    /// The service it belongs to.
    pub service: &'a Validated,
    /// What is known from the cluster.
    pub inputs: &'a Inputs,
    /// How the spec wants it.
    pub database: &'a Managed,
}

impl DatabaseKind for Server<'_> {
    fn resources(&self) -> DatabaseResources {
        let certificates = self.inputs.certificates.as_ref();
        DatabaseResources::Managed {
            authority: transport::authority(self.service, certificates),
            credentials: self.credentials(),
            server_tls: transport::server_tls(self.service, certificates),
            service: self.headless_service(),
            stateful_set: self.stateful_set(),
            claim: self.claim(),
            network_policy: self.network_policy(),
        }
    }

    fn address(&self, part: Component) -> Address {
        let trusted = certificates::key::TRUSTED;
        Address::in_volume(pod::secrets_volume(
            VOLUME,
            &[
                (
                    names::credentials(self.instance()),
                    address::credentials(part),
                ),
                (names::server_tls(self.instance()), &[(trusted, trusted)]),
            ],
        ))
    }

    fn servers(&self) -> Option<NetworkPolicyPeer> {
        Some(policy::pods(self.service, Component::Database))
    }

    /// When the owner's password was lost and replaced, the server gets the new one only after its kubelet has read the
    /// Secret again.
    fn migration_variables(&self) -> Vec<EnvVar> {
        let wait = PROPAGATION.as_secs();
        vec![pod::env("HELLO_WAIT_TIMEOUT", format!("{wait}s"))]
    }
}

impl Server<'_> {
    fn instance(&self) -> &str {
        &self.service.identity.name
    }

    fn meta(&self) -> ObjectMeta {
        let name = names::database(self.instance());
        owned(self.service, name, Component::Database)
    }

    /// Labels of the claim. It may outlive its owner.
    fn claim_labels(&self) -> BTreeMap<String, String> {
        names::labels_without_owner(self.instance(), Component::Database)
    }

    fn selector(&self) -> BTreeMap<String, String> {
        names::selector(self.instance(), Component::Database)
    }

    /// Lets the clients of the database in, and nothing out.
    fn network_policy(&self) -> Option<NetworkPolicy> {
        let ingress = NetworkPolicyIngressRule {
            from: Some(policy::database_clients(self.service)),
            ports: Some(vec![policy::port("TCP", DATABASE_PORT)]),
        };
        self.service
            .isolate
            .then(|| policy::for_part(self.service, Component::Database, vec![ingress], vec![]))
    }

    fn credentials(&self) -> Secret {
        let host = names::database(self.instance());
        let trusted = address::file(certificates::key::TRUSTED);
        credentials::secret(self.service, &self.inputs.credentials, &host, &trusted)
    }

    fn headless_service(&self) -> Service {
        Service {
            metadata: self.meta(),
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".into()),
                // A server that refuses connections is noticed faster than a name that does not exist, and the name
                // must stay while only the container beside the server restarts.
                publish_not_ready_addresses: Some(true),
                selector: Some(self.selector()),
                ports: Some(vec![ServicePort {
                    name: Some("postgres".into()),
                    port: DATABASE_PORT.into(),
                    target_port: Some(IntOrString::String("postgres".into())),
                    protocol: Some("TCP".into()),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        }
    }

    fn stateful_set(&self) -> StatefulSet {
        let changes = self.service.data.stopping().is_some();
        let retention = match self.service.kept {
            Kept::All => "Retain",
            // Each version of the data outlives the change.
            Kept::Backups | Kept::Nothing if changes && !self.service.deletion.waits() => "Retain",
            Kept::Backups | Kept::Nothing => "Delete",
        };
        StatefulSet {
            metadata: self.meta(),
            spec: Some(StatefulSetSpec {
                replicas: Some(1),
                service_name: Some(names::database(self.instance())),
                selector: LabelSelector {
                    match_labels: Some(self.selector()),
                    match_expressions: None,
                },
                persistent_volume_claim_retention_policy: Some(
                    StatefulSetPersistentVolumeClaimRetentionPolicy {
                        when_deleted: Some(retention.into()),
                        when_scaled: Some("Retain".into()),
                    },
                ),
                template: self.kept_template().unwrap_or_else(|| self.template()),
                volume_claim_templates: Some(vec![self.claim_template()]),
                ..StatefulSetSpec::default()
            }),
            ..StatefulSet::default()
        }
    }

    /// What the pod was made from before a change of the data's version began: nothing else of the server changes with it.
    fn kept_template(&self) -> Option<PodTemplateSpec> {
        let server = self.inputs.server.as_ref();
        let server = server.filter(|server| server.version == self.database.data_version)?;
        let keeps = self.service.data.keeps_server();
        keeps.then(|| server.template.clone())
    }

    fn template(&self) -> PodTemplateSpec {
        let mut spec = pod::spec(
            self.service,
            Component::Database,
            vec![
                self.container(),
                transport::watch(self.service, &self.database.data_version.volume()),
            ],
            vec![
                pod::empty_dir("run"),
                pod::empty_dir("tmp"),
                pod::memory(
                    "shm",
                    self.database.shared_memory.as_ref().map(Quantity::as_str),
                ),
                transport::files(self.instance()),
                pod::secret_volume(
                    "credentials",
                    &names::credentials(self.instance()),
                    &[(key::OWNER_PASSWORD, key::OWNER_PASSWORD)],
                ),
            ],
        );
        spec.termination_grace_period_seconds = Some(120);
        let annotations = [(names::DEFAULT_CONTAINER_ANNOTATION, CONTAINER)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        pod::template(
            self.service,
            Component::Database,
            Some(annotations.into()),
            spec,
        )
    }

    fn container(&self) -> Container {
        let shell = |script: &str| LifecycleHandler {
            exec: Some(ExecAction {
                command: Some(vec!["/bin/sh".into(), "-ec".into(), script.into()]),
            }),
            ..LifecycleHandler::default()
        };
        let probes = &self.database.probes;
        Container {
            args: Some(self.arguments()),
            env: Some(vec![
                pod::env("PGDATA", files::PGDATA),
                pod::env("POSTGRES_DB", names::DATABASE),
                pod::env("POSTGRES_USER", names::SUPERUSER),
                pod::env(
                    "POSTGRES_PASSWORD_FILE",
                    format!("{}/{}", files::PASSWORD_DIRECTORY, key::OWNER_PASSWORD),
                ),
                pod::env("FILES", address::DIRECTORY),
                pod::env("PASSWORDS", files::PASSWORD_DIRECTORY),
            ]),
            ports: Some(vec![ContainerPort {
                name: Some("postgres".into()),
                container_port: DATABASE_PORT.into(),
                protocol: Some("TCP".into()),
                ..ContainerPort::default()
            }]),
            resources: Some(pod::resources(
                &self.service.pods.of(Component::Database).resources,
            )),
            volume_mounts: Some(vec![
                pod::mount(
                    &self.database.data_version.volume(),
                    files::DATA_ROOT,
                    false,
                ),
                pod::mount("run", files::SOCKET_DIRECTORY, false),
                pod::mount("tmp", "/tmp", false),
                pod::mount("shm", SHARED_MEMORY, false),
                pod::mount("credentials", files::PASSWORD_DIRECTORY, true),
                transport::mount(),
            ]),
            lifecycle: Some(Lifecycle {
                post_start: Some(shell(SET_OWNER)),
                pre_stop: Some(shell(FAST_SHUTDOWN)),
                stop_signal: None,
            }),
            // The hook above ends only when the server answers queries, so a connection is enough here.
            readiness_probe: Some(tcp_probe(probes.readiness.as_ref(), 1, 3)),
            liveness_probe: Some(tcp_probe(probes.liveness.as_ref(), 10, 6)),
            ..pod::container(
                self.service,
                CONTAINER,
                self.service
                    .data
                    .image(&self.service.postgres_image)
                    .as_str(),
            )
        }
    }

    /// The server's command line. Of two equal settings the last one is used, so those of the spec come last.
    fn arguments(&self) -> Vec<String> {
        let own = transport::settings();
        let given = self.database.parameters.iter();
        let given = given.map(|(name, value)| (name.clone(), value.clone()));
        let settings = own.into_iter().chain(given);
        std::iter::once("postgres".to_owned())
            .chain(settings.flat_map(|(name, value)| {
                let setting = pod::literal(&format!("{name}={value}"));
                ["-c".to_owned(), setting]
            }))
            .collect()
    }

    /// It cannot change, so an existing one stays as it is. What was wanted since then is asked of the claim.
    fn claim_template(&self) -> PersistentVolumeClaim {
        let storage = &self.database.storage;
        let restored = self
            .service
            .bootstrap
            .as_ref()
            .is_some_and(|one| one.is_upgrade);
        let (size, class, labels, annotations) = match &self.inputs.volumes.template {
            Some(template) => (
                template.size.as_str(),
                template.class.as_ref(),
                template.labels.clone(),
                template.annotations.clone(),
            ),
            None => (
                storage.size.as_str(),
                storage.storage_class.as_ref(),
                Some(self.claim_labels()),
                // Whatever becomes of the status, it does not serve before it is complete.
                restored.then(|| data_is(names::INCOMPLETE)),
            ),
        };
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(self.database.data_version.volume()),
                labels,
                annotations,
                ..ObjectMeta::default()
            },
            spec: Some(claim::spec(size, class)),
            status: None,
        }
    }

    /// The claim that the StatefulSet created. It grows in place.
    fn claim(&self) -> PersistentVolumeClaim {
        let size = volumes::size(self.inputs.volumes.data.as_ref(), &self.database.storage);
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(names::data_claim(
                    self.instance(),
                    &self.database.data_version,
                )),
                namespace: Some(self.service.identity.namespace.clone()),
                labels: Some(self.claim_labels()),
                annotations: self
                    .service
                    .data
                    .is_complete()
                    .then(|| data_is(names::COMPLETE)),
                ..ObjectMeta::default()
            },
            spec: Some(claim::resized(size)),
            status: None,
        }
    }
}

fn data_is(state: &str) -> BTreeMap<String, String> {
    [(names::DATA_ANNOTATION.to_owned(), state.to_owned())].into()
}

fn tcp_probe(timing: Option<&ProbeTiming>, period: i32, failures: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("postgres".into()),
            host: None,
        }),
        ..pod::probe(timing, period, 5, failures)
    }
}
