//! What is reported about the backups.

use hello_crds::{BackupStatus, HelloServiceStatus};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobStatus, Job},
        core::v1::PersistentVolumeClaim,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
    },
    service::{
        apply::Applied,
        plan::facts::JobPhase,
        report::{
            finding::{Finding, no, yes},
            pod_failure,
            reason::Reason,
            volume,
        },
        validate::{Backup, Validated},
    },
};

/// What is known of the backups of a service.
struct Backups<'a> {
    wanted: &'a Backup,
    applied: &'a Applied,
    /// Name of the CronJob and of its claim.
    name: String,
    volume: volume::Wanted<'a>,
    /// The newest run that exists.
    newest: Option<&'a Job>,
    /// The newest run that has ended.
    ended: Option<&'a Job>,
    times: Times,
    now: Timestamp,
}

/// When backups were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    started: Option<Timestamp>,
    succeeded: Option<Timestamp>,
    /// Whether the backup that succeeded last is gone with its volume.
    lost: bool,
}

/// Whether the last backup succeeded and none was missed; `None` when no backups are wanted.
pub fn finding(
    service: &Validated,
    applied: &Applied,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> Option<Finding> {
    let backups = Backups::read(service, applied, old, now)?;
    let problem = backups
        .not_written()
        .or_else(|| volume::leaving(applied, &backups.name))
        .or_else(|| backups.not_scheduled())
        .or_else(|| backups.not_running())
        .or_else(|| backups.refused())
        .or_else(|| backups.failed())
        .or_else(|| backups.missed());
    Some(problem.unwrap_or_else(|| backups.result()))
}

/// Times of the backups; `None` when no backups are wanted. They stay when the CronJob, which has them too, is gone.
pub fn status(
    service: &Validated,
    applied: &Applied,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> Option<BackupStatus> {
    let times = Backups::read(service, applied, old, now)?.times;
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    Some(BackupStatus {
        last_schedule_time: text(times.started),
        last_success_time: text(times.succeeded),
    })
}

impl<'a> Backups<'a> {
    fn read(
        service: &'a Validated,
        applied: &'a Applied,
        old: Option<&HelloServiceStatus>,
        now: Timestamp,
    ) -> Option<Self> {
        let wanted = service.backup.as_ref()?;
        let volume = volume::wanted_backups(service)?;
        let name = names::backup(&service.identity.name);
        let mut runs: Vec<&Job> = applied
            .live()
            .all::<Job>()
            .filter(|job| is_run(job))
            .collect();
        runs.sort_by_key(|job| (created(*job), job.name_any()));
        let newest = runs.last().copied();
        let mut latest_first = runs.iter().rev().copied();
        let ended = latest_first.find(|job| JobPhase::from_job(job) != JobPhase::Active);
        let claim = applied.live().typed::<PersistentVolumeClaim>(&name);
        let volume_since =
            claim.and_then(|claim| Some(claim.metadata.creation_timestamp.as_ref()?.0));
        let cron_job = applied.live().typed::<CronJob>(&name);
        let times = Times::read(cron_job, &runs, old, volume_since);
        Some(Self {
            wanted,
            applied,
            name,
            volume,
            newest,
            ended,
            times,
            now,
        })
    }

    fn child(&self, kind: Kind) -> ChildId {
        ChildId::new(kind, self.name.clone())
    }

    /// The schedule or its volume is not as wanted, because it cannot be written.
    fn not_written(&self) -> Option<Finding> {
        if let Err(problem) = &self.wanted.schedule {
            let message = format!("spec.backup.schedule: {problem}");
            return Some(no(Reason::BackupScheduleInvalid).with(message));
        }
        let ours = [Kind::CronJob, Kind::PersistentVolumeClaim].map(|kind| self.child(kind));
        let mut refused = self.applied.refused().iter();
        if let Some((id, error)) = refused.find(|(id, _)| ours.contains(id)) {
            return Some(no(Reason::Refused).with(format!("{id}: {error}")));
        }
        let mut conflicts = self.applied.plan().conflicts.iter();
        let foreign = conflicts.find(|id| ours.contains(id))?;
        let message = format!("{foreign} exists and does not belong to this resource");
        Some(no(Reason::Conflict).with(message))
    }

    fn not_scheduled(&self) -> Option<Finding> {
        self.wanted.suspend.then(|| no(Reason::BackupSuspended))
    }

    /// The newest run does not get to work, or does not end.
    fn not_running(&self) -> Option<Finding> {
        let job = self.newest?;
        if JobPhase::from_job(job) != JobPhase::Active {
            return None;
        }
        let id = ChildId::new(Kind::Job, job.name_any());
        if let Some(words) = self.applied.refused_pods(&id) {
            return Some(pod_failure::refused(words));
        }
        let uid = job.uid().unwrap_or_default();
        let failure = pod_failure::of_run(self.applied.pods(), &uid, self.now)?;
        Some(volume::explain(self.applied, &self.volume, failure))
    }

    /// The last run that has ended has failed.
    fn failed(&self) -> Option<Finding> {
        let Some(job) = self.ended else {
            // Jobs are deleted by and by, and by hand. What is left is that a run began and none has succeeded since.
            let gone = self.newest.is_none()
                && !self.times.lost
                && self.times.started > self.times.succeeded
                && self.late(self.times.started?);
            return gone.then(|| no(Reason::BackupFailed).with(
                "the last backup did not succeed, and its Job is gone: start one by hand to see why",
            ));
        };
        let phase = JobPhase::from_job(job);
        if !matches!(phase, JobPhase::Failed | JobPhase::Interrupted) {
            return None;
        }
        let uid = job.uid().unwrap_or_default();
        let pod = pod_failure::end_of_run(self.applied.pods(), &uid);
        let words = pod.unwrap_or_else(|| reason_of_end(job));
        Some(no(Reason::BackupFailed).with(format!("{}: {words}", job.name_any())))
    }

    /// The API server refuses the Job that is due.
    fn refused(&self) -> Option<Finding> {
        let words = self.applied.refused_pods(&self.child(Kind::CronJob))?;
        let (finding, what) = match self.missed() {
            Some(missed) => (missed.clone(), missed.message),
            None => (
                no(Reason::PodRefused),
                "a backup is due, and its Job is refused".into(),
            ),
        };
        Some(finding.with(format!("{what}: {words}")))
    }

    /// The schedule fired, and no run began.
    fn missed(&self) -> Option<Finding> {
        let cron_job = self.applied.live().typed::<CronJob>(&self.name)?;
        let since = self.times.started.max(created(cron_job))?;
        let due = self.wanted.last_due(self.now)?;
        if due <= since || !self.late(due) {
            return None;
        }
        let last = match self.times.started {
            Some(time) => format!("no backup has started since {time}"),
            None => "no backup has ever started".to_owned(),
        };
        Some(no(Reason::BackupOverdue).with(format!("{last}, although the schedule was due")))
    }

    fn late(&self, time: Timestamp) -> bool {
        self.now.duration_since(time) > Backup::START_WITHIN
    }

    fn result(&self) -> Finding {
        match self.times.succeeded {
            Some(_) => yes(Reason::BackupSucceeded),
            None if self.times.lost => no(Reason::BackupsLost),
            None => volume::unbound(self.applied, &self.volume)
                .unwrap_or_else(|| no(Reason::BackupPending)),
        }
    }
}

impl Times {
    /// Backups on an earlier volume are gone with it.
    fn read(
        cron_job: Option<&CronJob>,
        runs: &[&Job],
        old: Option<&HelloServiceStatus>,
        volume_since: Option<Timestamp>,
    ) -> Self {
        let live = cron_job.and_then(|job| job.status.as_ref());
        let live = |time: fn(&CronJobStatus) -> &Option<Time>| Some(time(live?).as_ref()?.0);
        let old = old.and_then(|old| old.backup.as_ref());
        let old = |time: fn(&BackupStatus) -> &Option<String>| time(old?).as_ref()?.parse().ok();
        let ends = runs
            .iter()
            .filter(|job| JobPhase::from_job(job) == JobPhase::Succeeded)
            .filter_map(|job| Some(job.status.as_ref()?.completion_time.as_ref()?.0));
        let succeeded = live(|status| &status.last_successful_time)
            .max(old(|status| &status.last_success_time))
            .max(ends.max());
        let lost = succeeded < volume_since.filter(|_| succeeded.is_some());
        Self {
            started: live(|status| &status.last_schedule_time)
                .max(old(|status| &status.last_schedule_time)),
            succeeded: succeeded.filter(|_| !lost),
            lost,
        }
    }
}

/// Whether this Job is a run of the backups, by the schedule or by hand.
fn is_run(job: &Job) -> bool {
    Component::from_labels(job.labels()) == Some(Component::Backup)
}

fn created(object: &impl ResourceExt) -> Option<Timestamp> {
    object.creation_timestamp().map(|time| time.0)
}

/// What Kubernetes reports about a Job that failed.
fn reason_of_end(job: &Job) -> String {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut failed = conditions.filter(|condition| condition.type_ == "Failed");
    let message = failed
        .next()
        .and_then(|condition| condition.message.clone());
    message.unwrap_or_else(|| "see the Job's events".into())
}
