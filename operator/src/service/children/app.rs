//! The API: Deployment, Service, autoscaler and disruption budget.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        autoscaling::v2::{
            CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
            MetricSpec, MetricTarget, ResourceMetricSource,
        },
        core::v1::{
            Container, ContainerPort, HTTPGetAction, PodTemplateSpec, Probe, Service, ServicePort,
            ServiceSpec, TopologySpreadConstraint,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{database::kind::DatabaseKind, environment, metadata::owned, pod};
use crate::{
    object::names::{self, Component},
    service::validate::{Scaling, Validated},
};

/// Port of the API.
pub const HTTP_PORT: u16 = 8080;
/// Port of probes and metrics.
pub const ADMIN_PORT: u16 = 9090;

/// Metadata of the children that have the service's own name.
pub fn meta(service: &Validated) -> ObjectMeta {
    owned(service, names::app(&service.identity.name), Component::App)
}

fn select(service: &Validated) -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::selector(&service.identity.name, Component::App)),
        match_expressions: None,
    }
}

/// The Deployment, without its replicas: another field manager has their number.
pub fn deployment(service: &Validated, database: &dyn DatabaseKind) -> Deployment {
    Deployment {
        metadata: meta(service),
        spec: Some(DeploymentSpec {
            selector: select(service),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::String("25%".into())),
                }),
            }),
            revision_history_limit: Some(3),
            progress_deadline_seconds: Some(120),
            template: template(service, database),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn template(service: &Validated, database: &dyn DatabaseKind) -> PodTemplateSpec {
    let instance = &service.identity.name;
    let address = database.address(Component::App);
    let settings = environment::settings(service);
    let container = Container {
        env: Some([address.variables, settings.env].concat()),
        ports: Some(vec![port("http", HTTP_PORT), port("admin", ADMIN_PORT)]),
        resources: Some(pod::resources(&service.resources)),
        volume_mounts: Some([vec![address.mount], settings.mounts].concat()),
        readiness_probe: Some(probe("/readyz", 1, 3)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        ..pod::container(service, "app", service.image.as_str())
    };
    let volumes = [vec![address.volume], settings.volumes].concat();
    let mut spec = pod::spec(service, pod::APP_USER, vec![container], volumes);
    spec.termination_grace_period_seconds = Some(40);
    spec.topology_spread_constraints = Some(
        ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            .map(|key| spread(service, key))
            .into(),
    );
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(instance, Component::App)),
            annotations: database.app_annotations(),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("admin".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn spread(service: &Validated, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        topology_key: key.into(),
        max_skew: 1,
        // The loss of a zone must not keep pods in the others from starting.
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(select(service)),
        // Old and new pods of a rollout are spread apart from each other.
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        ..TopologySpreadConstraint::default()
    }
}

/// The Service in front of the pods.
pub fn service(service: &Validated) -> Service {
    let expose = &service.expose;
    Service {
        metadata: meta(service),
        spec: Some(ServiceSpec {
            type_: Some(expose.service_type.as_str().into()),
            selector: Some(names::selector(&service.identity.name, Component::App)),
            ports: Some(vec![ServicePort {
                name: Some(port_name(service).into()),
                port: expose.port.get().into(),
                // The same name with TLS: with another one, the Service would drop all pods of the old template at once.
                target_port: Some(IntOrString::String("http".into())),
                app_protocol: service.tls.as_ref().map(|_| "https".into()),
                node_port: expose.node_port.map(|port| port.get().into()),
                protocol: Some("TCP".into()),
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Name of the Service's port: its protocol.
pub fn port_name(service: &Validated) -> &'static str {
    match service.tls {
        Some(_) => "https",
        None => "http",
    }
}

/// The autoscaler, when asked for.
pub fn autoscaler(service: &Validated) -> Option<HorizontalPodAutoscaler> {
    let Scaling::Auto {
        min,
        max,
        cpu_percent,
    } = service.scaling
    else {
        return None;
    };
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
            metrics: Some(vec![MetricSpec {
                type_: "Resource".into(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".into(),
                    target: MetricTarget {
                        type_: "Utilization".into(),
                        average_utilization: Some(cpu_percent),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        },
        status: None,
    })
}

/// Lets a drain evict one pod at a time.
pub fn disruption_budget(service: &Validated) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta(service),
        spec: Some(PodDisruptionBudgetSpec {
            selector: Some(select(service)),
            // Not minAvailable: a service of one replica must not block a drain forever.
            max_unavailable: Some(IntOrString::Int(1)),
            // A pod that is not ready serves no requests and may always be evicted.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
