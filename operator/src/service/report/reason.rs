//! Reasons of conditions and events: a closed list, so that documentation and code can be compared.

use std::fmt;

/// Why a condition is as it is. The names are part of the API; `docs/conditions.md` explains them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(missing_docs)] // docs/conditions.md has them, and a test keeps the two together.
pub enum Reason {
    Serving,
    Paused,
    InvalidSpec,
    ReferenceMissing,
    Conflict,
    Refused,
    ApiMissing,
    ExternalDatabase,
    DatabaseServing,
    DatabaseStarting,
    DatabaseLeaving,
    DatabaseDegraded,
    DatabaseBlocked,
    DatabaseHibernated,
    VolumePending,
    VolumeNearlyFull,
    Unschedulable,
    ImagePullFailed,
    ContainerNotStarted,
    ContainerFailed,
    MigrationWaiting,
    MigrationReplacing,
    MigrationRunning,
    MigrationFailed,
    MigrationSucceeded,
    RolloutWaiting,
    RollingOut,
    RolloutStuck,
    RolledOut,
    NoFault,
    Active,
    DriftUndone,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 32] = [
        Self::Serving,
        Self::Paused,
        Self::InvalidSpec,
        Self::ReferenceMissing,
        Self::Conflict,
        Self::Refused,
        Self::ApiMissing,
        Self::ExternalDatabase,
        Self::DatabaseServing,
        Self::DatabaseStarting,
        Self::DatabaseLeaving,
        Self::DatabaseDegraded,
        Self::DatabaseBlocked,
        Self::DatabaseHibernated,
        Self::VolumePending,
        Self::VolumeNearlyFull,
        Self::Unschedulable,
        Self::ImagePullFailed,
        Self::ContainerNotStarted,
        Self::ContainerFailed,
        Self::MigrationWaiting,
        Self::MigrationReplacing,
        Self::MigrationRunning,
        Self::MigrationFailed,
        Self::MigrationSucceeded,
        Self::RolloutWaiting,
        Self::RollingOut,
        Self::RolloutStuck,
        Self::RolledOut,
        Self::NoFault,
        Self::Active,
        Self::DriftUndone,
    ];

    /// Whether waiting alone does not help.
    #[must_use]
    pub const fn needs_person(self) -> bool {
        match self {
            Self::InvalidSpec
            | Self::ReferenceMissing
            | Self::Conflict
            | Self::Refused
            | Self::ApiMissing
            | Self::DatabaseBlocked
            | Self::DatabaseHibernated
            | Self::VolumePending
            | Self::VolumeNearlyFull
            | Self::Unschedulable
            | Self::ImagePullFailed
            | Self::ContainerNotStarted
            | Self::ContainerFailed
            | Self::MigrationFailed
            | Self::RolloutStuck => true,
            Self::Serving
            | Self::Paused
            | Self::ExternalDatabase
            | Self::DatabaseServing
            | Self::DatabaseStarting
            | Self::DatabaseLeaving
            | Self::DatabaseDegraded
            | Self::MigrationWaiting
            | Self::MigrationReplacing
            | Self::MigrationRunning
            | Self::MigrationSucceeded
            | Self::RolloutWaiting
            | Self::RollingOut
            | Self::RolledOut
            | Self::NoFault
            | Self::Active
            | Self::DriftUndone => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
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
}
