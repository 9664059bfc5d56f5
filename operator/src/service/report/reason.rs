//! Reasons of conditions and events: one table, which the documentation is compared with.

use std::fmt;

/// Whether a reason asks for action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Nothing to do: it is as wanted, or gets there by waiting.
    Routine,
    /// Waiting does not help: an action outside the operator is needed.
    ActionNeeded,
}

/// Makes [`Reason`] from its table: name, severity, and the message of a condition that has nothing more exact to report.
macro_rules! reasons {
    ($($name:ident, $severity:ident, $text:literal;)+) => {
        /// Why a condition is as it is. The names are part of the API; `docs/conditions.md` explains them.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason {
            $(#[doc = $text] $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The row of the table: name, severity, text.
            const fn row(self) -> (&'static str, Severity, &'static str) {
                match self {
                    $(Self::$name => (stringify!($name), Severity::$severity, $text),)+
                }
            }
        }
    };
}

reasons! {
    Serving, Routine, "all components match the spec";
    Paused, Routine, "spec.paused is set";
    InvalidSpec, ActionNeeded, "a value of the spec is not valid";
    ReferenceMissing, ActionNeeded, "an object that the spec names does not exist or lacks a key";
    Conflict, ActionNeeded, "an object with the name of a child has another owner";
    Refused, ActionNeeded, "the API server refuses a child";
    ApiServerFailing, ActionNeeded, "the API server fails at a request";
    ApiMissing, ActionNeeded, "the cluster does not serve an API that the spec needs";
    InternalError, ActionNeeded, "the operator failed on this resource";
    ExternalDatabase, Routine, "the Secret has an address; the migration shows whether the database answers";
    DatabaseServing, Routine, "the server is ready";
    DatabaseStarting, Routine, "the server is not ready yet";
    DatabaseTerminating, Routine, "an earlier server of this name, or its volume, is still being deleted";
    DatabaseDegraded, Routine, "at least one server is missing";
    DatabaseBlocked, ActionNeeded, "CloudNativePG needs action";
    DatabaseHibernated, ActionNeeded, "the Cluster is hibernated: remove its annotation cnpg.io/hibernation";
    DataReplaced, ActionNeeded, "other data is there in place of that of the service";
    CredentialsTerminating, ActionNeeded, "the Secret with the passwords is being deleted";
    VolumeTerminating, ActionNeeded, "a claim in use is being deleted";
    VolumeLost, ActionNeeded, "the volume of a claim does not exist any more";
    VolumePending, ActionNeeded, "the claim for the data is not bound";
    VolumeNearlyFull, ActionNeeded, "the volume of the database is nearly full";
    PodRefused, ActionNeeded, "the API server refuses a pod";
    PodStuck, ActionNeeded, "a pod that is being deleted does not end";
    NodeLost, ActionNeeded, "the node of a pod does not answer";
    SidecarRunning, ActionNeeded, "a container that another party added does not end";
    Scheduling, Routine, "a pod waits for a node";
    Unschedulable, ActionNeeded, "no node can run a pod";
    ImagePullFailed, ActionNeeded, "a node cannot pull an image";
    ContainerNotStarted, ActionNeeded, "the kubelet cannot start a container";
    ContainerFailed, ActionNeeded, "a container ended with an error";
    MigrationWaiting, Routine, "the migration waits for the database";
    MigrationReplacing, Routine, "the migration waits until the earlier Job and its pods are gone";
    MigrationRunning, Routine, "the migration runs";
    MigrationRetrying, Routine, "the migration was interrupted and is tried again";
    DatabaseUnreachable, ActionNeeded, "the migration does not reach the database, and tries again";
    MigrationFailed, ActionNeeded, "the migration failed";
    MigrationSucceeded, Routine, "the schema is the one that the wanted image needs";
    Bootstrapping, Routine, "the backup that the service starts from is being restored";
    BootstrapStalled, ActionNeeded, "the backup that the service starts from is not restored without a person";
    Upgrading, Routine, "another version of the data is wanted, and the application is stopped until it serves";
    UpgradeFailed, ActionNeeded, "the change to another version of the data does not go on without a person";
    UpgradeBlocked, ActionNeeded, "another version of the data, or of its server, is wanted and not used: the former one goes on";
    SnapshotPending, Routine, "the resource is being deleted, and its last backup is not made yet";
    SnapshotFailed, ActionNeeded, "the last backup before the deletion failed or cannot be made, and nothing is deleted";
    Releasing, Routine, "the resource is being deleted, and its data gets the owner that deletionPolicy asks for";
    RolloutWaiting, Routine, "the application is not deployed yet";
    RollingOut, Routine, "not every replica runs the wanted version yet";
    RolloutStuck, ActionNeeded, "the rollout makes no progress";
    AddressPending, Routine, "the load balancer has no address yet";
    AutoscalerFailing, ActionNeeded, "the autoscaler cannot choose the number of pods";
    Verified, Routine, "the last backup was restored and compared, and none was missed";
    Disabled, Routine, "no backups are wanted: spec.backup";
    NeverRun, Routine, "no backup has been proved yet";
    Pending, Routine, "a backup was started, and its pod does not run yet";
    Running, Routine, "a backup is being made and proved";
    Suspended, ActionNeeded, "spec.backup.suspend is set: no backups are made";
    Stale, ActionNeeded, "no backup has been proved, although the schedule was due";
    BackupScheduleInvalid, ActionNeeded, "the schedule is not valid";
    BackupsLost, ActionNeeded, "the volume with the earlier backups was replaced: make a backup now";
    BackupFailed, ActionNeeded, "the last backup failed, and its program left no reason";
    DumpFailed, ActionNeeded, "the database could not be dumped";
    RestoreFailed, ActionNeeded, "the dump could not be restored, so it does not count";
    Mismatch, ActionNeeded, "the restored data is not that of the database, so the dump does not count";
    NotProved, ActionNeeded, "a dump was made, and it could not be tried whether it can be restored";
    DestinationFull, ActionNeeded, "the destination of the backups is full";
    DestinationDenied, ActionNeeded, "the destination refuses the backup";
    DestinationUnreachable, ActionNeeded, "the destination does not answer";
    Locked, ActionNeeded, "another backup, a migration or a lock on a table was in the way for too long";
    Privileges, ActionNeeded, "the role of the backups may not read everything";
    ToolTooOld, ActionNeeded, "PostgreSQL's programs are older than the database";
    ClockSkew, ActionNeeded, "the clock of the backup and that of the database or of earlier backups differ";
    Interrupted, ActionNeeded, "the last backup was interrupted";
    NoFault, Routine, "no action is needed";
    Active, Routine, "spec.paused is not set";
    DriftReverted, Routine, "a child that another client changed was restored";
}

