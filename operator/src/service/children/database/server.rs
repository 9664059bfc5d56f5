//! PostgreSQL: credentials, headless Service, StatefulSet of one pod, and its data's claim.
//!
//! How the server is reached, certificates and access rules, is in [`super::transport`].

use std::collections::BTreeMap;

use hello_crds::{Resources, Volume as VolumeSpec};
use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec},
        core::v1::{
            Container, ContainerPort, ExecAction, Lifecycle, LifecycleHandler,
            PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, Probe, Secret,
            Service, ServicePort, ServiceSpec, TCPSocketAction, VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{
    super::{data_owned, owned, pod},
    transport,
};
use crate::{
    object::names::{self, Component, key},
    service::{
        dereference::inputs::{DATABASE_PORT, Inputs},
        secrets::{certificates, credentials::Credentials},
        validate::Validated,
    },
};

/// The server's container.
pub const CONTAINER: &str = "postgres";

/// Folder of the server's socket.
pub const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// Mount point of the data volume, as the official image of version 18 wants it.
pub const DATA_ROOT: &str = "/var/lib/postgresql";
/// Data folder inside the volume.
const PGDATA: &str = "/var/lib/postgresql/18/docker";

/// Where the owner's password is mounted.
pub const PASSWORD_DIRECTORY: &str = "/etc/hello/credentials";

/// Gives the owner the password that the Secret holds: after a restore or a lost Secret they differ.
/// Asks over TCP whether the server is up, because the temporary one of a first start has no TCP.
const SET_OWNER_PASSWORD: &str = "until pg_isready -q -h 127.0.0.1 -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\"; do sleep 0.1; done
printf \"ALTER ROLE %s PASSWORD '%s';\" \"$POSTGRES_USER\" \"$(cat \"$POSTGRES_PASSWORD_FILE\")\" | psql -q -v ON_ERROR_STOP=1 -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\"";

/// Ends sessions at once and shuts down cleanly; the plain SIGTERM would wait for every client to leave.
const FAST_SHUTDOWN: &str = "pg_ctl stop -D \"$PGDATA\" -m fast --no-wait";

/// A managed server.
pub struct Server<'a> {
    /// The service it belongs to.
    pub service: &'a Validated,
    /// What is known from the cluster.
    pub inputs: &'a Inputs,
    /// The volume.
    pub storage: &'a VolumeSpec,
    /// Resources of the server.
    pub resources: &'a Resources,
    /// Server settings.
    pub parameters: &'a BTreeMap<String, String>,
}

