//! How many application pods there are: the autoscaler and the disruption budget.

use k8s_openapi::{
    api::{
        autoscaling::v2::{
            CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
            MetricSpec, MetricTarget, ResourceMetricSource,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::app::{meta, select};
use crate::{
    object::names,
    service::validate::{Scaling, Validated},
};

/// The autoscaler, when asked for.
pub fn autoscaler(service: &Validated) -> Option<HorizontalPodAutoscaler> {
    let Scaling::Auto {
        min,
        max,
        cpu_percent,
        memory_percent,
    } = service.scaling
    else {
        return None;
    };
    let memory = memory_percent.map(|percent| metric("memory", percent));
    let metrics = std::iter::once(metric("cpu", cpu_percent)).chain(memory);
    Some(HorizontalPodAutoscaler {
        metadata: meta(service),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: names::app(&service.identity.name),
            },
            min_replicas: Some(min),
            max_replicas: max,
            metrics: Some(metrics.collect()),
            behavior: service.scaling_behavior.clone(),
        },
        status: None,
    })
}

/// Keeps the use of a resource at this percentage of its request.
fn metric(resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource {
            name: resource.into(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// Lets a drain evict one pod at a time, unless the spec says otherwise.
pub fn disruption_budget(service: &Validated) -> PodDisruptionBudget {
    let given = service.disruption_budget.as_ref();
    // Not minAvailable: a service of one replica must not block a drain forever.
    let one = given.is_none().then_some(IntOrString::Int(1));
    PodDisruptionBudget {
        metadata: meta(service),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(select(service)),
            max_unavailable: given
                .and_then(|budget| budget.max_unavailable.clone())
                .or(one),
            min_available: given.and_then(|budget| budget.min_available.clone()),
            // A pod that is not ready serves no requests and may always be evicted.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
        }),
        status: None,
    }
}