impl Reason {
    /// The name, as in `status.conditions[].reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Message of a condition that has nothing more exact to report.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().2
    }

    /// Whether waiting alone does not help.
    #[must_use]
    pub fn needs_action(self) -> bool {
        self.row().1 == Severity::ActionNeeded
    }

    /// The reason of this name, when there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_explains_exactly_these_reasons() {
        let documented = crate::documented("conditions.md", "## Reasons");
        let known: BTreeSet<String> = Reason::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(documented, known);
        assert_eq!(known.len(), Reason::ALL.len());
    }

    /// An alert on a reason that does not exist never fires, and one without its section helps nobody.
    #[test]
    fn the_alerts_name_reasons_and_sections_that_exist() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
        let rules = read("manifests/components/alerts/alerts.yaml");
        let mut reasons = rules.split("reason=~\"").skip(1);
        let named = reasons.try_fold(0, |count, rest| {
            let mut names = rest.split('"').next()?.split('|');
            names
                .all(|name| Reason::from_name(name).is_some())
                .then_some(count + 1)
        });
        assert_eq!(named, Some(2));
        let sections: Vec<&str> = rules.split("documentation: ").skip(1).collect();
        assert_eq!(sections.len(), rules.matches("- alert:").count());
        for section in sections {
            let (page, anchor) = section.lines().next().unwrap().split_once('#').unwrap();
            let slug = |line: &str| {
                line.trim_start_matches(['#', ' '])
                    .to_lowercase()
                    .replace(' ', "-")
            };
            let page = read(page);
            let mut headings = page.lines().filter(|line| line.starts_with('#'));
            assert!(headings.any(|line| slug(line) == anchor), "{anchor}");
        }
    }

    /// A new reason needs a row in the table, too, and a removed one leaves none behind.
    #[test]
    fn each_reason_that_needs_action_has_its_next_command() {
        let known: BTreeSet<&str> = hello_crds::REASONS_WITH_A_COMMAND.iter().copied().collect();
        // A pause is as wanted, and it is good to know how it ends.
        let mut wanted = BTreeSet::from([Reason::Paused.as_str()]);
        let asking = Reason::ALL.iter().filter(|reason| reason.needs_action());
        wanted.extend(asking.map(|reason| reason.as_str()));
        assert_eq!(known, wanted, "crds/src/next.rs");
    }

    #[test]
    fn a_name_leads_back_to_its_reason() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::from_name("Surprise"), None);
    }
}
