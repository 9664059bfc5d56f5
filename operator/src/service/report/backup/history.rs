//! How the runs of the backups ended, from the Jobs that exist and from what the status remembers: Jobs are deleted, by the
//! schedule and by hand.

use hello_crds::{BackupAttempt, BackupStatus, HelloServiceStatus, VerifiedBackup};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobStatus, Job},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;

use crate::{
    object::{
        backup_result::{self, BackupResult, Cause, Failure, Proof},
        pod::{self, is_owned_by},
        time::created,
    },
    service::{
        plan::job_phase::JobPhase,
        report::{pod_failure, reason::Reason},
    },
};

/// What is known of the backups that were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// When the schedule last started one.
    pub started: Option<Timestamp>,
    /// When one last succeeded.
    pub succeeded: Option<Timestamp>,
    /// How the last one that has ended ended.
    pub attempt: Option<Attempt>,
    /// The newest one that was proved.
    pub verified: Option<Verified>,
    /// How many proved ones there are.
    pub count: Option<i64>,
    /// Whether the backup that succeeded last is gone with its volume.
    pub lost: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub time: Timestamp,
    /// In one word.
    pub reason: Reason,
    /// What went wrong, in words.
    pub message: String,
}

/// A backup that was proved.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// When, by the clock of Kubernetes: a pod's own may be wrong.
    pub time: Timestamp,
    /// As it is reported.
    pub backup: VerifiedBackup,
}

impl History {
    /// `runs` are those that exist, the oldest first. Backups on an earlier volume are gone with it.
    pub fn read(
        cron_job: Option<&CronJob>,
        runs: &[&Job],
        pods: &[Pod],
        old: Option<&HelloServiceStatus>,
        volume_since: Option<Timestamp>,
    ) -> Self {
        let live = cron_job.and_then(|job| job.status.as_ref());
        let live = |time: fn(&CronJobStatus) -> &Option<Time>| Some(time(live?).as_ref()?.0);
        let old = old.and_then(|old| old.backup.as_ref());
        let at = |time: fn(&BackupStatus) -> &Option<String>| time(old?).as_ref()?.parse().ok();
        let ended: Vec<Ended<'_>> = runs
            .iter()
            .filter_map(|job| Ended::new(job, pods))
            .collect();
        let ends = ended.iter().filter(|run| run.phase == JobPhase::Succeeded);
        let succeeded = live(|status| &status.last_successful_time)
            .max(at(|status| &status.last_success_time))
            .max(ends.map(|run| run.time).max());
        let lost = succeeded < volume_since.filter(|_| succeeded.is_some());
        let is_there = |time: Timestamp| volume_since.is_none_or(|since| time >= since);
        let proofs = ended
            .iter()
            .filter_map(|run| Some((run.time, run.proof()?)));
        let newest = proofs.max_by_key(|(time, _)| *time);
        let newest = newest.filter(|(time, _)| is_there(*time));
        let known = old.and_then(|old| Verified::from_status(old.last_verified.as_ref()?));
        let known = known.filter(|known| is_there(known.time));
        let count = old.and_then(|old| old.count).filter(|_| known.is_some());
        let is_news =
            newest.is_some_and(|(time, _)| known.as_ref().is_none_or(|known| time >= known.time));
        Self {
            started: live(|status| &status.last_schedule_time)
                .max(at(|status| &status.last_schedule_time)),
            succeeded: succeeded.filter(|_| !lost),
            attempt: last_attempt(ended.last(), old),
            count: newest
                .filter(|_| is_news)
                .map_or(count, |(_, proof)| Some(proof.count)),
            verified: match newest.filter(|_| is_news) {
                Some((time, proof)) => Some(Verified::new(time, proof)),
                None => known,
            },
            lost,
        }
    }
}

/// The last run that has ended: the newest one that exists, unless a later one is remembered. Of the same one, what is
/// remembered counts when nothing reports it any more.
fn last_attempt(newest: Option<&Ended<'_>>, old: Option<&BackupStatus>) -> Option<Attempt> {
    let old = old.and_then(|old| Attempt::from_status(old.last_attempt.as_ref()?));
    let Some(newest) = newest else {
        return old;
    };
    match old.filter(|old| old.time >= newest.time) {
        Some(old) if old.time > newest.time => Some(old),
        Some(old) => Some(newest.reported().unwrap_or(old)),
        None => Some(newest.reported().unwrap_or_else(|| newest.unreported())),
    }
}

impl Attempt {
    fn from_status(attempt: &BackupAttempt) -> Option<Self> {
        Some(Self {
            time: attempt.time.parse().ok()?,
            reason: Reason::from_name(&attempt.reason)?,
            message: attempt.message.clone(),
        })
    }

    /// As it is reported.
    pub fn status(&self) -> BackupAttempt {
        BackupAttempt {
            time: self.time.to_string(),
            reason: self.reason.to_string(),
            message: self.message.clone(),
        }
    }
}

impl Verified {
    fn new(time: Timestamp, proof: &Proof) -> Self {
        let backup = VerifiedBackup {
            time: time.to_string(),
            file: proof.set.clone(),
            size_bytes: proof.size_bytes,
            seconds: proof.seconds(),
            rows: proof.rows,
            schema_version: proof.schema_version,
        };
        Self { time, backup }
    }

