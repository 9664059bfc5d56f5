//! What is reported about the backups.

mod history;

use hello_crds::{BackupStatus, HelloServiceStatus, OrderedBackup};
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::PersistentVolumeClaim,
};
use kube::ResourceExt;

use self::history::{Attempt, History};
use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        names::{self, Component},
        pod::{self, is_owned_by},
        time::created,
    },
    service::{
        apply::Applied,
        plan::{action::Action, facts::Facts, job_phase::JobPhase},
        report::{
            finding::{Finding, no, yes},
            hindrance::{self, Whose},
            pod_failure,
            reason::Reason,
            volume,
        },
        validate::{Backup, Validated},
    },
};

/// What is known of the backups of a service.
pub struct Backups<'a> {
    wanted: &'a Backup,
    applied: &'a Applied,
    /// Name of the CronJob and of its claim.
    name: String,
    /// The volume, where they are not in a bucket.
    volume: Option<volume::Wanted<'a>>,
    /// Since when there is the claim.
    volume_since: Option<Timestamp>,
    /// The newest run that exists.
    newest: Option<&'a Job>,
    history: History,
    now: Timestamp,
}

/// The requested backup, once its Job is or was there. Were it not remembered, it would be made again when that is gone.
fn started_request<'a>(
    facts: &Facts,
    mut written: impl Iterator<Item = &'a Action>,
) -> Option<String> {
    let made = written.find_map(|action| match action {
        Action::Create(id) => Some(id).filter(|id| facts.requested_backup.as_ref() == Some(id)),
        _ => None,
    });
    let id = made.or(facts.started_backup())?;
    Some(id.name.clone())
}

/// What stays known while no backups are wanted: earlier ones are still there.
pub fn kept(old: Option<&HelloServiceStatus>) -> Option<BackupStatus> {
    Some(BackupStatus {
        next_schedule_time: None,
        ..old?.backup.clone()?
    })
}

impl<'a> Backups<'a> {
    /// `None` when no backups are wanted.
    pub fn read(
        service: &'a Validated,
        applied: &'a Applied,
        old: Option<&HelloServiceStatus>,
        now: Timestamp,
    ) -> Option<Self> {
        let wanted = service.backup.as_ref()?;
        let volume = volume::wanted_backups(service);
        let name = names::backup(&service.identity.name);
        let mut runs: Vec<&Job> = applied
            .live()
            .all::<Job>()
            .filter(|job| is_run(job))
            .collect();
        runs.sort_by_key(|job| (created(&job.metadata), job.name_any()));
        // One that an earlier destination has left says nothing about the backups in a bucket.
        let claim = volume
            .as_ref()
            .and_then(|_| applied.live().typed::<PersistentVolumeClaim>(&name));
        let volume_since = claim.and_then(|claim| created(&claim.metadata));
        let cron_job = applied.live().typed::<CronJob>(&name);
        Some(Self {
            history: History::read(cron_job, &runs, applied.pods(), old, volume_since),
            newest: runs.last().copied(),
            wanted,
            applied,
            name,
            volume,
            volume_since,
            now,
        })
    }

    /// Whether the last backup was proved and none was missed.
    pub fn finding(&self) -> Finding {
        let problem = self
            .wrong_schedule()
            .or_else(|| hindrance::finding(self.applied, Whose::Backups))
            .or_else(|| self.volume_leaving())
            .or_else(|| self.not_scheduled())
            .or_else(|| self.not_running())
            .or_else(|| self.refused())
            .or_else(|| self.failed())
            .or_else(|| self.missed());
        problem.unwrap_or_else(|| self.result())
    }

    /// What is known of the backups. It stays when the CronJob and the Jobs are gone.
    pub fn status(self, old: Option<&HelloServiceStatus>) -> BackupStatus {
        let ordered = self.ordered(old);
        let history = self.history;
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let known = old.and_then(|old| old.backup.as_ref()?.last_request.clone());
        let written = self.applied.writes().iter().map(|(action, _)| action);
        BackupStatus {
            last_schedule_time: text(history.started),
            next_schedule_time: text(self.wanted.next_start(self.now)),
            last_attempt: history.attempt.as_ref().map(Attempt::status),
            last_success_time: text(history.succeeded),
            last_verified: history.verified.map(|verified| verified.backup),
            count: history.count,
            last_request: started_request(self.applied.facts(), written).or(known),
            ordered,
        }
    }

    /// The backup before a deletion, or before a change of the data's version, and its name once it is proved.
    fn ordered(&self, old: Option<&HelloServiceStatus>) -> Option<OrderedBackup> {
        let known = old.and_then(|old| old.backup.as_ref()?.ordered.clone());
        let Some(order) = self.applied.facts().ordered() else {
            return known;
        };
        let job = order.job.name.clone();
        let known = known.filter(|known| known.job == job);
        let proved = self.applied.live().typed::<Job>(&job);
        let proved = proved.and_then(|job| history::proved(job, self.applied.pods()));
        let file = known.and_then(|known| known.file).or(proved);
        Some(OrderedBackup { job, file })
    }

    fn child(&self, kind: Kind) -> ChildId {
        ChildId::new(kind, self.name.clone())
    }

    fn wrong_schedule(&self) -> Option<Finding> {
        let problem = self.wanted.schedule.as_ref().err()?;
        let message = format!("spec.backup.schedule: {problem}");
        Some(no(Reason::BackupScheduleInvalid).with(message))
    }

    fn volume_leaving(&self) -> Option<Finding> {
        volume::leaving(self.applied, &self.volume.as_ref()?.claim)
    }

