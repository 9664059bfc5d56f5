//! One pass over one resource: dereference, validate, build, apply, status.

pub mod apply;
pub mod children;
pub mod dereference;
pub mod plan;
pub mod report;
pub mod secrets;
pub mod validate;

use std::{sync::Arc, time::Duration};

use hello_crds::{HelloService, HelloServiceStatus};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    controller::queue::Next,
    error::{Class, Error, Result},
    kubernetes::{api::Cluster, optional_apis},
    object::{key::Key, owner::Identity},
    service::{
        plan::write_reason::Cause,
        report::{delay, events::Events},
        validate::{Database, DefaultImages, Validated},
    },
    telemetry::condition_gauges::Conditions,
};

/// A settled resource is looked at again after this time, in case every watch missed something.
pub const RESYNC: Duration = Duration::from_secs(600);
/// A resource on its way: watches say when something happens, this is the safety net.
const IN_PROGRESS: Duration = Duration::from_secs(15);
/// The Secret with an external address is not ours, so no watch tells about it.
const EXTERNAL_POLL: Duration = Duration::from_secs(30);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a pass needs.
#[derive(Clone)]
pub struct Context {
    /// The cluster.
    pub cluster: Cluster,
    /// Where transitions are told.
    pub events: Events,
    /// Images for resources that name none.
    pub images: DefaultImages,
    /// The time.
    pub clock: Clock,
    /// When a settled resource is looked at again; see [`RESYNC`].
    pub resync: Duration,
}

/// What came of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When to look again.
    pub next: Next,
    /// Value of the metric's label.
    pub label: &'static str,
    /// The conditions now; `None` when they are not known.
    pub conditions: Option<Conditions>,
}

/// Looks at a resource and does what is to be done. Every error ends in an outcome.
pub async fn reconcile(context: &Context, key: &Key) -> Outcome {
    let (namespace, name) = (&*key.namespace, &*key.name);
    let mut told = None;
    let error = match pass(context, namespace, name, &mut told).await {
        Ok(outcome) => return outcome,
        Err(error) => error,
    };
    let class = error.class();
    if error.is_terminating_namespace() {
        tracing::debug!(namespace, name, "the namespace is being deleted");
        return Outcome {
            next: Next::After(IN_PROGRESS),
            label: "leaving",
            conditions: None,
        };
    }
    tracing::warn!(namespace, name, class = class.as_str(), %error, "reconcile failed");
    let (shortest, longest) = class.delays();
    Outcome {
        next: Next::Failed(shortest, longest),
        label: class.as_str(),
        conditions: told,
    }
}

/// A pass that fails may have `told` the conditions all the same.
async fn pass(
    context: &Context,
    namespace: &str,
    name: &str,
    told: &mut Option<Conditions>,
) -> Result<Outcome> {
    let cluster = &context.cluster;
    let Some(raw) = cluster.service(namespace, name).await? else {
        return Ok(gone());
    };
    if raw.metadata.deletion_timestamp.is_some() {
        // Owner references do the rest; whatever is created now would be garbage.
        return Ok(gone());
    }
    let uid = raw.uid().unwrap_or_default();
    let service = match dereference::parse(raw.clone()) {
        Ok(service) => service,
        Err(error) => {
            *told = report_unparsed(cluster, &raw, &error).await?;
            return Err(error);
        }
    };
    let now = (context.clock)();
    match advance(context, &service, now).await {
        Ok((validated, applied, change)) => {
            context.events.put_right(&service, applied.writes()).await;
            let new = report::status(&validated, &applied, service.status.as_ref());
            let mut outcome = outcome(&validated, &applied, &new, change, context.resync);
            match delay::hold_back(service.status.as_ref(), &new, Timestamp::now()) {
                Some(time) => outcome.next = Next::After(time),
                None => report(context, &service, &uid, &new).await?,
            }
            Ok(outcome)
        }
        Err(error) => {
            let identity = validate::identity(&service)?;
            if let Some(new) = report::failed(&identity, &error, service.status.as_ref()) {
                *told = Some(Conditions::of(&new));
                report(context, &service, &uid, &new).await?;
            }
            Err(error)
        }
    }
}

