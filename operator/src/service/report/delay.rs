//! Which status can wait. Each one is a write and an event, which steps that end within a moment are not worth.

use std::time::Duration;

use hello_crds::{BootstrapPhase, ConditionType, HelloServiceStatus, OrderedBackup, UpgradeStatus};
use jiff::Timestamp;

use crate::service::report::conditions::find;

/// For so long after a change began only its start, its end and failures are reported; after that, every step.
pub const QUIET: Duration = Duration::from_secs(5);

/// Conditions whose change is always reported at once.
const IMMEDIATE: [ConditionType; 4] = [
    ConditionType::Ready,
    ConditionType::Progressing,
    ConditionType::Degraded,
    ConditionType::Paused,
];

/// How long the new status can be held back; `None` when it is to be written now.
#[must_use]
pub fn hold_back(
    old: Option<&HelloServiceStatus>,
    new: &HelloServiceStatus,
    now: Timestamp,
) -> Option<Duration> {
    let old = old?;
    let start = find(old, ConditionType::Progressing).filter(|c| c.status == "True")?;
    let only_a_step = old != new
        && old.observed_generation == new.observed_generation
        && bootstrap(old) == bootstrap(new)
        && ordered(old) == ordered(new)
        && upgrade(old) == upgrade(new)
        && IMMEDIATE
            .iter()
            .all(|type_| state(old, *type_) == state(new, *type_));
    if !only_a_step {
        return None;
    }
    // A time in the future is another node's clock: better one write too many than a long silence.
    let age = Duration::try_from(now.duration_since(start.last_transition_time.0)).ok()?;
    QUIET.checked_sub(age).filter(|left| !left.is_zero())
}

/// What the application waits for to be stored.
fn bootstrap(status: &HelloServiceStatus) -> Option<BootstrapPhase> {
    let database = status.database.as_ref()?;
    database.bootstrap.as_ref().map(|known| known.phase)
}

/// What a change of the data's version waits for to be stored.
fn upgrade(status: &HelloServiceStatus) -> Option<&UpgradeStatus> {
    status.database.as_ref()?.upgrade.as_ref()
}

/// What a deletion waits for to be stored.
fn ordered(status: &HelloServiceStatus) -> Option<&OrderedBackup> {
    status.backup.as_ref()?.ordered.as_ref()
}

fn state(status: &HelloServiceStatus, type_: ConditionType) -> Option<&str> {
    find(status, type_).map(|condition| condition.status.as_str())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn status(conditions: &[(&str, &str)], reason: &str) -> HelloServiceStatus {
        HelloServiceStatus {
            observed_generation: Some(1),
            conditions: conditions
                .iter()
                .map(|(type_, status)| Condition {
                    type_: (*type_).into(),
                    status: (*status).into(),
                    reason: reason.into(),
                    message: String::new(),
                    observed_generation: Some(1),
                    last_transition_time: Time(START),
                })
                .collect(),
            ..HelloServiceStatus::default()
        }
    }

    fn progressing(reason: &str) -> HelloServiceStatus {
        status(
            &[
                ("Ready", "False"),
                ("Progressing", "True"),
                ("Degraded", "False"),
            ],
            reason,
        )
    }

    #[test]
    fn a_step_of_a_change_waits_until_the_quiet_time_is_over() {
        let (old, new) = (progressing("DatabaseStarting"), progressing("RollingOut"));
        assert_eq!(hold_back(Some(&old), &new, START), Some(QUIET));
        let left = hold_back(Some(&old), &new, START + Duration::from_secs(2));
        assert_eq!(left, Some(Duration::from_secs(3)));
        assert_eq!(hold_back(Some(&old), &new, START + QUIET), None);
    }

    #[test]
    fn a_clock_that_is_behind_holds_nothing_back() {
        let (old, new) = (progressing("DatabaseStarting"), progressing("RollingOut"));
        let before = START - Duration::from_secs(1);
        assert_eq!(hold_back(Some(&old), &new, before), None);
    }

    #[test]
    fn the_start_the_end_a_failure_and_a_new_generation_are_reported_at_once() {
        let old = progressing("DatabaseStarting");
        assert_eq!(hold_back(None, &old, START), None);
        let ready = status(&[("Ready", "True"), ("Progressing", "False")], "Serving");
        assert_eq!(hold_back(Some(&old), &ready, START), None);
        assert_eq!(hold_back(Some(&ready), &old, START), None);
        let mut failed = progressing("MigrationFailed");
        failed.conditions[2].status = "True".into();
        assert_eq!(hold_back(Some(&old), &failed, START), None);
        let mut edited = progressing("DatabaseStarting");
        edited.observed_generation = Some(2);
        assert_eq!(hold_back(Some(&old), &edited, START), None);
        // An equal status needs no write, so there is nothing to wait for.
        assert_eq!(hold_back(Some(&old), &old, START), None);
    }
}