impl Server<'_> {
    fn instance(&self) -> &str {
        &self.service.identity.name
    }

    fn meta(&self) -> ObjectMeta {
        owned(
            self.service,
            names::database(self.instance()),
            Component::Database,
        )
    }

    pub fn credentials(&self) -> Secret {
        let host = names::database(self.instance());
        let trusted = pod::database_file(certificates::key::TRUSTED);
        credentials(
            self.service,
            &self.inputs.credentials,
            &host,
            Some(&trusted),
        )
    }

    pub fn authority(&self) -> Secret {
        transport::authority(self.service, self.inputs.certificates.as_ref())
    }

    pub fn server_tls(&self) -> Secret {
        transport::server_tls(self.service, self.inputs.certificates.as_ref())
    }

    pub fn service(&self) -> Service {
        Service {
            metadata: self.meta(),
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".into()),
                // A server that takes no connections says so faster than a name that is gone, and
                // the name must not go while only the container beside the server starts again.
                publish_not_ready_addresses: Some(true),
                selector: Some(names::selector(self.instance(), Component::Database)),
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

    pub fn stateful_set(&self) -> StatefulSet {
        let retention = if self.service.retain {
            "Retain"
        } else {
            "Delete"
        };
        StatefulSet {
            metadata: self.meta(),
            spec: Some(StatefulSetSpec {
                replicas: Some(1),
                service_name: Some(names::database(self.instance())),
                selector: LabelSelector {
                    match_labels: Some(names::selector(self.instance(), Component::Database)),
                    match_expressions: None,
                },
                persistent_volume_claim_retention_policy: Some(
                    StatefulSetPersistentVolumeClaimRetentionPolicy {
                        when_deleted: Some(retention.into()),
                        when_scaled: Some("Retain".into()),
                    },
                ),
                template: self.template(),
                volume_claim_templates: Some(vec![self.claim_template()]),
                ..StatefulSetSpec::default()
            }),
            ..StatefulSet::default()
        }
    }

    fn template(&self) -> PodTemplateSpec {
        let mut spec = pod::spec(
            self.service,
            pod::POSTGRES_USER,
            vec![self.container(), transport::watch(self.service)],
            vec![
                pod::empty_dir("run"),
                pod::empty_dir("tmp"),
                transport::files(self.instance()),
                pod::secret_volume(
                    "credentials",
                    &names::credentials(self.instance()),
                    &[(key::OWNER_PASSWORD, key::OWNER_PASSWORD)],
                ),
            ],
        );
        spec.termination_grace_period_seconds = Some(120);
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(names::labels(self.instance(), Component::Database)),
                annotations: Some(BTreeMap::from([(
                    names::DEFAULT_CONTAINER_ANNOTATION.into(),
                    CONTAINER.into(),
                )])),
                ..ObjectMeta::default()
            }),
            spec: Some(spec),
        }
    }

    fn container(&self) -> Container {
        let mut args = vec!["postgres".to_owned()];
        let own = transport::settings();
        let given = self.parameters.iter().map(|(k, v)| (k.clone(), v.clone()));
        for (name, value) in own.into_iter().chain(given) {
            args.push("-c".into());
            args.push(format!("{name}={value}"));
        }
        let shell = |script: &str| LifecycleHandler {
            exec: Some(ExecAction {
                command: Some(vec!["/bin/sh".into(), "-ec".into(), script.into()]),
            }),
            ..LifecycleHandler::default()
        };
        Container {
            args: Some(args),
            env: Some(vec![
                pod::env("PGDATA", PGDATA),
                pod::env("POSTGRES_DB", names::DATABASE),
                pod::env("POSTGRES_USER", names::OWNER_ROLE),
                pod::env(
                    "POSTGRES_PASSWORD_FILE",
                    format!("{PASSWORD_DIRECTORY}/{}", key::OWNER_PASSWORD),
                ),
            ]),
            ports: Some(vec![ContainerPort {
                name: Some("postgres".into()),
                container_port: DATABASE_PORT.into(),
                protocol: Some("TCP".into()),
                ..ContainerPort::default()
            }]),
            resources: Some(pod::resources(self.resources)),
            volume_mounts: Some(vec![
                pod::mount(names::DATA_VOLUME, DATA_ROOT, false),
                pod::mount("run", SOCKET_DIRECTORY, false),
                pod::mount("tmp", "/tmp", false),
                pod::mount("credentials", PASSWORD_DIRECTORY, true),
                transport::mount(),
            ]),
            lifecycle: Some(Lifecycle {
                post_start: Some(shell(SET_OWNER_PASSWORD)),
                pre_stop: Some(shell(FAST_SHUTDOWN)),
                stop_signal: None,
            }),
            // The hook above ends only when the server answers queries, so a connection is enough here.
            readiness_probe: Some(tcp_probe(1, 3)),
            liveness_probe: Some(tcp_probe(10, 6)),
            ..pod::container(
                self.service,
                CONTAINER,
                self.service.postgres_image.as_str(),
            )
        }
    }

    fn claim_template(&self) -> PersistentVolumeClaim {
        let size = self.inputs.claim_template_size.as_ref();
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(names::DATA_VOLUME.into()),
                labels: Some(names::labels(self.instance(), Component::Database)),
                ..ObjectMeta::default()
            },
            spec: Some(claim_spec(
                size.unwrap_or(&self.storage.size),
                self.storage.storage_class_name.as_ref(),
            )),
            status: None,
        }
    }

    /// The claim that the StatefulSet made: grown in place, because its template cannot change.
    pub fn claim(&self) -> PersistentVolumeClaim {
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(names::data_claim(self.instance())),
                namespace: Some(self.service.identity.namespace.clone()),
                labels: Some(names::labels(self.instance(), Component::Database)),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: None,
                storage_class_name: None,
                ..claim_spec(&self.storage.size, None)
            }),
            status: None,
        }
    }
}

/// The Secret with passwords and addresses for the server at `host`.
pub fn credentials(
    service: &Validated,
    credentials: &Credentials,
    host: &str,
    trusted: Option<&str>,
) -> Secret {
    let name = names::credentials(&service.identity.name);
    let mut metadata = data_owned(service, name, Component::Database);
    let notes = credentials.notes();
    if !notes.is_empty() {
        metadata.annotations.get_or_insert_default().extend(notes);
    }
    Secret {
        metadata,
        data: Some(credentials.data(host, trusted)),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

fn tcp_probe(period: i32, failures: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("postgres".into()),
            host: None,
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A claim for one writer.
pub fn claim_spec(size: &str, class: Option<&String>) -> PersistentVolumeClaimSpec {
    PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".into()]),
        storage_class_name: class.cloned(),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([(
                "storage".into(),
                Quantity(size.to_owned()),
            )])),
            limits: None,
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}
