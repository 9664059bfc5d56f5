//! Step 1: reads the resource and everything that exists for it, straight from the API server.
//!
//! Watches only say *that* something happened. What is, is read here, so no decision is ever taken
//! on a cache that trails behind. Only kinds of which there is nothing at all are not asked for, where
//! that can do no harm (see [`crate::census`]).

pub mod references;

use std::collections::{BTreeMap, BTreeSet};

use hello_crds::HelloService;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    error::{Error, Result},
    kubernetes::api::Cluster,
    object::{
        child::{self, ChildId},
        kind::Kind,
        names,
    },
    service::{
        children::{DATABASE_PORT, Inputs},
        plan::facts,
        secrets::{certificates::Certificates, credentials::Credentials},
        validate::{Database, Validated},
    },
};

/// What exists for one service.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Objects with the service's labels, and others under a wanted name.
    pub children: BTreeMap<ChildId, DynamicObject>,
    /// Pods with the service's labels.
    pub pods: Vec<Pod>,
    /// Kinds that the cluster does not serve.
    pub missing: BTreeSet<Kind>,
    /// What is wrong with objects that the spec names, in words.
    pub unresolved: Vec<String>,
}

/// Turns the raw object into a resource.
///
/// # Errors
/// [`Error::Invalid`] when it does not parse: it was stored under another schema.
pub fn parse(object: DynamicObject) -> Result<HelloService> {
    let value = serde_json::to_value(object).map_err(|source| Error::Json {
        what: "HelloService".into(),
        source,
    })?;
    serde_json::from_value(value).map_err(|error| Error::invalid("spec", error.to_string()))
}

/// Reads every object with the labels of the service.
///
/// # Errors
/// When the API server does not answer.
pub async fn observe(cluster: &Cluster, namespace: &str, name: &str) -> Result<Observed> {
    let selector = names::instance_selector(name);
    let lists = Kind::ALL.map(|kind| cluster.list(kind, namespace, &selector));
    let (lists, pods) = futures::try_join!(
        futures::future::try_join_all(lists),
        cluster.pods(namespace, &selector)
    )?;
    let mut observed = Observed {
        pods,
        ..Observed::default()
    };
    for (kind, items) in Kind::ALL.into_iter().zip(lists) {
        let Some(items) = items else {
            observed.missing.insert(kind);
            continue;
        };
        let items = items
            .into_iter()
            .map(|item| (ChildId::new(kind, item.name_any()), trim(kind, item)));
        observed.children.extend(items);
    }
    Ok(observed)
}

/// Looks up what holds data by name: were it overlooked because its labels are gone, new passwords
/// would replace those that the data knows.
///
/// # Errors
/// When the API server does not answer.
pub async fn find_data(
    cluster: &Cluster,
    service: &Validated,
    observed: &mut Observed,
) -> Result<()> {
    let instance = &service.identity.name;
    let credentials = ChildId::new(Kind::Secret, names::credentials(instance));
    let ids = match service.database {
        Database::External { .. } => vec![],
        Database::Managed { .. } => vec![
            ChildId::new(Kind::Secret, names::authority(instance)),
            credentials,
            ChildId::new(Kind::Secret, names::server_tls(instance)),
            ChildId::new(Kind::PersistentVolumeClaim, names::data_claim(instance)),
            ChildId::new(Kind::StatefulSet, names::database(instance)),
        ],
        Database::CloudNativePg { .. } => vec![
            credentials,
            ChildId::new(Kind::Cluster, names::database(instance)),
        ],
    };
    find_unlabelled(cluster, &service.identity.namespace, ids.iter(), observed).await
}

/// Looks up wanted names that carry none of our labels: they may be somebody else's.
///
/// # Errors
/// When the API server does not answer.
pub async fn find_unlabelled(
    cluster: &Cluster,
    namespace: &str,
    wanted: impl Iterator<Item = &ChildId>,
    observed: &mut Observed,
) -> Result<()> {
    for id in wanted {
        if !observed.children.contains_key(id)
            && !observed.missing.contains(&id.kind)
            && let Some(object) = cluster.get(id, namespace).await?
        {
            observed.children.insert(id.clone(), trim(id.kind, object));
        }
    }
    Ok(())
}

/// Looks up what the spec names and somebody else makes.
///
/// # Errors
/// When the API server does not answer.
pub async fn resolve(
    cluster: &Cluster,
    service: &Validated,
    observed: &mut Observed,
) -> Result<()> {
    for reference in references::of(service) {
        let live = cluster
            .named(&reference, &service.identity.namespace)
            .await?;
        observed.unresolved.extend(reference.problem(live.as_ref()));
    }
    Ok(())
}

fn trim(kind: Kind, mut object: DynamicObject) -> DynamicObject {
    if !kind.row().keeps_managed_fields {
        object.metadata.managed_fields = None;
    }
    object
}

