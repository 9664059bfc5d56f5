//! Step 1: reads everything that exists for a resource, straight from the API server.
//!
//! Watches only report *that* something happened. What is there is read here, so no decision is taken
//! on a cache that trails behind. Only kinds without objects are not listed, where
//! that can do no harm (see [`crate::kubernetes::empty_kinds`]).

pub mod due_pods;
pub mod inputs;
pub mod observed;
pub mod references;
mod tails;

pub use tails::remove_foreign as remove_foreign_words;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt, api::DynamicObject};
use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Result},
    kubernetes::api::Cluster,
    object::{
        child::ChildId,
        kind::Kind,
        live::{Live, TypedChild},
        names,
        object_name::ObjectName,
        pod,
    },
    service::{
        dereference::{
            inputs::Inputs,
            observed::{Observed, Problem},
        },
        validate::{Source, Validated},
    },
};

/// What was read for a service.
#[derive(Clone, Debug)]
pub struct Read {
    /// What exists.
    pub observed: Observed,
    /// What `build` needs of it.
    pub inputs: Inputs,
}

/// What a pass looks at, beside what holds data. A creation never changes what is there, so it finds out itself whether a
/// name is taken; the next pass then looks at everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Everything with the service's labels, and every wanted name: a foreign object may have that name.
    All,
    /// Everything with the service's labels.
    Labelled,
    /// Nothing is there yet. Only kinds on which other children depend are looked at, by labels and by name.
    New,
}

impl Scope {
    /// Whether what has the service's labels is listed.
    #[must_use]
    pub fn lists(self, kind: Kind) -> bool {
        self != Self::New || kind.row().read_when_new
    }

    /// Whether wanted names of the kind are looked up.
    #[must_use]
    pub fn looks_up(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Labelled => false,
            Self::New => kind.row().read_when_new,
        }
    }
}

/// Turns the raw object into a resource.
///
/// # Errors
/// [`Error::Invalid`] when it does not parse: it was stored under another schema.
pub fn parse<K: Resource<DynamicType = ()> + DeserializeOwned>(object: DynamicObject) -> Result<K> {
    let value = serde_json::to_value(object).map_err(|source| Error::Json {
        what: K::kind(&()).into_owned(),
        source,
    })?;
    serde_json::from_value(value).map_err(|error| Error::invalid("spec", error.to_string()))
}

/// Reads what exists for a service and what its spec names.
///
/// # Errors
/// When the API server does not answer, and those of [`Inputs::from_observed`].
pub async fn read(
    cluster: &Cluster,
    service: &Validated,
    scope: Scope,
    now: Timestamp,
) -> Result<Read> {
    let mut observed = labelled(cluster, service, scope).await?;
    // What holds data is looked up by name: were it overlooked because its labels are gone, new passwords would replace
    // those of the data.
    let data = service.database.data(&service.identity.name);
    find_unlabelled(cluster, service, data.iter(), &mut observed).await?;
    if let Some(bootstrap) = &service.bootstrap {
        let deciding = bootstrap.decided_by(&service.identity.name);
        find_unlabelled(cluster, service, deciding.iter(), &mut observed).await?;
    }
    let versions = versions(service);
    find_unlabelled(cluster, service, versions.iter(), &mut observed).await?;
    observed.database_secret = database_secret(cluster, service).await?;
    let inputs = Inputs::from_observed(service, &observed, now)?;
    let of_database = [&inputs.unusable_address, &inputs.problem];
    let of_database = of_database.map(|words| words.clone().map(Problem::of_service));
    let [address, passwords] = of_database;
    observed.unresolved.extend(address);
    observed
        .unresolved
        .extend(unresolved(cluster, service).await?);
    observed.unresolved.extend(passwords);
    Ok(Read { observed, inputs })
}

/// What decides about a change of the data's version: the claim of the version that is to serve, and the restore.
fn versions(service: &Validated) -> Vec<ChildId> {
    let (instance, data) = (&service.identity.name, &service.data);
    let mut all = Vec::new();
    if data.target() != data.present {
        let claim = names::data_claim(instance, &data.target());
        all.push(ChildId::new(Kind::PersistentVolumeClaim, claim));
    }
    let upgrade = data.upgrade.as_ref();
    let restore = upgrade.and_then(|upgrade| upgrade.restore.clone());
    all.extend(restore.map(|name| ChildId::new(Kind::HelloRestore, name)));
    all
}

