//! Scheduled backups: a CronJob that dumps into a volume of its own, and proves each dump by restoring it into a throw-away
//! server beside it.

use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec},
        core::v1::{
            Container, EmptyDirVolumeSource, PersistentVolumeClaim,
            PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
    },
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
    },
    service::{
        dereference::inputs::volumes::{self, Existing},
        validate::{Backup, Database, Image, Schedule, Validated},
    },
};

/// Where the backups are mounted.
pub(crate) const DIRECTORY: &str = "/backups";
/// Where the kubelet reads what a container says about its end.
pub(crate) const RESULT_FILE: &str = "/dev/termination-log";
/// Name of the volume of the throw-away server.
const PROOF: &str = "proof";
/// Where the throw-away server has its data and its socket.
pub(crate) const SCRATCH: &str = "/scratch";

/// The volume for the files. One that exists keeps its class.
pub fn volume_claim(
    service: &Validated,
    backup: &Backup,
    existing: Option<&Existing>,
) -> PersistentVolumeClaim {
    let class = match existing {
        Some(existing) => existing.given_class.as_ref(),
        None => backup.volume.storage_class.as_ref(),
    };
    PersistentVolumeClaim {
        metadata: data_owned(
            service,
            names::backup(&service.identity.name),
            Component::Backup,
        ),
        spec: Some(claim::spec(volumes::size(existing, &backup.volume), class)),
        status: None,
    }
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
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".into(),
                kind: "CronJob".into(),
                name: names::backup(&service.identity.name),
                uid: schedule_uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..metadata
        },
        spec: Some(job_spec(service, database, backup)),
        status: None,
    })
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
        &arguments(backup),
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
    let volumes = vec![
        Volume {
            name: "backups".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::backup(&service.identity.name),
                read_only: None,
            }),
            ..Volume::default()
        },
        pod::empty_dir("tools"),
        pod::empty_dir("tmp"),
        scratch_volume(service, backup),
        address,
    ];
    let mut spec = pod::spec(service, Component::Backup, vec![container], volumes);
    spec.init_containers = Some(vec![install(service), scratch_server(service, backup)]);
    spec.restart_policy = Some("Never".into());
    spec
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
        volume_mounts: Some(vec![pod::mount("tools", "/tools", false)]),
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
            pod::mount("tools", "/tools", true),
            pod::mount(PROOF, SCRATCH, false),
        ]),
        ..pod::container(service, "scratch", image(service, backup).as_str())
    }
}

/// Makes a backup and proves it.
fn arguments(backup: &Backup) -> Vec<String> {
    let retention = &backup.retention;
    let mut arguments = vec!["backup".to_owned(), "run".into()];
    let mut option = |name: &str, value: &str| arguments.extend([name.into(), value.into()]);
    option("--directory", DIRECTORY);
    for format in &backup.formats {
        option("--format", format.as_str());
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

/// The container of a [`proving_pod`] that runs the application with these arguments.
pub(crate) fn proving(
    service: &Validated,
    backup: &Backup,
    name: &str,
    arguments: &[String],
    address: Address,
    reads_only: bool,
) -> Container {
    Container {
        command: Some(vec!["/tools/hello-app".into()]),
        args: Some(arguments.to_vec()),
        env: Some(address.variables),
        resources: Some(pod::resources(
            &service.pods.of(Component::Backup).resources,
        )),
        volume_mounts: Some(vec![
            pod::mount("tools", "/tools", true),
            pod::mount("backups", DIRECTORY, reads_only),
            pod::mount(PROOF, SCRATCH, false),
            pod::mount("tmp", "/tmp", false),
            address.mount,
        ]),
        ..pod::container(service, name, image(service, backup).as_str())
    }
}
