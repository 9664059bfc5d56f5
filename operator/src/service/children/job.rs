//! What the Jobs have in common.

use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};

/// Exit code of `hello-app` when another attempt would fail as well.
const EXIT_REFUSED: i32 = 65;

/// What a failed pod means, by the end of this container. Whatever no rule is about counts as an attempt.
pub fn failure_policy(container: &str) -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "FailJob".into(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(container.into()),
                    operator: "In".into(),
                    values: vec![EXIT_REFUSED],
                }),
                on_pod_conditions: None,
            },
            // Evicted, preempted, or its node was lost: that says nothing about the work.
            PodFailurePolicyRule {
                action: "Ignore".into(),
                on_exit_codes: None,
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".into(),
                    status: Some("True".into()),
                }]),
            },
        ],
    }
}