    fn not_scheduled(&self) -> Option<Finding> {
        self.wanted.suspend.then(|| no(Reason::Suspended))
    }

    /// The newest run, while it has not ended.
    fn active(&self) -> Option<&'a Job> {
        self.newest
            .filter(|job| JobPhase::from_job(job) == JobPhase::Active)
    }

    /// The newest run does not get to work, or does not end.
    pub fn not_running(&self) -> Option<Finding> {
        let job = self.active()?;
        let id = ChildId::new(Kind::Job, job.name_any());
        if let Some(words) = self.applied.refused_pods(&id) {
            return Some(pod_failure::refused(words));
        }
        let uid = job.uid().unwrap_or_default();
        // A container that failed is an attempt, and its Job tries again.
        let failure = pod_failure::of_run(self.applied.pods(), &uid, self.now)
            .filter(|failure| failure.reason != Reason::ContainerFailed)?;
        Some(match &self.volume {
            Some(volume) => volume::explain(self.applied, volume, failure),
            None => failure.finding(),
        })
    }

    /// The last run that has ended since then has failed, or its dump was not proved.
    pub fn failed_since(&self, time: Timestamp) -> Option<Finding> {
        let attempt = self.history.attempt.as_ref();
        attempt.filter(|attempt| attempt.time >= time)?;
        self.failed()
    }

    /// The last run that has ended has failed, or its dump was not proved.
    fn failed(&self) -> Option<Finding> {
        let History {
            started,
            succeeded,
            attempt,
            lost,
            ..
        } = &self.history;
        let ended = attempt.as_ref().map(|attempt| attempt.time);
        // A later one succeeded, and nothing else is known of it.
        let attempt = attempt.as_ref().filter(|_| *succeeded <= ended);
        let failed = attempt.filter(|attempt| attempt.reason != Reason::Verified);
        if let Some(attempt) = failed {
            return Some(no(attempt.reason).with(&attempt.message));
        }
        // What is left is that a run began and none has ended since.
        let gone = self.newest.is_none()
            && !lost
            && *started > ended.max(*succeeded)
            && self.now.duration_since((*started)?) > Backup::START_WITHIN;
        gone.then(|| {
            no(Reason::BackupFailed).with(
                "the last backup did not succeed, and its Job is gone: start one by hand to see why",
            )
        })
    }

    /// The API server refuses the Job that is due.
    fn refused(&self) -> Option<Finding> {
        let words = self.applied.refused_pods(&self.child(Kind::CronJob))?;
        let missed = self
            .missed()
            .filter(|missed| missed.reason == Reason::Stale);
        let (finding, what) = match missed {
            Some(missed) => (missed.clone(), missed.message),
            None => (
                no(Reason::PodRefused),
                "a backup is due, and its Job is refused".into(),
            ),
        };
        Some(finding.with(format!("{what}: {words}")))
    }

    /// The schedule fired, and no backup was proved since. One that is at work is not late before its own end.
    fn missed(&self) -> Option<Finding> {
        let cron_job = self.applied.live().typed::<CronJob>(&self.name)?;
        let due = self.wanted.last_started(self.now)?;
        let verified = self.history.verified.as_ref().map(|verified| verified.time);
        if Some(due)
            <= verified
                .max(created(&cron_job.metadata)?.into())
                .max(self.volume_since)
        {
            return None;
        }
        if let Some(at_work) = self.at_work() {
            return Some(at_work);
        }
        let last = match (self.history.started, verified) {
            (None, None) => "no backup has ever started".to_owned(),
            (Some(started), _) if started < due => format!("no backup has started since {started}"),
            (_, None) => "no backup has ever been proved".to_owned(),
            (_, Some(verified)) => format!("no backup has been proved since {verified}"),
        };
        Some(no(Reason::Stale).with(format!("{last}, although the schedule was due")))
    }

    /// A run that may still end in time.
    fn at_work(&self) -> Option<Finding> {
        let job = self.active()?;
        let began = created(&job.metadata)?;
        let uid = job.uid().unwrap_or_default();
        let mut pods = self.applied.pods().iter();
        let works = |pod| is_owned_by(pod, &uid) && pod::workers(pod).any(pod::runs);
        let reason = match pods.any(works) {
            true => Reason::Running,
            false => Reason::Pending,
        };
        (self.now.duration_since(began) <= Backup::DEADLINE).then(|| no(reason))
    }

    fn result(&self) -> Finding {
        match self.history.verified {
            Some(_) => yes(Reason::Verified),
            None if self.history.lost => no(Reason::BackupsLost),
            None => self
                .at_work()
                .or_else(|| volume::unbound(self.applied, self.volume.as_ref()?))
                .unwrap_or_else(|| no(Reason::NeverRun)),
        }
    }
}

/// Whether this Job is a run of the backups, by the schedule or by hand.
fn is_run(job: &Job) -> bool {
    Component::from_labels(job.labels()) == Some(Component::Backup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_backup_is_remembered_once_its_job_is_made() {
        let id = |name: &str| ChildId::new(Kind::Job, name);
        let facts = Facts {
            requested_backup: Some(id("now")),
            ..Facts::default()
        };
        let (now, other) = (Action::Create(id("now")), Action::Create(id("other")));
        for (written, remembered) in [
            (vec![], None),
            (vec![other.clone()], None),
            (vec![Action::Delete(id("now"))], None),
            (vec![other, now], Some("now")),
        ] {
            let found = started_request(&facts, written.iter());
            assert_eq!(found.as_deref(), remembered, "{written:?}");
        }
    }
}
