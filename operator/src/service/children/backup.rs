//! Scheduled backups: a CronJob that dumps into a volume of its own or a bucket, and proves each dump by restoring it into a
//! throw-away server beside it.

use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec},
        core::v1::{
            Container, EmptyDirVolumeSource, EnvVar, PersistentVolumeClaim,
            PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{
    claim,
    database::{address::Address, kind::DatabaseKind},
    job,
    metadata::{data_owned, owned},
    pod,
};
use crate::{
    object::{
        backup_result::CONTAINER,
        names::{self, Component},
        owner,
    },
    service::{
        dereference::inputs::volumes::{self, Existing},
        validate::{Backup, Bucket, Database, Destination, Image, Schedule, TOOLS, Validated},
    },
};

/// Where the backups are mounted.
const DIRECTORY: &str = "/backups";
/// Where the kubelet reads what a container says about its end.
pub(crate) const RESULT_FILE: &str = "/dev/termination-log";
/// Name of the volume of the throw-away server.
const PROOF: &str = "proof";
/// Where the throw-away server has its data and its socket.
pub(crate) const SCRATCH: &str = "/scratch";
/// Name of the volume for the files.
const BACKUPS: &str = "backups";
/// Name of the volume with the authorities that a store of buckets is verified with, its folder and its file.
const STORE: &str = "store";
const STORE_DIRECTORY: &str = "/etc/hello/store";
const STORE_FILE: &str = "ca.crt";
/// Variables of the access key of a bucket, the keys of its Secret, and whether that need not have them.
const ACCESS_KEY: [(&str, &str, bool); 3] = [
    ("AWS_ACCESS_KEY_ID", "access-key-id", false),
    ("AWS_SECRET_ACCESS_KEY", "secret-access-key", false),
    ("AWS_SESSION_TOKEN", "session-token", true),
];

/// The volume for the files, where they are not in a bucket. One that exists keeps its class.
pub fn volume_claim(
    service: &Validated,
    backup: &Backup,
    existing: Option<&Existing>,
) -> Option<PersistentVolumeClaim> {
    let volume = backup.destination.volume()?;
    let class = match existing {
        Some(existing) => existing.given_class.as_ref(),
        None => volume.storage_class.as_ref(),
    };
    Some(PersistentVolumeClaim {
        metadata: data_owned(
            service,
            names::backup(&service.identity.name),
            Component::Backup,
        ),
        spec: Some(claim::spec(volumes::size(existing, volume), class)),
        status: None,
    })
}

/// The schedule, and the pod that makes one backup.
pub fn cron_job(service: &Validated, database: &dyn DatabaseKind, backup: &Backup) -> CronJob {
    let instance = &service.identity.name;
    CronJob {
        metadata: owned(service, names::backup(instance), Component::Backup),
        spec: CronJobSpec {
            schedule: backup.schedule.as_ref().map_or("", Schedule::as_str).into(),
            time_zone: Some(backup.time_zone.as_str().into()),
            suspend: Some(backup.suspend),
            concurrency_policy: Some("Forbid".into()),
            // Without it the controller gives up forever after 100 missed starts.
            starting_deadline_seconds: Some(Backup::START_WITHIN.as_secs()),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(2),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(names::labels(instance, Component::Backup)),
                    ..ObjectMeta::default()
                }),
                spec: Some(job_spec(service, database, backup)),
            },
        },
        status: None,
    }
}

/// The backup that a person requests. The schedule owns it, as if it had been made by `kubectl create job --from`: it is
/// cleaned up with the others.
pub fn requested(
    service: &Validated,
    database: &dyn DatabaseKind,
    backup: &Backup,
    schedule_uid: &str,
) -> Option<Job> {
    let metadata = owned(service, backup.request.clone()?, Component::Backup);
    let by_hand = [(names::BY_HAND_ANNOTATION.to_owned(), "manual".to_owned())];
    Some(Job {
        metadata: ObjectMeta {
            annotations: Some(by_hand.into()),
            owner_references: Some(vec![owner::reference(
                "batch/v1",
                "CronJob",
                &names::backup(&service.identity.name),
                schedule_uid,
            )]),
            ..metadata
        },
        spec: Some(job_spec(service, database, backup)),
        status: None,
    })
}

