//! Why a write is made: the reason in its log line.

use std::fmt;

use crate::{
    object::{child::ChildId, kind::Kind},
    service::plan::{action::Action, facts::Facts, job_phase::JobPhase},
};

/// Reason of a write. The names are in the log; `docs/operate.md` explains them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum WriteReason {
    /// It is wanted and not there.
    Missing,
    /// It is as it was last written, and now something else is wanted.
    WantedChanged,
    /// Another writer changed what was written.
    Drift,
    /// It is there and no longer wanted.
    Unwanted,
    /// No migration has run with these inputs.
    MigrationDue,
    /// A migration with other inputs is due.
    MigrationSuperseded,
    /// The last migration was interrupted, and another attempt is due.
    MigrationRetried,
    /// A person requests a backup.
    BackupRequested,
    /// The resource is being deleted, and a last backup comes before.
    LastBackupDue,
    /// The last backup failed, was made from another spec, or does not have the last state: another one follows.
    LastBackupRetried,
    /// A run of the backups of a former template cannot start, and the schedule waits for it.
    BackupStuck,
    /// A pod of a former template cannot start, and its controller waits for it.
    PodStuck,
    /// There are more or fewer pods than wanted, or the operator holds a number that is not its own.
    Replicas,
    /// There is something new to report.
    StatusChanged,
}

impl WriteReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::Missing,
        Self::WantedChanged,
        Self::Drift,
        Self::Unwanted,
        Self::MigrationDue,
        Self::MigrationSuperseded,
        Self::MigrationRetried,
        Self::BackupRequested,
        Self::LastBackupDue,
        Self::LastBackupRetried,
        Self::BackupStuck,
        Self::PodStuck,
        Self::Replicas,
        Self::StatusChanged,
    ];

    /// Why an action is taken, given the facts that it was decided on.
    #[must_use]
    pub fn from_action(action: &Action, facts: &Facts) -> Self {
        let is_job = |id: &ChildId| id.kind == Kind::Job;
        match action {
            Action::Create(id) if facts.is_last_backup(id) => Self::LastBackupDue,
            Action::Delete(id) if facts.is_last_backup(id) => Self::LastBackupRetried,
            Action::Create(id) if facts.is_migration(id) => Self::MigrationDue,
            Action::Create(id) if is_job(id) => Self::BackupRequested,
            Action::Create(_) => Self::Missing,
            Action::Update(id) if facts.outdated.contains(id) => Self::WantedChanged,
            Action::Update(_) => Self::Drift,
            Action::Delete(id) if facts.stuck_runs.contains(id) => Self::BackupStuck,
            Action::Delete(id) if facts.jobs.get(id) == Some(&JobPhase::Interrupted) => {
                Self::MigrationRetried
            }
            // An order with another source: it cannot be changed.
            Action::Delete(id) if facts.outdated.contains(id) => Self::WantedChanged,
            Action::Delete(id) if is_job(id) => Self::MigrationSuperseded,
            Action::Delete(_) => Self::Unwanted,
            Action::Replace(..) => Self::PodStuck,
            Action::Forget(_) => Self::MigrationDue,
            // Part of its creation.
            Action::Release(id) if !facts.present.contains_key(id) => Self::Missing,
            Action::Scale(..) | Action::Release(_) => Self::Replicas,
        }
    }
}

impl fmt::Display for WriteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::service::plan::presence::Presence;

    #[test]
    fn every_write_has_its_reason() {
        let id = |kind| ChildId::new(kind, "demo");
        let (service, job) = (id(Kind::Service), id(Kind::Job));
        let mut facts = Facts::default();
        let reason = |action: &Action, facts: &Facts| WriteReason::from_action(action, facts);
        for (action, expected) in [
            (Action::Create(service.clone()), WriteReason::Missing),
            (Action::Update(service.clone()), WriteReason::Drift),
            (Action::Delete(service.clone()), WriteReason::Unwanted),
            (Action::Create(job.clone()), WriteReason::MigrationDue),
            (Action::Delete(job), WriteReason::MigrationSuperseded),
            (
                Action::Scale(id(Kind::Deployment), 3),
                WriteReason::Replicas,
            ),
            (Action::Release(id(Kind::Deployment)), WriteReason::Missing),
        ] {
            assert_eq!(reason(&action, &facts), expected, "{action}");
        }
        facts
            .last_backups
            .insert(id(Kind::Job), JobPhase::Interrupted);
        for (action, expected) in [
            (Action::Create(id(Kind::Job)), WriteReason::LastBackupDue),
            (
                Action::Delete(id(Kind::Job)),
                WriteReason::LastBackupRetried,
            ),
        ] {
            assert_eq!(reason(&action, &facts), expected);
        }
        facts.last_backups.clear();
        facts.requested_backup = Some(id(Kind::Job));
        let create = Action::Create(id(Kind::Job));
        assert_eq!(reason(&create, &facts), WriteReason::BackupRequested);
        facts.requested_backup = None;
        facts.stuck_runs.insert(id(Kind::Job));
        let delete = Action::Delete(id(Kind::Job));
        assert_eq!(reason(&delete, &facts), WriteReason::BackupStuck);
        facts.stuck_runs.clear();
        facts.jobs.insert(id(Kind::Job), JobPhase::Interrupted);
        let delete = Action::Delete(id(Kind::Job));
        assert_eq!(reason(&delete, &facts), WriteReason::MigrationRetried);
        let deployment = id(Kind::Deployment);
        facts.present.insert(deployment.clone(), Presence::Settled);
        let release = Action::Release(deployment);
        assert_eq!(reason(&release, &facts), WriteReason::Replicas);
        facts.outdated.insert(service.clone());
        let update = Action::Update(service);
        assert_eq!(reason(&update, &facts), WriteReason::WantedChanged);
    }

    #[test]
    fn the_documentation_explains_exactly_these_reasons() {
        let known: BTreeSet<String> = WriteReason::ALL.iter().map(ToString::to_string).collect();
        let documented = crate::documented("operate.md", "## The operator's log");
        assert_eq!(documented, known);
    }
}
