//! What is reported about the backups.

use hello_crds::BackupStatus;
use k8s_openapi::{
    api::batch::v1::{CronJob, CronJobStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    object::names,
    service::{apply::Applied, validate::Validated},
};

/// Times of the backups as the CronJob reports them; `None` when no backups are wanted.
pub fn status(service: &Validated, applied: &Applied) -> Option<BackupStatus> {
    service.backup.as_ref()?;
    let name = names::backup(&service.identity.name);
    let job = applied.live().typed::<CronJob>(&name);
    let status = job.and_then(|job| job.status.as_ref());
    let time = |time: fn(&CronJobStatus) -> &Option<Time>| {
        status.and_then(|status| Some(time(status).as_ref()?.0.to_string()))
    };
    Some(BackupStatus {
        last_schedule_time: time(|status| &status.last_schedule_time),
        last_success_time: time(|status| &status.last_successful_time),
    })
}