/// The backup before a deletion. No schedule owns it: there may be none, and its limits do not apply. Another request is
/// another content, which replaces one that has failed.
pub fn last(service: &Validated, database: &dyn DatabaseKind, backup: &Backup, name: &str) -> Job {
    let mut metadata = owned(service, name.to_owned(), Component::Backup);
    let request = service.deletion.request.clone();
    metadata.annotations =
        request.map(|request| [(names::ORDER_ANNOTATION.to_owned(), request)].into());
    Job {
        metadata,
        spec: Some(job_spec(service, database, backup)),
        status: None,
    }
}

fn job_spec(service: &Validated, database: &dyn DatabaseKind, backup: &Backup) -> JobSpec {
    JobSpec {
        backoff_limit: Some(2),
        pod_failure_policy: Some(job::failure_policy(CONTAINER)),
        active_deadline_seconds: Some(Backup::DEADLINE.as_secs()),
        template: template(service, database, backup),
        ..JobSpec::default()
    }
}

fn template(service: &Validated, database: &dyn DatabaseKind, backup: &Backup) -> PodTemplateSpec {
    let address = database.address(Component::Backup);
    let volume = address.volume.clone();
    let run = proving(
        service,
        backup,
        CONTAINER,
        &arguments(service, backup),
        address,
        false,
    );
    let spec = proving_pod(service, backup, run, volume);
    pod::template(service, Component::Backup, None, spec)
}

/// A pod with PostgreSQL's programs, the backups and a throw-away server, for a container that proves a backup.
pub(crate) fn proving_pod(
    service: &Validated,
    backup: &Backup,
    container: Container,
    address: Volume,
) -> PodSpec {
    let own = [
        pod::empty_dir(TOOLS),
        pod::empty_dir("tmp"),
        scratch_volume(service, backup),
        address,
    ];
    let access = Access::to(service, backup);
    let volumes = access.volume.into_iter().chain(own).collect();
    let mut spec = pod::spec(service, Component::Backup, vec![container], volumes);
    spec.init_containers = Some(vec![install(service), scratch_server(service, backup)]);
    spec.restart_policy = Some("Never".into());
    spec
}

/// How the pod reaches the destination.
#[derive(Default)]
struct Access {
    volume: Option<Volume>,
    mount: Option<VolumeMount>,
    arguments: Vec<String>,
    variables: Vec<EnvVar>,
}

impl Access {
    fn to(service: &Validated, backup: &Backup) -> Self {
        match &backup.destination {
            Destination::Volume(_) => Self::to_volume(names::backup(&service.identity.name)),
            Destination::Bucket(bucket) => Self::to_bucket(bucket),
            Destination::Claim(name) => Self::to_volume(name.as_str().to_owned()),
        }
    }

    fn to_volume(claim_name: String) -> Self {
        Self {
            volume: Some(Volume {
                name: BACKUPS.into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name,
                    read_only: None,
                }),
                ..Volume::default()
            }),
            mount: Some(pod::mount(BACKUPS, DIRECTORY, false)),
            arguments: vec!["--directory".into(), DIRECTORY.into()],
            variables: Vec::new(),
        }
    }

    /// Files are made and read back in the folder for temporary files. Without an access key, whoever gives the pod's account
    /// an identity adds what the application reads.
    fn to_bucket(bucket: &Bucket) -> Self {
        let mut access = Self::default();
        let mut option =
            |name: &str, value: &str| access.arguments.extend([name.into(), value.into()]);
        option("--s3-bucket", &bucket.name);
        option("--s3-prefix", &bucket.prefix);
        if let Some(endpoint) = &bucket.endpoint {
            option("--s3-endpoint", &pod::literal(endpoint));
        }
        option("--s3-region", &bucket.region);
        if let Some(path_style) = bucket.path_style {
            option("--s3-path-style", &path_style.to_string());
        }
        if let Some(encryption) = bucket.encryption {
            option("--s3-server-side-encryption", encryption.as_str());
        }
        if let Some(authorities) = &bucket.authorities {
            option("--s3-ca-file", &format!("{STORE_DIRECTORY}/{STORE_FILE}"));
            access.volume = Some(pod::authorities_volume(STORE, authorities, STORE_FILE));
            access.mount = Some(pod::mount(STORE, STORE_DIRECTORY, true));
        }
        if let Some(secret) = &bucket.access_key {
            access.variables = ACCESS_KEY
                .map(|(variable, key, optional)| {
                    pod::secret_env(variable, secret.as_str(), key, optional)
                })
                .into();
        }
        access
    }
}