/// Every object and pod with the labels of the service. The pods are read after the Jobs: of a Job that was there a pod
/// may start at any time, and of one that was not there no pod can start any more, so each is seen.
async fn labelled(cluster: &Cluster, service: &Validated, scope: Scope) -> Result<Observed> {
    let namespace = &service.identity.namespace;
    let selector = names::instance_selector(&service.identity.name);
    let list = |kind| cluster.list(kind, namespace, &selector);
    let is_read = |kind: &Kind| scope.lists(*kind) && *kind != Kind::Job;
    let others: Vec<Kind> = Kind::ALL.into_iter().filter(is_read).collect();
    let jobs_before_pods = async {
        let jobs = match scope.lists(Kind::Job) {
            true => list(Kind::Job).await?,
            false => Some(Vec::new()),
        };
        let pods = cluster.pods(namespace, &selector).await?;
        Ok((jobs, pods))
    };
    let (lists, (jobs, mut pods)) = futures::try_join!(
        futures::future::try_join_all(others.iter().map(|kind| list(*kind))),
        jobs_before_pods
    )?;
    let lists = others.into_iter().zip(lists).chain([(Kind::Job, jobs)]);
    for pod in &mut pods {
        tails::remove_foreign(pod, &service.default_images);
    }
    let mut observed = Observed {
        pods,
        ..Observed::default()
    };
    for (kind, items) in lists {
        let Some(items) = items else {
            observed.missing.insert(kind);
            continue;
        };
        for item in items {
            let id = ChildId::new(kind, item.name_any());
            let live = live(&id, item)?;
            observed.children.insert(id, live);
        }
    }
    Ok(observed)
}

/// Looks up wanted names without the service's labels, each once: their objects may be foreign.
///
/// # Errors
/// When the API server does not answer.
pub async fn find_unlabelled(
    cluster: &Cluster,
    service: &Validated,
    wanted: impl Iterator<Item = &ChildId>,
    observed: &mut Observed,
) -> Result<()> {
    for id in wanted {
        if observed.children.get(id).is_some()
            || observed.missing.contains(&id.kind)
            || observed.absent.contains(id)
        {
            continue;
        }
        match cluster.get(id, &service.identity.namespace).await? {
            Some(object) => {
                observed.children.insert(id.clone(), live(id, object)?);
            }
            None => {
                observed.absent.insert(id.clone());
            }
        }
    }
    Ok(())
}

/// Looks for the words about what is late.
///
/// # Errors
/// When the API server does not answer.
pub async fn find_refusals(
    cluster: &Cluster,
    service: &Validated,
    times: due_pods::Times,
    now: Timestamp,
    observed: &mut Observed,
) -> Result<()> {
    let waiting = due_pods::waiting(observed, times);
    observed.due_pods.awaited = waiting.iter().any(|waiting| waiting.is_awaited(now));
    for late in waiting.into_iter().filter(|waiting| waiting.is_late(now)) {
        let namespace = &service.identity.namespace;
        let events = cluster.events_about(namespace, &late.uid, late.reason());
        let words = match events.await {
            Ok(events) => late.refusal(&events),
            Err(error) if error.class().is_passing() => return Err(error),
            // What is late is no news without the words, unless it should have come by now.
            Err(error) => late
                .is_awaited(now)
                .then(|| format!("no pod is created, and the reason is unknown: {error}")),
        };
        let words = words.map(|words| (late.owner, words));
        observed.due_pods.refused.extend(words);
    }
    Ok(())
}

/// Looks up the Secrets for pulling images, when an image cannot be pulled: the kubelet goes on without those that do not
/// exist.
///
/// # Errors
/// When the API server does not answer.
pub async fn find_pull_secrets(
    cluster: &Cluster,
    service: &Validated,
    observed: &mut Observed,
) -> Result<()> {
    if !observed.pods.iter().any(pod::cannot_pull) {
        return Ok(());
    }
    for name in &service.pull_secrets {
        let id = ChildId::new(Kind::Secret, name.as_str());
        let exists = ObjectName::parse(name).is_some()
            && cluster
                .get(&id, &service.identity.namespace)
                .await?
                .is_some();
        if !exists {
            observed.missing_pull_secrets.push(name.clone());
        }
    }
    Ok(())
}

/// The Secret that the spec of the database names.
async fn database_secret(cluster: &Cluster, service: &Validated) -> Result<Option<Secret>> {
    let Some(name) = service.database.secret() else {
        return Ok(None);
    };
    let id = ChildId::new(Kind::Secret, name.as_str());
    let Some(object) = cluster.get(&id, &service.identity.namespace).await? else {
        return Ok(None);
    };
    Ok(Secret::from_live(&live(&id, object)?).cloned())
}

/// What is wrong with objects that the spec names and the operator does not make.
async fn unresolved(cluster: &Cluster, service: &Validated) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for reference in references::of_pods(service) {
        let (namespace, name) = (&service.identity.namespace, &reference.name);
        let live = match reference.source {
            Source::Secret => {
                let id = ChildId::new(Kind::Secret, name.as_str());
                cluster.get(&id, namespace).await?
            }
            Source::ConfigMap => {
                let resource = reference.source.resource();
                cluster.named(&resource, namespace, name).await?
            }
        };
        problems.extend(reference.problem(live.as_ref()));
    }
    Ok(problems)
}

/// A live object without what no step reads.
fn live(id: &ChildId, mut object: DynamicObject) -> Result<Live> {
    if !id.kind.row().keeps_managed_fields {
        object.metadata.managed_fields = None;
    }
    Live::parse(id.kind, object).map_err(|source| Error::Unreadable {
        child: id.clone(),
        source,
    })
}
