//! Scheduled backups: a CronJob that dumps into a volume of its own.

use hello_crds::Backup;
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

use super::{data_owned, database::server::claim_spec, owned, pod};
use crate::{
    object::names::{self, Component},
    service::validate::Validated,
};

/// Longest time a backup may take, in seconds.
const DEADLINE: i64 = 4 * 3600;

pub fn claim(service: &Validated, backup: &Backup) -> PersistentVolumeClaim {
    let volume = &backup.destination.volume;
    PersistentVolumeClaim {
        metadata: data_owned(
            service,
            names::backup(&service.identity.name),
            Component::Backup,
        ),
        spec: Some(claim_spec(&volume.size, volume.storage_class_name.as_ref())),
        status: None,
    }
}

pub fn cron_job(service: &Validated, backup: &Backup) -> CronJob {
    let instance = &service.identity.name;
    CronJob {
        metadata: owned(service, names::backup(instance), Component::Backup),
        spec: CronJobSpec {
            schedule: backup.schedule.clone(),
            time_zone: Some(backup.time_zone.clone()),
            suspend: Some(backup.suspend),
            concurrency_policy: Some("Forbid".into()),
            // Without it the controller gives up for ever after 100 missed starts.
            starting_deadline_seconds: Some(600),
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
                    template: template(service, backup),
                    ..JobSpec::default()
                }),
            },
        },
        status: None,
    }
}

fn template(service: &Validated, backup: &Backup) -> PodTemplateSpec {
    let instance = &service.identity.name;
    let (address_volume, address_mount, variables) =
        pod::database_address(service, Component::Backup);
    let mut arguments = vec!["backup".to_owned(), "--directory".into(), "/backups".into()];
    for format in &backup.formats {
        arguments.extend(["--format".into(), format.as_str().into()]);
    }
    arguments.extend(["--keep-last".into(), backup.retention.keep_last.to_string()]);

    // The application's image has no dump programs and PostgreSQL's has no application.
    let install = Container {
        args: Some(vec!["install-to".into(), "/tools".into()]),
        resources: Some(pod::small_resources()),
        volume_mounts: Some(vec![pod::mount("tools", "/tools", false)]),
        ..pod::container(service, "tools", service.image.as_str())
    };
    let dump = Container {
        command: Some(vec!["/tools/hello-app".into()]),
        args: Some(arguments),
        env: Some(variables),
        resources: Some(pod::small_resources()),
        volume_mounts: Some(vec![
            pod::mount("tools", "/tools", true),
            pod::mount("backups", "/backups", false),
            pod::mount("tmp", "/tmp", false),
            address_mount,
        ]),
        ..pod::container(service, "backup", service.postgres_image.as_str())
    };
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
        address_volume,
    ];
    let mut spec = pod::spec(service, pod::POSTGRES_USER, vec![dump], volumes);
    spec.init_containers = Some(vec![install]);
    spec.restart_policy = Some("Never".into());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(instance, Component::Backup)),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}