/// The image with PostgreSQL's programs.
fn image<'a>(service: &'a Validated, backup: &'a Backup) -> &'a Image {
    backup.image.as_ref().unwrap_or(&service.postgres_image)
}

/// Where the throw-away server puts its data. What is restored there is about as large as the database, and as much again is
/// written ahead at most.
fn scratch_volume(service: &Validated, backup: &Backup) -> Volume {
    let storage = match &service.database {
        Database::Managed(managed) => Some(&managed.storage),
        Database::CloudNativePg(cluster) => Some(&cluster.storage),
        Database::External(_) => None,
    };
    let given = backup.scratch.as_ref().map(|size| size.as_str().to_owned());
    let size = given.or_else(|| Some(storage?.size.doubled()));
    Volume {
        name: PROOF.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: None,
            size_limit: size.map(Quantity),
        }),
        ..Volume::default()
    }
}

/// Copies the application into the pod: its image has no dump programs, and PostgreSQL's has no application.
fn install(service: &Validated) -> Container {
    Container {
        args: Some(vec!["install-to".into(), "/tools".into()]),
        resources: Some(pod::helper_resources(service, Component::Backup)),
        volume_mounts: Some(vec![pod::mount(TOOLS, "/tools", false)]),
        ..pod::container(service, "tools", service.image.as_str())
    }
}

/// The throw-away server, in a container of its own without any Secret: a dump can contain functions, which run there. A
/// sidecar, so the kubelet stops it when the backup has ended.
fn scratch_server(service: &Validated, backup: &Backup) -> Container {
    let arguments = ["backup", "scratch-server", "--directory", SCRATCH];
    Container {
        command: Some(vec!["/tools/hello-app".into()]),
        args: Some(arguments.map(str::to_owned).into()),
        restart_policy: Some("Always".into()),
        // It works as hard as the container that restores into it.
        resources: Some(pod::resources(
            &service.pods.of(Component::Backup).resources,
        )),
        volume_mounts: Some(vec![
            pod::mount(TOOLS, "/tools", true),
            pod::mount(PROOF, SCRATCH, false),
        ]),
        ..pod::container(service, "scratch", image(service, backup).as_str())
    }
}

/// Makes a backup and proves it.
fn arguments(service: &Validated, backup: &Backup) -> Vec<String> {
    let retention = &backup.retention;
    let mut arguments = vec!["backup".to_owned(), "run".into()];
    arguments.extend(destination(service, backup));
    let mut option = |name: &str, value: &str| arguments.extend([name.into(), value.into()]);
    for format in &backup.formats {
        option("--format", format.as_str());
    }
    for recipient in &backup.recipients {
        option("--encrypt-to", recipient);
    }
    option("--keep-last", &retention.keep_last.to_string());
    for (name, number) in [
        ("--keep-daily", retention.keep_daily),
        ("--keep-weekly", retention.keep_weekly),
        ("--keep-monthly", retention.keep_monthly),
    ] {
        if number > 0 {
            option(name, &number.to_string());
        }
    }
    option("--scratch", SCRATCH);
    option("--result-file", RESULT_FILE);
    arguments
}

/// The options that name where the backups are.
pub(crate) fn destination(service: &Validated, backup: &Backup) -> Vec<String> {
    Access::to(service, backup).arguments
}

/// The container of a [`proving_pod`] that runs the application with these arguments.
pub(crate) fn proving(
    service: &Validated,
    backup: &Backup,
    name: &str,
    arguments: &[String],
    address: Address,
    reads_only: bool,
) -> Container {
    let access = Access::to(service, backup);
    let files = access.mount.map(|mount| VolumeMount {
        read_only: mount.read_only.or(reads_only.then_some(true)),
        ..mount
    });
    let own = [
        pod::mount(PROOF, SCRATCH, false),
        pod::mount("tmp", "/tmp", false),
        address.mount,
    ];
    let tools = std::iter::once(pod::mount(TOOLS, "/tools", true));
    Container {
        command: Some(vec!["/tools/hello-app".into()]),
        args: Some(arguments.to_vec()),
        env: Some([address.variables, access.variables].concat()),
        resources: Some(pod::resources(
            &service.pods.of(Component::Backup).resources,
        )),
        volume_mounts: Some(tools.chain(files).chain(own).collect()),
        ..pod::container(service, name, image(service, backup).as_str())
    }
}
