//! What all pods have in common.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, LocalObjectReference,
        PodSecurityContext, PodSpec, ProjectedVolumeSource, ResourceRequirements, SeccompProfile,
        SecretProjection, SecretVolumeSource, SecurityContext, ServiceAccount, Volume, VolumeMount,
        VolumeProjection,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::metadata::owned;
use crate::{
    object::names::{self, Component},
    service::validate::{Resources, Validated},
};

/// User of the application's image.
pub const APP_USER: i64 = 65532;
/// User of PostgreSQL's image.
pub const POSTGRES_USER: i64 = 999;
/// Files from Secrets can be read by the pod's group and by nobody else.
const SECRET_MODE: i32 = 0o440;

/// The account of every pod of the service; it has no rights and no token.
pub fn service_account(service: &Validated) -> ServiceAccount {
    ServiceAccount {
        metadata: owned(service, names::app(&service.identity.name), Component::App),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// A pod that the restricted Pod Security profile admits.
pub fn spec(
    service: &Validated,
    user: i64,
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
        service_account_name: Some(names::app(&service.identity.name)),
        automount_service_account_token: Some(false),
        // Service links would add an environment variable per Service of the namespace.
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(user),
            run_as_group: Some(user),
            fs_group: Some(user),
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
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

/// Small fixed requests for short-lived helpers.
pub fn small_resources() -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(
            [("cpu", "20m"), ("memory", "32Mi")]
                .map(|(name, amount)| (name.into(), quantity(amount)))
                .into(),
        ),
        ..ResourceRequirements::default()
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