/// Collects what `build` needs from the cluster.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Invalid`] when the Secret with an external address is not usable,
/// [`Error::Foreign`] when the name of a Secret that is kept is taken.
pub async fn inputs(
    cluster: &Cluster,
    service: &Validated,
    observed: &Observed,
    now: Timestamp,
) -> Result<Inputs> {
    let instance = &service.identity.name;
    match &service.database {
        Database::External {
            secret,
            key,
            ca_key,
        } => {
            let id = ChildId::new(Kind::Secret, secret);
            let object = cluster.get(&id, &service.identity.namespace).await?;
            let (identity, port) = external_address(object, secret, key, ca_key.as_deref())?;
            Ok(Inputs {
                credentials: Credentials::placeholder(),
                certificates: None,
                database_identity: Some(identity),
                database_port: port,
                claim_template_size: None,
            })
        }
        Database::CloudNativePg { .. } => {
            let engine = ChildId::new(Kind::Cluster, names::database(instance));
            Ok(Inputs {
                credentials: kept_credentials(observed, service, now)?.without_owner(),
                certificates: None,
                database_identity: living_uid(observed.children.get(&engine)),
                database_port: DATABASE_PORT,
                claim_template_size: None,
            })
        }
        Database::Managed { .. } => {
            let claim = observed.children.get(&ChildId::new(
                Kind::PersistentVolumeClaim,
                names::data_claim(instance),
            ));
            let server = observed
                .children
                .get(&ChildId::new(Kind::StatefulSet, names::database(instance)));
            Ok(Inputs {
                credentials: kept_credentials(observed, service, now)?,
                certificates: Some(kept_certificates(observed, service, now)?),
                database_identity: living_uid(claim),
                database_port: DATABASE_PORT,
                claim_template_size: server.and_then(template_size),
            })
        }
    }
}

fn kept_credentials(
    observed: &Observed,
    service: &Validated,
    now: Timestamp,
) -> Result<Credentials> {
    let name = names::credentials(&service.identity.name);
    let secret = kept_secret(observed, service, name)?;
    Credentials::keep_or_generate(secret.as_ref(), service.rotate.as_deref(), now)
}

/// A Secret whose content is kept. Somebody else's would not be, so each pass would draw another one.
fn kept_secret(observed: &Observed, service: &Validated, name: String) -> Result<Option<Secret>> {
    let id = ChildId::new(Kind::Secret, name);
    match observed.children.get(&id) {
        Some(live) if !facts::belongs(&service.identity, live) => Err(Error::Foreign { child: id }),
        found => found.map(to_secret).transpose(),
    }
}

fn kept_certificates(
    observed: &Observed,
    service: &Validated,
    now: Timestamp,
) -> Result<Certificates> {
    let (instance, namespace) = (&service.identity.name, &service.identity.namespace);
    let authority = kept_secret(observed, service, names::authority(instance))?;
    let server = kept_secret(observed, service, names::server_tls(instance))?;
    let hosts = names::database_hosts(instance, namespace);
    Certificates::keep_or_issue(authority.as_ref(), server.as_ref(), &hosts, now)
}

/// UID of what holds the data, unless it is on its way out.
#[must_use]
pub fn living_uid(object: Option<&DynamicObject>) -> Option<String> {
    object
        .filter(|object| object.metadata.deletion_timestamp.is_none())
        .and_then(ResourceExt::uid)
}

fn to_secret(object: &DynamicObject) -> Result<Secret> {
    object.clone().try_parse().map_err(|error| Error::Missing {
        message: format!("Secret {} cannot be read: {error}", object.name_any()),
    })
}

fn template_size(stateful_set: &DynamicObject) -> Option<String> {
    stateful_set.data["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        .as_str()
        .map(str::to_owned)
}

/// Identity (a hash: the address holds a password) and port of an external database.
fn external_address(
    object: Option<DynamicObject>,
    secret: &str,
    key: &str,
    ca_key: Option<&str>,
) -> Result<(String, u16)> {
    const FIELD: &str = "spec.database.external.secretRef";
    let object = object.ok_or_else(|| Error::Missing {
        message: format!("{FIELD}: Secret {secret} does not exist"),
    })?;
    let data = to_secret(&object)?.data.unwrap_or_default();
    let value = |key: &str| {
        data.get(key).ok_or_else(|| Error::Missing {
            message: format!("{FIELD}: Secret {secret} has no key {key}"),
        })
    };
    ca_key.map(value).transpose()?;
    let bytes = value(key)?;
    let unusable = || Error::Missing {
        message: format!("{FIELD}: key {key} of Secret {secret} is not a postgres:// address"),
    };
    let address = std::str::from_utf8(&bytes.0)
        .map_err(|_| unusable())?
        .trim();
    let uri: http::Uri = address.parse().map_err(|_| unusable())?;
    if !matches!(uri.scheme_str(), Some("postgres" | "postgresql")) || uri.host().is_none() {
        return Err(unusable());
    }
    Ok((
        child::hash(address),
        uri.port_u16().unwrap_or(DATABASE_PORT),
    ))
}
