//! The API: Deployment and Service.

use hello_crds::ProbeTiming;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        batch::v1::Job,
        core::v1::{
            Container, ContainerPort, HTTPGetAction, PodTemplateSpec, Probe, Service, ServicePort,
            ServiceSpec, TopologySpreadConstraint,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{database::kind::DatabaseKind, environment, metadata::owned, pod};
use crate::{
    object::names::{self, Component},
    service::validate::Validated,
};

/// Port of the API.
pub const HTTP_PORT: u16 = 8080;
/// Port of probes and metrics.
pub const ADMIN_PORT: u16 = 9090;

/// Metadata of the children that have the service's own name.
pub fn meta(service: &Validated) -> ObjectMeta {
    owned(service, names::app(&service.identity.name), Component::App)
}

/// Selects the application's pods.
pub fn select(service: &Validated) -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::selector(&service.identity.name, Component::App)),
        match_expressions: None,
    }
}

/// The Deployment, without its replicas: another field manager has their number.
///
/// `migration` is the one that comes before its template. The name is recorded on it: it is written only once that
/// migration has succeeded, so it is known to have, also when its Job is gone.
pub fn deployment(
    service: &Validated,
    database: &dyn DatabaseKind,
    migration: Option<&Job>,
) -> Deployment {
    let mut metadata = meta(service);
    metadata.annotations = migration.map(|job| {
        let name = job.metadata.name.clone().unwrap_or_default();
        [(names::MIGRATION_ANNOTATION.to_owned(), name)].into()
    });
    Deployment {
        metadata,
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
    let address = database.address(Component::App);
    let settings = environment::settings(service);
    // Also against one in a Secret or ConfigMap of the user's. Images of earlier versions name an address of their own.
    let port_variable = pod::env("PORT", HTTP_PORT.to_string());
    let container = Container {
        env: Some([vec![port_variable], address.variables, settings.env].concat()),
        ports: Some(vec![port("http", HTTP_PORT), port("admin", ADMIN_PORT)]),
        resources: Some(pod::resources(&service.pods.of(Component::App).resources)),
        volume_mounts: Some([vec![address.mount], settings.mounts].concat()),
        readiness_probe: Some(probe("/readyz", 1, service.probes.readiness.as_ref())),
        liveness_probe: Some(probe("/livez", 10, service.probes.liveness.as_ref())),
        ..pod::container(service, "app", service.image.as_str())
    };
    let volumes = [vec![address.volume], settings.volumes].concat();
    let mut spec = pod::spec(service, Component::App, vec![container], volumes);
    spec.termination_grace_period_seconds = Some(40);
    spec.topology_spread_constraints = Some(
        ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            .map(|key| spread(service, key))
            .into(),
    );
    pod::template(service, Component::App, database.app_annotations(), spec)
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, timing: Option<&ProbeTiming>) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.into()),
        port: IntOrString::String("admin".into()),
        ..HTTPGetAction::default()
    };
    Probe {
        http_get: Some(get),
        ..pod::probe(timing, period, 2, 3)
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
    let given = &expose.service;
    let mut metadata = meta(service);
    metadata.annotations = Some(given.annotations.clone()).filter(|all| !all.is_empty());
    let ranges = given.load_balancer_source_ranges.clone();
    let families = given.ip_families.iter();
    let families: Vec<String> = families.map(|family| family.as_str().into()).collect();
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(given.type_.as_str().into()),
            selector: Some(names::selector(&service.identity.name, Component::App)),
            ports: Some(vec![service_port(service)]),
            load_balancer_class: given.load_balancer_class.clone(),
            load_balancer_source_ranges: Some(ranges).filter(|ranges| !ranges.is_empty()),
            external_traffic_policy: given
                .external_traffic_policy
                .map(|policy| policy.as_str().into()),
            ip_family_policy: given.ip_family_policy.map(|policy| policy.as_str().into()),
            ip_families: Some(families).filter(|families| !families.is_empty()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn service_port(service: &Validated) -> ServicePort {
    let expose = &service.expose;
    ServicePort {
        name: Some(port_name(service).into()),
        port: expose.port.get().into(),
        // The same name with TLS: with another one, the Service would drop all pods of the old template at once.
        target_port: Some(IntOrString::String("http".into())),
        app_protocol: service.tls.as_ref().map(|_| "https".into()),
        node_port: expose.node_port.map(|port| port.get().into()),
        protocol: Some("TCP".into()),
    }
}

/// Name of the Service's port: its protocol.
pub fn port_name(service: &Validated) -> &'static str {
    match service.tls {
        Some(_) => "https",
        None => "http",
    }
}