/// Everything up to the writes; also tells when time alone makes a change due.
async fn advance(
    context: &Context,
    service: &HelloService,
    now: Timestamp,
) -> Result<(Validated, apply::Applied, Option<Duration>)> {
    let cluster = &context.cluster;
    let validated = validate::validate(service, &context.images)?;
    let (mut observed, inputs) = dereference::read(cluster, &validated, now).await?;
    let prepared = children::build(&validated, &inputs).prepare()?;
    let wanted = prepared.children.iter().map(|child| &child.id);
    dereference::find_unlabelled(cluster, &validated, wanted, &mut observed).await?;
    let applied = apply::apply(cluster, &validated, prepared, observed).await?;
    let change = inputs.next_change().map(|due| {
        let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        left.max(Duration::from_secs(1))
    });
    Ok((validated, applied, change))
}

fn gone() -> Outcome {
    Outcome {
        next: Next::Forget,
        label: "gone",
        conditions: None,
    }
}

fn outcome(
    service: &Validated,
    applied: &apply::Applied,
    new: &HelloServiceStatus,
    change: Option<Duration>,
    resync: Duration,
) -> Outcome {
    let ready = report::is_ready(new);
    if !applied.refused().is_empty() {
        let (shortest, longest) = Class::Refused.delays();
        return Outcome {
            next: Next::Failed(shortest, longest),
            label: Class::Refused.as_str(),
            conditions: Some(Conditions::of(new)),
        };
    }
    let next = match &service.database {
        // No watch tells that an API is there now.
        _ if !applied.plan().unavailable.is_empty() => optional_apis::LOOK_AGAIN,
        // Nor that somebody else's Secret or ConfigMap is.
        _ if !applied.unresolved().is_empty() => IN_PROGRESS,
        Database::External { .. } => EXTERNAL_POLL,
        _ if ready => resync,
        Database::Managed { .. } | Database::CloudNativePg { .. } => IN_PROGRESS,
    };
    Outcome {
        next: Next::After(change.map_or(next, |change| next.min(change))),
        label: if applied.writes().is_empty() {
            "unchanged"
        } else {
            "changed"
        },
        conditions: Some(Conditions::of(new)),
    }
}

/// Writes the status when it says something new, and tells the transitions.
async fn report(
    context: &Context,
    service: &HelloService,
    uid: &str,
    new: &HelloServiceStatus,
) -> Result<()> {
    if service.status.as_ref() == Some(new) {
        return Ok(());
    }
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    let value = json(new)?;
    context
        .cluster
        .patch_status(&namespace, &name, uid, &value)
        .await?;
    log(&namespace, &name, new);
    context
        .events
        .publish(service, service.status.as_ref(), new)
        .await;
    Ok(())
}

/// Reports on a resource that does not parse, of which only the metadata can be trusted.
async fn report_unparsed(
    cluster: &Cluster,
    raw: &kube::api::DynamicObject,
    error: &Error,
) -> Result<Option<Conditions>> {
    let old: Option<HelloServiceStatus> = serde_json::from_value(raw.data["status"].clone()).ok();
    let identity = Identity {
        namespace: raw.namespace().unwrap_or_default(),
        name: raw.name_any(),
        uid: raw.uid().unwrap_or_default(),
        generation: raw.metadata.generation.unwrap_or_default(),
    };
    let Some(new) = report::failed(&identity, error, old.as_ref()) else {
        return Ok(None);
    };
    if old.as_ref() != Some(&new) {
        let (namespace, name) = (&identity.namespace, &identity.name);
        cluster
            .merge_status(namespace, name, &identity.uid, &json(&new)?)
            .await?;
        log(namespace, name, &new);
    }
    Ok(Some(Conditions::of(&new)))
}

fn json(status: &HelloServiceStatus) -> Result<serde_json::Value> {
    serde_json::to_value(status).map_err(|source| Error::Json {
        what: "status".into(),
        source,
    })
}

/// Tells of a status that was written.
fn log(namespace: &str, name: &str, new: &HelloServiceStatus) {
    tracing::info!(
        namespace,
        name,
        write = "status",
        kind = "HelloService",
        object = name,
        ready = report::is_ready(new),
        reason = %Cause::StatusChanged,
        "applied"
    );
}
