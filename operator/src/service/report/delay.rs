//! Which status can wait. Each one is a write, and an event: steps that are over in a moment are
//! not worth that.

use std::time::Duration;

use hello_crds::HelloServiceStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::service::report::condition;

/// For so long after a resource set out for its wanted state only the start and the end are told;
/// after that, every step.
pub const QUIET: Duration = Duration::from_secs(5);

/// Conditions whose change is always told at once.
const NEWS: [&str; 4] = [
    condition::READY,
    condition::PROGRESSING,
    condition::DEGRADED,
    condition::PAUSED,
];

/// How long the new status can be kept back; `None` when it is to be written now.
#[must_use]
pub fn hold_back(
    old: Option<&HelloServiceStatus>,
    new: &HelloServiceStatus,
    now: Timestamp,
) -> Option<Duration> {
    let old = old?;
    let set_out =
        find(old, condition::PROGRESSING).filter(|condition| condition.status == "True")?;
    let only_a_step = old != new
        && old.observed_generation == new.observed_generation
        && NEWS
            .iter()
            .all(|type_| state(old, type_) == state(new, type_));
    if !only_a_step {
        return None;
    }
    // A time in the future is another node's clock: better a write too many than a long silence.
    let age = Duration::try_from(now.duration_since(set_out.last_transition_time.0)).ok()?;
    QUIET.checked_sub(age).filter(|left| !left.is_zero())
}

fn find<'a>(status: &'a HelloServiceStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == type_)
}

fn state<'a>(status: &'a HelloServiceStatus, type_: &str) -> Option<&'a str> {
    find(status, type_).map(|condition| condition.status.as_str())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

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

    fn on_the_way(reason: &str) -> HelloServiceStatus {
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
    fn a_step_on_the_way_waits_until_the_quiet_time_is_over() {
        let (old, new) = (on_the_way("DatabaseStarting"), on_the_way("RollingOut"));
        assert_eq!(hold_back(Some(&old), &new, START), Some(QUIET));
        let left = hold_back(Some(&old), &new, START + Duration::from_secs(2));
        assert_eq!(left, Some(Duration::from_secs(3)));
        assert_eq!(hold_back(Some(&old), &new, START + QUIET), None);
    }

    #[test]
    fn a_clock_that_is_behind_holds_nothing_back() {
        let (old, new) = (on_the_way("DatabaseStarting"), on_the_way("RollingOut"));
        let before = START - Duration::from_secs(1);
        assert_eq!(hold_back(Some(&old), &new, before), None);
    }

    #[test]
    fn the_start_the_end_trouble_and_a_new_generation_are_told_at_once() {
        let old = on_the_way("DatabaseStarting");
        assert_eq!(hold_back(None, &old, START), None);
        let ready = status(&[("Ready", "True"), ("Progressing", "False")], "Serving");
        assert_eq!(hold_back(Some(&old), &ready, START), None);
        assert_eq!(hold_back(Some(&ready), &old, START), None);
        let mut failed = on_the_way("MigrationFailed");
        failed.conditions[2].status = "True".into();
        assert_eq!(hold_back(Some(&old), &failed, START), None);
        let mut edited = on_the_way("DatabaseStarting");
        edited.observed_generation = Some(2);
        assert_eq!(hold_back(Some(&old), &edited, START), None);
        // And what is the same is not waited for.
        assert_eq!(hold_back(Some(&old), &old, START), None);
    }
}
