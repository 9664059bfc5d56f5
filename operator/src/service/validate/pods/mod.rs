//! Settings of the pods: those of all parts and those of one part, merged and checked.
//!
//! Maps are merged by their keys, and lists whose items have a name or a path by that. Each other field, also each
//! other list, is the part's when the part sets it.

mod reserved;
#[cfg(test)]
mod tests;

pub use reserved::{TOOLS, VOLUMES as OWN_VOLUMES};

use std::collections::BTreeMap;

use hello_crds::{PodSecurity, PodVolume, SpreadConstraint};
use k8s_openapi::api::core::v1::{Affinity, EnvFromSource, EnvVar, Toleration, VolumeMount};

use super::{
    names::object_name,
    resources::{DefaultResources, Resources},
};
use crate::{
    error::{Error, Result},
    object::{names::Component, object_name::ObjectName},
};

/// What the application gets, for which the limit is a budget: it serves as many connections as fit.
const APP: DefaultResources = DefaultResources {
    cpu: "50m",
    memory: "64Mi",
    memory_limit: Some("256Mi"),
};
/// What a database server gets. How much it needs depends on its data and its parameters.
const SERVER: DefaultResources = DefaultResources {
    cpu: "100m",
    memory: "256Mi",
    memory_limit: None,
};
/// What a short-lived pod gets.
const RUN: DefaultResources = DefaultResources {
    cpu: "20m",
    memory: "32Mi",
    memory_limit: None,
};

/// Settings of the pods of each part.
#[derive(Clone, Debug, PartialEq)]
pub struct Pods {
    app: PodSettings,
    database: PodSettings,
    migration: PodSettings,
    backup: PodSettings,
    /// Annotations of the account that parts without a setting of their own share.
    pub account_annotations: BTreeMap<String, String>,
}

/// Settings of the pods of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSettings {
    /// Labels beside the operator's.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerated taints.
    pub tolerations: Vec<Toleration>,
    /// Wanted nodes and neighbours.
    pub affinity: Option<Affinity>,
    /// How the pods are spread; empty: the operator decides.
    pub spread: Vec<SpreadConstraint>,
    /// PriorityClass, when given.
    pub priority_class: Option<ObjectName>,
    /// RuntimeClass, when given.
    pub runtime_class: Option<ObjectName>,
    /// Users and groups.
    pub security: PodSecurity,
    /// CPU and memory of the part's own container.
    pub resources: Resources,
    /// Variables of the part's own container.
    pub env: Vec<EnvVar>,
    /// Sources of more variables.
    pub env_from: Vec<EnvFromSource>,
    /// Volumes.
    pub volumes: Vec<PodVolume>,
    /// Where the part's own container has them.
    pub mounts: Vec<VolumeMount>,
    /// The account.
    pub account: Account,
    /// Text that differs between settings that differ; empty when nothing is set.
    pub fingerprint: String,
}

/// Account of the pods of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The one that parts without a setting of their own share.
    Shared,
    /// One of the part's own, with these annotations.
    Own(BTreeMap<String, String>),
    /// One that exists.
    Existing(ObjectName),
}

impl Pods {
    pub(super) fn parse(spec: &hello_crds::HelloServiceSpec) -> Result<Self> {
        let none = hello_crds::Pods::default();
        let given = spec.pods.as_deref().unwrap_or(&none);
        let part = |component, settings: &Option<Box<hello_crds::PodSettings>>| {
            parse_part(spec, given.all.as_deref(), component, settings.as_deref())
        };
        let shared = given
            .all
            .as_ref()
            .and_then(|all| all.service_account.as_ref());
        Ok(Self {
            app: part(Component::App, &given.app)?,
            database: part(Component::Database, &given.database)?,
            migration: part(Component::Migration, &given.migration)?,
            backup: part(Component::Backup, &given.backup)?,
            account_annotations: shared
                .map(|account| account.annotations.clone())
                .unwrap_or_default(),
        })
    }

    /// The settings of one part.
    #[must_use]
    pub const fn of(&self, part: Component) -> &PodSettings {
        match part {
            Component::App => &self.app,
            Component::Database => &self.database,
            Component::Migration => &self.migration,
            Component::Backup | Component::Restore => &self.backup,
        }
    }
}

/// The settings of one part over those of all parts.
fn parse_part(
    spec: &hello_crds::HelloServiceSpec,
    all: Option<&hello_crds::PodSettings>,
    component: Component,
    part: Option<&hello_crds::PodSettings>,
) -> Result<PodSettings> {
    let field = format!("spec.pods.{}", component.as_str());
    let levels = [("spec.pods.all".to_owned(), all), (field, part)];
    for (field, settings) in &levels {
        if let Some(settings) = settings {
            reserved::check(field, component, settings)?;
        }
    }
    let given: Vec<&hello_crds::PodSettings> = levels.iter().filter_map(|(_, s)| *s).collect();
    let fingerprint = if given.is_empty() {
        String::new()
    } else {
        json_text(&given)?
    };
    let resources = resources(spec, &levels, component)?;
    let account = account(&levels)?;
    let (priority_class, runtime_class) = (
        class(&levels, "priorityClassName", |s| &s.priority_class_name)?,
        class(&levels, "runtimeClassName", |s| &s.runtime_class_name)?,
    );
    let [all, part] = levels.map(|(_, settings)| settings.cloned().unwrap_or_default());
    let settings = PodSettings {
        labels: merge(all.labels, part.labels),
        annotations: merge(all.annotations, part.annotations),
        node_selector: merge(all.node_selector, part.node_selector),
        tolerations: replace(all.tolerations, part.tolerations),
        affinity: part.affinity.or(all.affinity),
        spread: replace(
            all.topology_spread_constraints,
            part.topology_spread_constraints,
        ),
        priority_class,
        runtime_class,
        security: merge_security(
            all.security_context.unwrap_or_default(),
            part.security_context.unwrap_or_default(),
        ),
        resources,
        env: merge_by(all.env, part.env, |one| one.name.clone()),
        env_from: replace(all.env_from, part.env_from),
        volumes: merge_by(all.volumes, part.volumes, |one| one.name.clone()),
        mounts: merge_by(all.volume_mounts, part.volume_mounts, |one| {
            one.mount_path.clone()
        }),
        account,
        fingerprint,
    };
    has_every_mounted_volume(component, &settings)?;
    Ok(settings)
}

