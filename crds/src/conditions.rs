//! The types of conditions in `status.conditions`: one table of names and meanings.

use std::fmt;

/// Type of a condition of a `HelloService`. The names are part of the API.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // `row` has the meaning of each.
pub enum ConditionType {
    Ready,
    Progressing,
    Degraded,
    DatabaseReady,
    Migrated,
    BackupVerified,
    Paused,
}

impl ConditionType {
    /// Every type, in the order of the status.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Progressing,
        Self::Degraded,
        Self::DatabaseReady,
        Self::Migrated,
        Self::BackupVerified,
        Self::Paused,
    ];

    /// The table: name, and when the condition is `True`.
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Ready => (
                "Ready",
                "all components match the spec and the service answers requests",
            ),
            Self::Progressing => (
                "Progressing",
                "a change is in progress and no action is needed",
            ),
            Self::Degraded => (
                "Degraded",
                "action is needed, which the reason and the message name",
            ),
            Self::DatabaseReady => (
                "DatabaseReady",
                "the database is ready and matches the spec",
            ),
            Self::Migrated => (
                "Migrated",
                "the database schema is the one that the wanted image needs",
            ),
            Self::BackupVerified => (
                "BackupVerified",
                "the last backup was restored and compared, and none was missed; the reason Disabled says that none are wanted",
            ),
            Self::Paused => (
                "Paused",
                "spec.paused is set, and the operator changes nothing except the status",
            ),
        }
    }

    /// The name, as in `status.conditions[].type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// When the condition is `True`: a clause without a full stop.
    #[must_use]
    pub const fn description(self) -> &'static str {
        self.row().1
    }

    /// Description of the field `status.conditions`: every type with its meaning.
    pub(crate) fn describe_all() -> String {
        let meanings =
            Self::ALL.map(|type_| format!("{type_} is True when {}.", type_.description()));
        format!("State of the service. {}", meanings.join(" "))
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_those_of_the_variants() {
        let names: BTreeSet<&str> = ConditionType::ALL.map(ConditionType::as_str).into();
        assert_eq!(names.len(), ConditionType::ALL.len());
        for type_ in ConditionType::ALL {
            assert_eq!(type_.as_str(), format!("{type_:?}"));
        }
    }

    #[test]
    fn descriptions_are_clauses_and_all_are_in_the_schema() {
        let all = ConditionType::describe_all();
        for type_ in ConditionType::ALL {
            let description = type_.description();
            assert!(!description.ends_with('.'), "{type_}: {description}");
            assert!(
                all.contains(&format!("{type_} is True when {description}.")),
                "{all}"
            );
        }
    }
}
