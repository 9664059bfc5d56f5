//! What is reported about the backups.

use hello_crds::BackupStatus;

use crate::{
    object::{child::ChildId, kind::Kind, names},
    service::{apply::Applied, validate::Validated},
};

/// Times of the backups as the CronJob reports them; `None` when no backups are wanted.
pub fn status(service: &Validated, applied: &Applied) -> Option<BackupStatus> {
    service.backup.as_ref()?;
    let id = ChildId::new(Kind::CronJob, names::backup(&service.identity.name));
    let time = |name: &str| {
        let live = applied.get(&id)?;
        live.data["status"][name].as_str().map(str::to_owned)
    };
    Some(BackupStatus {
        last_schedule_time: time("lastScheduleTime"),
        last_success_time: time("lastSuccessfulTime"),
    })
}
