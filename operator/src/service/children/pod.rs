//! What all pods have in common.

use std::collections::BTreeMap;

use hello_crds::ProbeTiming;
use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
        KeyToPath, LocalObjectReference, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
        ResourceRequirements, SecretKeySelector, SecretProjection, SecretVolumeSource,
        SecurityContext, Volume, VolumeMount, VolumeProjection,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{account, settings};
use crate::{
    object::names::{self, Component},
    service::validate::{Authorities, Resources, Source, Validated},
};

/// Files from Secrets can be read by the pod's group and by nobody else.
const SECRET_MODE: i32 = 0o440;

/// Pods that the restricted Pod Security profile admits, with the settings of their part. The first container is the
/// part's own, which gets the settings of containers.
pub fn template(
    service: &Validated,
    part: Component,
    annotations: Option<BTreeMap<String, String>>,
    spec: PodSpec,
) -> PodTemplateSpec {
    let settings = service.pods.of(part);
    let mut labels = settings.labels.clone();
    labels.extend(names::labels(&service.identity.name, part));
    let mut all = settings.annotations.clone();
    all.extend(annotations.unwrap_or_default());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(all).filter(|all| !all.is_empty()),
            ..ObjectMeta::default()
        }),
        spec: Some(settings::applied(service, part, spec)),
    }
}

/// The pod of one part, before its settings.
pub fn spec(
    service: &Validated,
    part: Component,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
) -> PodSpec {
    let secrets: Vec<LocalObjectReference> = service
        .pull_secrets
        .iter()
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    PodSpec {
        containers,
        volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
        image_pull_secrets: Some(secrets).filter(|secrets| !secrets.is_empty()),
        service_account_name: Some(account::name(service, part)),
        automount_service_account_token: Some(false),
        // Service links would add an environment variable per Service of the namespace.
        enable_service_links: Some(false),
        security_context: Some(settings::security(service, part)),
        ..PodSpec::default()
    }
}

/// A container that the restricted Pod Security profile admits, with a read-only root.
pub fn container(service: &Validated, name: &str, image: &str) -> Container {
    Container {
        name: name.into(),
        image: Some(image.into()),
        image_pull_policy: service.pull_policy.map(|policy| policy.as_str().into()),
        // The end of the log explains a failure in the pod's own status: no right on logs is needed.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A text in which the kubelet replaces nothing: it puts the value of the variable in place of `$(NAME)`.
pub fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// An environment variable.
pub fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(literal(&value.into())),
        value_from: None,
    }
}

/// Resources in the core API's form.
pub fn resources(resources: &Resources) -> ResourceRequirements {
    let amounts = [("cpu", &resources.cpu), ("memory", &resources.memory)];
    let limits: BTreeMap<String, Quantity> = amounts
        .into_iter()
        .filter_map(|(name, amount)| Some((name.into(), quantity(amount.limit.as_ref()?.as_str()))))
        .collect();
    ResourceRequirements {
        requests: Some(
            amounts
                .map(|(name, amount)| (name.into(), quantity(amount.request.as_str())))
                .into(),
        ),
        limits: Some(limits).filter(|limits| !limits.is_empty()),
        claims: None,
    }
}

fn quantity(text: &str) -> Quantity {
    Quantity(text.to_owned())
}

/// Resources of a container beside the part's own: small ones, with a limit wherever that has one, because a quota on
/// limits refuses a pod with a container without them.
pub fn helper_resources(service: &Validated, part: Component) -> ResourceRequirements {
    let own = &service.pods.of(part).resources;
    let limits: BTreeMap<String, Quantity> =
        [("cpu", &own.cpu, "200m"), ("memory", &own.memory, "64Mi")]
            .into_iter()
            .filter(|(_, own, _)| own.limit.is_some())
            .map(|(name, _, amount)| (name.into(), quantity(amount)))
            .collect();
    ResourceRequirements {
        requests: Some(
            [("cpu", "20m"), ("memory", "32Mi")]
                .map(|(name, amount)| (name.into(), quantity(amount)))
                .into(),
        ),
        limits: Some(limits).filter(|limits| !limits.is_empty()),
        claims: None,
    }
}

/// A probe that asks nothing yet, with the timing of the spec or the default one.
pub fn probe(given: Option<&ProbeTiming>, period: i32, timeout: i32, failures: i32) -> Probe {
    let or = |value: fn(&ProbeTiming) -> Option<i32>, default| {
        Some(given.and_then(value).unwrap_or(default))
    };
    Probe {
        period_seconds: or(|timing| timing.period_seconds, period),
        timeout_seconds: or(|timing| timing.timeout_seconds, timeout),
        failure_threshold: or(|timing| timing.failure_threshold, failures),
        ..Probe::default()
    }
}

/// A directory in memory, at most of this size; without one, of the size that the container's memory allows.
pub fn memory(name: &str, size: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".into()),
            size_limit: size.map(quantity),
        }),
        ..Volume::default()
    }
}

/// An empty directory.
pub fn empty_dir(name: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

/// Mounts a volume.
pub fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// A variable with the value of a key of a Secret. Without the Secret, or the key unless it is optional, the kubelet does not
/// start the container, and the pod's status says so.
pub fn secret_env(name: &str, secret: &str, key: &str, optional: bool) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.into(),
                key: key.into(),
                optional: optional.then_some(true),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// The file of authorities that the spec names, as a file of this name.
pub fn authorities_volume(name: &str, authorities: &Authorities, file: &str) -> Volume {
    let (object, key) = (authorities.name.as_str(), authorities.key.as_str());
    match authorities.source {
        Source::Secret => secret_volume(name, object, &[(key, file)]),
        Source::ConfigMap => Volume {
            name: name.into(),
            config_map: Some(ConfigMapVolumeSource {
                name: object.into(),
                items: Some(paths(&[(key, file)])),
                default_mode: Some(SECRET_MODE),
                optional: None,
            }),
            ..Volume::default()
        },
    }
}

/// Keys of a Secret as files.
pub fn secret_volume(name: &str, secret: &str, items: &[(&str, &str)]) -> Volume {
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            items: Some(paths(items)),
            default_mode: Some(SECRET_MODE),
            optional: None,
        }),
        ..Volume::default()
    }
}

/// Keys of several Secrets as files of one folder.
pub fn secrets_volume(name: &str, secrets: &[(String, &[(&str, &str)])]) -> Volume {
    let sources = secrets
        .iter()
        .map(|(secret, items)| VolumeProjection {
            secret: Some(SecretProjection {
                name: secret.clone(),
                items: Some(paths(items)),
                optional: None,
            }),
            ..VolumeProjection::default()
        })
        .collect();
    Volume {
        name: name.into(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(SECRET_MODE),
            sources: Some(sources),
        }),
        ..Volume::default()
    }
}

fn paths(items: &[(&str, &str)]) -> Vec<KeyToPath> {
    items
        .iter()
        .map(|(key, path)| KeyToPath {
            key: (*key).into(),
            path: (*path).into(),
            mode: None,
        })
        .collect()
}
