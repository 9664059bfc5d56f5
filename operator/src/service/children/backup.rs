//! Scheduled backups: a CronJob that dumps into a volume of its own.

use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec},
        core::v1::{
            Container, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodTemplateSpec,
            Volume,
        },
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    claim,
    database::{address::Address, kind::DatabaseKind},
    metadata::{data_owned, owned},
    pod,
};
use crate::{
    object::names::{self, Component},
    service::{
        dereference::inputs::volumes::{self, Existing},
        validate::{Backup, Schedule, Validated},
    },
};

/// Longest time a backup may take, in seconds.
const DEADLINE: i64 = 4 * 3600;

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
                spec: Some(JobSpec {
                    backoff_limit: Some(2),
                    active_deadline_seconds: Some(DEADLINE),
                    template: template(service, database, backup),
                    ..JobSpec::default()
                }),
            },
        },
        status: None,
    }
}

fn template(service: &Validated, database: &dyn DatabaseKind, backup: &Backup) -> PodTemplateSpec {
    let instance = &service.identity.name;
    let address = database.address(Component::Backup);
    let volumes = vec![
        Volume {
            name: "backups".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::backup(instance),
                read_only: None,
            }),
            ..Volume::default()
        },
        pod::empty_dir("tools"),
        pod::empty_dir("tmp"),
        address.volume.clone(),
    ];
    let dump = dump(service, backup, address);
    let mut spec = pod::spec(service, Component::Backup, vec![dump], volumes);
    spec.init_containers = Some(vec![install(service)]);
    spec.restart_policy = Some("Never".into());
    pod::template(service, Component::Backup, None, spec)
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

/// Makes the backup.
fn dump(service: &Validated, backup: &Backup, address: Address) -> Container {
    let mut arguments = vec!["backup".to_owned(), "--directory".into(), "/backups".into()];
    for format in &backup.formats {
        arguments.extend(["--format".into(), format.as_str().into()]);
    }
    arguments.extend(["--keep-last".into(), backup.keep_last.to_string()]);
    Container {
        command: Some(vec!["/tools/hello-app".into()]),
        args: Some(arguments),
        env: Some(address.variables),
        resources: Some(pod::resources(
            &service.pods.of(Component::Backup).resources,
        )),
        volume_mounts: Some(vec![
            pod::mount("tools", "/tools", true),
            pod::mount("backups", "/backups", false),
            pod::mount("tmp", "/tmp", false),
            address.mount,
        ]),
        ..pod::container(service, "backup", service.postgres_image.as_str())
    }
}
