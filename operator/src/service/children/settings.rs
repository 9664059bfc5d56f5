//! Settings of the spec, in the pods of a part.

use hello_crds::{PodVolume, SpreadConstraint};
use k8s_openapi::{
    api::core::v1::{
        Container, EnvVar, PodSecurityContext, PodSpec, SeccompProfile, TopologySpreadConstraint,
        Volume,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use crate::{
    object::names::{self, Component},
    service::validate::{PodSettings, Validated},
};

/// User of the application's image.
const APP_USER: i64 = 65532;
/// User of PostgreSQL's image.
const POSTGRES_USER: i64 = 999;

/// The pod with the settings of its part.
pub fn applied(service: &Validated, part: Component, mut spec: PodSpec) -> PodSpec {
    let settings = service.pods.of(part);
    spec.node_selector = some(settings.node_selector.clone());
    spec.tolerations = some(settings.tolerations.clone());
    spec.affinity = settings.affinity.clone();
    if !settings.spread.is_empty() {
        spec.topology_spread_constraints = Some(spread(
            &settings.spread,
            &LabelSelector {
                match_labels: Some(names::selector(&service.identity.name, part)),
                match_expressions: None,
            },
        ));
    }
    spec.priority_class_name = settings.priority_class.as_ref().map(ToString::to_string);
    spec.runtime_class_name = settings.runtime_class.as_ref().map(ToString::to_string);
    let mut volumes = spec.volumes.take().unwrap_or_default();
    volumes.extend(settings.volumes.iter().map(volume));
    spec.volumes = some(volumes);
    if let Some(container) = spec.containers.first_mut() {
        add_to(container, settings);
    }
    spec
}

fn add_to(container: &mut Container, settings: &PodSettings) {
    let mut env = container.env.take().unwrap_or_default();
    let is_own = |name: &str| env.iter().any(|own| own.name == name);
    let given = settings.env.iter().filter(|given| !is_own(&given.name));
    let given: Vec<EnvVar> = given.cloned().collect();
    env.extend(given);
    container.env = some(env);
    container.env_from = some(settings.env_from.clone());
    let own = container.volume_mounts.take().unwrap_or_default();
    container.volume_mounts = some([own, settings.mounts.clone()].concat());
}

/// Users and groups of a pod. The restricted Pod Security profile asks for the rest.
pub fn security(service: &Validated, part: Component) -> PodSecurityContext {
    let given = &service.pods.of(part).security;
    let image_user = match part {
        Component::App | Component::Migration => APP_USER,
        Component::Database | Component::Backup | Component::Restore => POSTGRES_USER,
    };
    let default = given.assign_ids.unwrap_or(true).then_some(image_user);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: given.run_as_user.or(default),
        run_as_group: given.run_as_group.or(default),
        fs_group: given.fs_group.or(default),
        fs_group_change_policy: Some("OnRootMismatch".into()),
        supplemental_groups: some(given.supplemental_groups.clone()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// Constraints on the pods that `selector` selects.
pub fn spread(
    constraints: &[SpreadConstraint],
    selector: &LabelSelector,
) -> Vec<TopologySpreadConstraint> {
    let constraint = |given: &SpreadConstraint| TopologySpreadConstraint {
        topology_key: given.topology_key.clone(),
        max_skew: given.max_skew,
        when_unsatisfiable: given.when_unsatisfiable.as_str().into(),
        min_domains: given.min_domains,
        label_selector: Some(selector.clone()),
        ..TopologySpreadConstraint::default()
    };
    constraints.iter().map(constraint).collect()
}

fn volume(given: &PodVolume) -> Volume {
    Volume {
        name: given.name.clone(),
        config_map: given.config_map.clone(),
        secret: given.secret.clone(),
        empty_dir: given.empty_dir.clone(),
        persistent_volume_claim: given.persistent_volume_claim.clone(),
        csi: given.csi.clone(),
        ..Volume::default()
    }
}

/// An empty list or map in server-side apply would claim the field.
fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    Some(value).filter(|value| *value != T::default())
}