/// The name of a class, of the part or else of all parts.
fn class(
    levels: &[(String, Option<&hello_crds::PodSettings>); 2],
    end: &str,
    of: fn(&hello_crds::PodSettings) -> &Option<String>,
) -> Result<Option<ObjectName>> {
    let found = levels
        .iter()
        .rev()
        .find_map(|(field, settings)| Some((field, of((*settings)?).as_ref()?)));
    found
        .map(|(field, name)| object_name(&format!("{field}.{end}"), name))
        .transpose()
}

/// For CPU and for memory, the nearest place that sets one: the field of the component, the part, all parts, the default.
fn resources(
    spec: &hello_crds::HelloServiceSpec,
    levels: &[(String, Option<&hello_crds::PodSettings>); 2],
    component: Component,
) -> Result<Resources> {
    let database = &spec.database;
    let (field, own, default) = match component {
        Component::App => ("spec.resources", spec.resources.as_ref(), APP),
        Component::Database => {
            let managed = database.managed.as_ref();
            let cluster = database.cloud_native_pg.as_ref();
            match cluster {
                Some(cluster) => (
                    "spec.database.cloudNativePG.resources",
                    cluster.resources.as_ref(),
                    SERVER,
                ),
                None => (
                    "spec.database.managed.resources",
                    managed.and_then(|managed| managed.resources.as_ref()),
                    SERVER,
                ),
            }
        }
        Component::Migration | Component::Backup | Component::Restore => ("", None, RUN),
    };
    let of_level = |(field, settings): &(String, Option<&hello_crds::PodSettings>)| {
        let resources = (*settings)?.resources.clone()?;
        Some((format!("{field}.resources"), resources))
    };
    let given: Vec<(String, hello_crds::Resources)> = own
        .map(|own| (field.to_owned(), own.clone()))
        .into_iter()
        .chain(levels.iter().rev().filter_map(of_level))
        .collect();
    Resources::parse(&given, default)
}

fn account(levels: &[(String, Option<&hello_crds::PodSettings>); 2]) -> Result<Account> {
    let [all, part] = levels
        .each_ref()
        .map(|(field, settings)| Some((field, settings.as_ref()?.service_account.as_ref()?)));
    let existing = |level: Option<(&String, &hello_crds::PodAccount)>| {
        let (field, account) = level?;
        let name = account.name.as_ref()?;
        Some(object_name(&format!("{field}.serviceAccount.name"), name))
    };
    for (field, account) in all.iter().chain(&part) {
        if account.name.is_some() && !account.annotations.is_empty() {
            let field = format!("{field}.serviceAccount");
            return Err(Error::invalid(
                &field,
                "needs a name or annotations, not both",
            ));
        }
    }
    if let Some(name) = existing(part) {
        return name.map(Account::Existing);
    }
    let shared = all.map(|(_, account)| account.annotations.clone());
    match part {
        Some((_, own)) if !own.annotations.is_empty() => Ok(Account::Own(merge(
            shared.unwrap_or_default(),
            own.annotations.clone(),
        ))),
        _ => existing(all).map_or(Ok(Account::Shared), |name| name.map(Account::Existing)),
    }
}

fn json_text(settings: &[&hello_crds::PodSettings]) -> Result<String> {
    serde_json::to_string(settings).map_err(|source| Error::Json {
        what: "spec.pods".into(),
        source,
    })
}

fn has_every_mounted_volume(component: Component, settings: &PodSettings) -> Result<()> {
    let has = |name: &str| settings.volumes.iter().any(|volume| volume.name == name);
    match settings.mounts.iter().find(|mount| !has(&mount.name)) {
        None => Ok(()),
        Some(mount) => Err(Error::invalid(
            &format!("spec.pods.{}.volumeMounts", component.as_str()),
            format!("mounts {:?}, which is not in volumes", mount.name),
        )),
    }
}

fn merge(
    mut all: BTreeMap<String, String>,
    part: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    all.extend(part);
    all
}

fn replace<T>(all: Vec<T>, part: Vec<T>) -> Vec<T> {
    if part.is_empty() { all } else { part }
}

/// Those of all parts, in their order, then the part's; an item of the part replaces the one with its key.
fn merge_by<T>(all: Vec<T>, part: Vec<T>, key: fn(&T) -> String) -> Vec<T> {
    let kept = all
        .into_iter()
        .filter(|one| !part.iter().any(|other| key(other) == key(one)))
        .collect::<Vec<T>>();
    kept.into_iter().chain(part).collect()
}

fn merge_security(all: PodSecurity, part: PodSecurity) -> PodSecurity {
    PodSecurity {
        assign_ids: part.assign_ids.or(all.assign_ids),
        run_as_user: part.run_as_user.or(all.run_as_user),
        run_as_group: part.run_as_group.or(all.run_as_group),
        fs_group: part.fs_group.or(all.fs_group),
        supplemental_groups: replace(all.supplemental_groups, part.supplemental_groups),
    }
}