    fn from_status(backup: &VerifiedBackup) -> Option<Self> {
        let (time, backup) = (backup.time.parse().ok()?, backup.clone());
        Some(Self { time, backup })
    }
}

/// A run that has ended.
struct Ended<'a> {
    job: &'a Job,
    time: Timestamp,
    phase: JobPhase,
    /// What its program reports, of the newest pod that left something.
    result: Option<BackupResult>,
    /// How its last pod failed, in words.
    words: Option<String>,
}

impl<'a> Ended<'a> {
    fn new(job: &'a Job, pods: &[Pod]) -> Option<Self> {
        let phase = JobPhase::from_job(job);
        let status = job.status.as_ref()?;
        let completed = status.completion_time.as_ref().map(|time| time.0);
        let time = match phase {
            JobPhase::Active => return None,
            JobPhase::Succeeded => completed?,
            JobPhase::Failed | JobPhase::Interrupted => {
                let failed = failure(job).and_then(|failed| failed.last_transition_time.as_ref());
                failed
                    .map(|time| time.0)
                    .or_else(|| created(&job.metadata))?
            }
        };
        let uid = job.uid().unwrap_or_default();
        Some(Self {
            job,
            time,
            phase,
            result: result(pods, &uid),
            words: pod_failure::end_of_run(pods, &uid),
        })
    }

    /// The proof that it left. It counts only when the run as a whole succeeded.
    fn proof(&self) -> Option<&Proof> {
        match &self.result {
            Some(BackupResult::Verified(proof)) if self.phase == JobPhase::Succeeded => Some(proof),
            _ => None,
        }
    }

    /// How it ended, from what its pods left.
    fn reported(&self) -> Option<Attempt> {
        let (reason, message) = match (&self.result, &self.words) {
            (Some(BackupResult::Verified(_)), _) if self.phase == JobPhase::Succeeded => {
                (Reason::Verified, String::new())
            }
            (Some(BackupResult::Failed(failure)), _) => {
                let reason = reason(failure.reason);
                (reason, self.named(words(failure).unwrap_or(reason.text())))
            }
            (None, Some(words)) if self.phase != JobPhase::Succeeded => {
                (Reason::BackupFailed, self.named(words))
            }
            _ => return None,
        };
        Some(Attempt {
            time: self.time,
            reason,
            message,
        })
    }

    /// How it ended, when its pods are gone or left nothing.
    fn unreported(&self) -> Attempt {
        let (reason, words) = match self.phase {
            JobPhase::Succeeded => (
                Reason::NotProved,
                "it succeeded and left no result".to_owned(),
            ),
            _ => (Reason::BackupFailed, reason_of_end(self.job)),
        };
        Attempt {
            time: self.time,
            reason,
            message: self.named(&words),
        }
    }

    fn named(&self, words: &str) -> String {
        format!("{}: {words}", self.job.name_any())
    }
}

/// The name of the backup that a run has proved.
pub fn proved(job: &Job, pods: &[Pod]) -> Option<String> {
    let ended = Ended::new(job, pods)?;
    ended.proof().map(|proof| proof.set.clone())
}

fn words(failure: &Failure) -> Option<&str> {
    Some(failure.message.trim()).filter(|words| !words.is_empty())
}

/// What the newest pod of a run reports that reports anything.
fn result(pods: &[Pod], uid: &str) -> Option<BackupResult> {
    let own = pods.iter().filter(|pod| is_owned_by(pod, uid));
    let newest_first = pod_failure::newest_first(own).into_iter();
    let mut results = newest_first.filter_map(|pod| {
        let mut containers =
            pod::containers(pod).filter(|container| container.name == backup_result::CONTAINER);
        let end = containers.find_map(pod::end)?;
        BackupResult::parse(end.message.as_deref()?)
    });
    results.next()
}

const fn reason(cause: Cause) -> Reason {
    match cause {
        Cause::DumpFailed => Reason::DumpFailed,
        Cause::RestoreFailed => Reason::RestoreFailed,
        Cause::Mismatch => Reason::Mismatch,
        Cause::DestinationFull => Reason::DestinationFull,
        Cause::DestinationDenied => Reason::DestinationDenied,
        Cause::DestinationUnreachable => Reason::DestinationUnreachable,
        Cause::Locked => Reason::Locked,
        Cause::Privileges => Reason::Privileges,
        Cause::ToolTooOld => Reason::ToolTooOld,
        Cause::ClockSkew => Reason::ClockSkew,
        Cause::NotProved => Reason::NotProved,
        Cause::Interrupted => Reason::Interrupted,
    }
}

fn failure(job: &Job) -> Option<&k8s_openapi::api::batch::v1::JobCondition> {
    let mut conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == "Failed")
}

/// What Kubernetes reports about a Job that failed.
fn reason_of_end(job: &Job) -> String {
    let message = failure(job).and_then(|failed| failed.message.clone());
    message.unwrap_or_else(|| "see the Job's events".into())
}

#[cfg(test)]
mod tests;
