//! Conditions from findings, with the time of their last transition.

use hello_crds::{ConditionType, HelloServiceStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::service::report::finding::Finding;

/// Conditions in the order of the findings. The time of one changes only with its status.
pub fn conditions(
    findings: &[(ConditionType, Finding)],
    generation: i64,
    old: Option<&HelloServiceStatus>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .iter()
        .map(|(type_, finding)| {
            let status = if finding.holds { "True" } else { "False" };
            let before = old
                .and_then(|old| find(old, *type_))
                .filter(|before| before.status == status);
            Condition {
                type_: type_.to_string(),
                status: status.into(),
                reason: finding.reason.to_string(),
                message: finding.message.clone(),
                observed_generation: Some(generation),
                last_transition_time: before
                    .map_or(Time(now), |before| before.last_transition_time.clone()),
            }
        })
        .collect()
}

/// The condition of this type, when the status has it.
pub fn find(status: &HelloServiceStatus, type_: ConditionType) -> Option<&Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_.as_str())
}

/// Whether the condition of this type is `True`.
pub fn holds(status: &HelloServiceStatus, type_: ConditionType) -> bool {
    find(status, type_).is_some_and(|condition| condition.status == "True")
}

/// Since when a service is not ready; `None` when it is, or was never reported on.
#[must_use]
pub fn not_ready_since(status: &HelloServiceStatus) -> Option<Timestamp> {
    let ready = find(status, ConditionType::Ready)?;
    (ready.status == "False").then_some(ready.last_transition_time.0)
}

/// Whether a status is that of a service that is ready.
#[must_use]
pub fn is_ready(status: &HelloServiceStatus) -> bool {
    holds(status, ConditionType::Ready)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_not_ready_since_its_condition_is_false() {
        let since = "2026-01-01T00:00:00Z";
        let found = |type_: &str, status: &str| {
            let condition = json!({"type": type_, "status": status, "reason": "", "message": "",
                "lastTransitionTime": since});
            let status = serde_json::from_value(json!({"conditions": [condition]}));
            not_ready_since(&status.unwrap())
        };
        assert_eq!(found("Ready", "False"), since.parse().ok());
        assert_eq!(found("Ready", "True"), None);
        assert_eq!(found("Migrated", "False"), None);
    }
}
