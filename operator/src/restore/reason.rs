//! Reasons of the conditions of a restore: one table, which the documentation is compared with.

use std::fmt;

use crate::object::restore_result::Cause;

/// Makes [`Reason`] from its table: name, whether a person has to act, and the message that has nothing more exact.
macro_rules! reasons {
    ($($name:ident, $action:literal, $text:literal;)+) => {
        /// Why a restore is where it is. The names are part of the API; `docs/conditions.md` explains them.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason {
            $(#[doc = $text] $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Whether it does not go on without a person.
            #[must_use]
            pub const fn needs_action(self) -> bool {
                match self {
                    $(Self::$name => $action,)+
                }
            }

            /// The reason in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

reasons! {
    Queued, false, "another restore of the service comes first";
    StepRunning, false, "a step of another restore of the service is at work";
    ServiceMissing, true, "there is no HelloService of that name in the namespace";
    ServiceReplaced, true, "the HelloService that the restore was started for does not exist any more";
    ServicePaused, true, "spec.paused of the HelloService is set";
    ServiceInvalid, true, "the spec of the HelloService is not valid, or names what is missing";
    BackupsDisabled, true, "the HelloService has no backups, and the restore names no other place";
    SourceInvalid, true, "spec.source is not valid, or names what is missing";
    ServiceUpgrading, false, "the version of the service's data is being changed";
    DatabaseNotReady, false, "the database of the service is not ready";
    MigrationWaiting, false, "the schema of the service is not the one that its image needs yet";
    BackupRunning, false, "a backup of the service runs";
    Staging, false, "the backup is proved again and restored beside the live data";
    WaitingForConsent, true, "rows would be lost: set spec.acceptDataLoss, or delete the HelloRestore";
    Swapping, false, "the restored data takes the place of the live data";
    Completed, false, "the restored data serves";
    Undoing, false, "the former data takes its place again";
    Undone, false, "the former data serves again";
    Dropping, false, "the data that does not serve is removed";
    Discarding, false, "the staged data is removed";
    Retrying, false, "a step was interrupted and is tried again";
    NothingToUndo, true, "the former data was removed";
    LossNotAccepted, true, "what was written since the swap would be lost: set the annotation hello.internal/undo to accept-data-loss";
    Refused, true, "the restore cannot keep everything that is in the database";
    NotProved, true, "the proof of the backup could not be run";
    RestoreFailed, true, "the backup cannot be restored";
    Mismatch, true, "the restored data is not what the backup should contain";
    DestinationFull, true, "there is no room for the restored data";
    Locked, true, "another program holds the lock of migrations, backups and restores";
    Privileges, true, "the owner's role lacks a right";
    Interrupted, true, "the step was interrupted";
    Failed, true, "the Job of the step failed";
    NoResult, true, "the Job of the step reported nothing that can be read: is the image that of the operator's version?";
    JobRefused, true, "the API server refuses the Job of the step";
    InternalError, true, "the operator failed on this resource";
}

impl Reason {
    /// The reason of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| format!("{reason:?}") == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::LossNotAccepted => Self::LossNotAccepted,
            Cause::Refused => Self::Refused,
            Cause::NotProved => Self::NotProved,
            Cause::RestoreFailed => Self::RestoreFailed,
            Cause::Mismatch => Self::Mismatch,
            Cause::DestinationFull => Self::DestinationFull,
            Cause::Locked => Self::Locked,
            Cause::Privileges => Self::Privileges,
            Cause::Interrupted => Self::Interrupted,
            Cause::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_that_needs_action_has_its_next_command() {
        let known = hello_crds::RESTORE_REASONS_WITH_A_COMMAND;
        let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
        let asking = Reason::ALL.iter().filter(|reason| reason.needs_action());
        let wanted: BTreeSet<String> = asking.map(Reason::to_string).collect();
        assert_eq!(known, wanted, "crds/src/next.rs");
    }

    #[test]
    fn the_documentation_explains_exactly_these_reasons() {
        let documented = crate::documented("conditions.md", "### Reasons of a restore");
        let known: BTreeSet<String> = Reason::ALL.iter().map(Reason::to_string).collect();
        assert_eq!(documented, known);
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(&reason.to_string()), Some(*reason));
        }
        assert_eq!(Reason::from_name("Surprise"), None);
    }
}
