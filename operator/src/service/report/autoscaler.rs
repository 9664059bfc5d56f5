//! What is reported about an autoscaler that cannot work.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
};

use crate::{
    object::names,
    service::{
        apply::Applied,
        report::{
            finding::{Finding, yes},
            reason::Reason,
        },
        validate::{Scaling, Validated},
    },
};

/// New pods have no metrics for a while, so an autoscaler that is blind for less is not reported.
const BLIND: Duration = Duration::from_secs(180);

/// What keeps the autoscaler from choosing the number of pods, in its own words.
pub fn finding(service: &Validated, applied: &Applied, now: Timestamp) -> Option<Finding> {
    let Scaling::Auto { .. } = service.scaling else {
        return None;
    };
    let name = names::app(&service.identity.name);
    let autoscaler = applied.live().typed::<HorizontalPodAutoscaler>(&name)?;
    let conditions = autoscaler.status.as_ref()?.conditions.iter().flatten();
    let mut failing = conditions.filter(|condition| is_failing(condition, now));
    let condition = failing.next()?;
    let reason = condition.reason.as_deref().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or_default();
    Some(yes(Reason::AutoscalerFailing).with(format!("{reason}: {message}")))
}

fn is_failing(condition: &HorizontalPodAutoscalerCondition, now: Timestamp) -> bool {
    let since = condition.last_transition_time.as_ref();
    let lasts = since.is_none_or(|since| {
        Duration::try_from(now.duration_since(since.0)).is_ok_and(|age| age >= BLIND)
    });
    matches!(&*condition.type_, "ScalingActive" | "AbleToScale")
        && condition.status == "False"
        && match condition.reason.as_deref() {
            // Two autoscalers on the same pods: this does not pass.
            Some("AmbiguousSelector") => true,
            // The Deployment has no pods, which is drift that is reverted.
            Some("ScalingDisabled") => false,
            _ => lasts,
        }
}
