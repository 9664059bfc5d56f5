//! One pass over one resource: read, validate, build, decide, apply, report.
//!
//! The resource itself is read and validated first: its spec decides what else is read.

pub mod apply;
pub mod children;
pub mod dereference;
pub mod external_secrets;
pub mod failures;
pub mod fuzzing;
mod let_go;
pub mod plan;
pub mod report;
pub mod scope;
pub mod secrets;
pub mod validate;

use std::{sync::Arc, time::Duration};

use hello_crds::{HelloService, HelloServiceStatus, OrderedBackup};
use jiff::Timestamp;
use kube::api::DynamicObject;

use crate::{
    controller::{
        Reconcile,
        outcome::{Next, Outcome},
    },
    error::{Class, Result},
    kubernetes::{
        api::{Cluster, status::StatusPatch},
        optional_apis,
    },
    object::{key::Key, time::after},
    service::{
        dereference::{Scope, due_pods},
        external_secrets::{ExternalSecrets, Seen},
        failures::Failures,
        plan::{Decision, bootstrap::Bootstrap, leaving::Finalizer, readiness::DatabaseState},
        report::{
            conditions::{is_ready, not_ready_since},
            delay,
            events::Events,
            status,
            subject::Subject,
            write::write,
        },
        validate::{Database, DefaultImages, Limits, Validated},
    },
    telemetry::{condition_gauges::Conditions, metrics::Metrics},
};

/// A settled resource is looked at again after this time, in case every watch missed something.
pub const RESYNC: Duration = Duration::from_secs(600);
/// A resource with a change in progress: watches report what happens, this is the safety net.
const IN_PROGRESS: Duration = Duration::from_secs(15);
/// CloudNativePG has nothing to report about some changes of its `Cluster`, and then no watch does.
const CLUSTER_CHANGED: Duration = Duration::from_secs(1);
/// The data that the service starts from is there, and the status has just said so.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Pods are due. No watch reports that the API server refuses them.
const PODS_DUE: Duration = Duration::from_secs(5);
/// The Secret with an external address is foreign, so no watch reports its changes.
const EXTERNAL_POLL: Duration = Duration::from_secs(30);

/// Returns the time now.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a pass needs.
#[derive(Clone)]
pub struct Context {
    /// The cluster.
    pub cluster: Cluster,
    /// Where transitions are published.
    pub events: Events,
    /// Images for resources that name none.
    pub images: DefaultImages,
    /// What resources may contain.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// When a settled resource is looked at again; see [`RESYNC`].
    pub resync: Duration,
    /// Secrets of external databases, for settled services.
    pub external_secrets: ExternalSecrets,
    /// Where the conditions are exposed.
    pub metrics: Arc<Metrics>,
    /// Since when the API server fails at which resource.
    pub failures: Failures,
}

impl Reconcile for Context {
    async fn reconcile(&self, key: &Key) -> Outcome {
        match self.pass(key).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::of_error(key, &error),
        }
    }

    /// Whether the Secret of an external database is the one that the last pass read.
    async fn look(&self, key: &Key) -> Option<Outcome> {
        let seen = self.external_secrets.get(key, (self.clock)())?;
        let live = self.cluster.secret_version(&key.namespace, &seen.name);
        // Whatever is wrong is a whole pass's to explain.
        let version = live.await.ok()??;
        (version == seen.version).then_some(Outcome::after(EXTERNAL_POLL, "unchanged"))
    }

    async fn report_panic(&self, key: &Key, message: &str) {
        if let Err(error) = self.panicked(key, message).await {
            let (namespace, name) = (&*key.namespace, &*key.name);
            tracing::warn!(namespace, name, %error, "the panic is not in the status");
        }
    }
}

impl Context {
    /// That of tests, against this cluster.
    #[cfg(test)]
    fn of_tests(cluster: Cluster, clock: Clock) -> Self {
        Self {
            events: Events::new(&cluster, None),
            cluster,
            images: DefaultImages::of_tests(),
            limits: Limits::default(),
            external_secrets: ExternalSecrets::default(),
            failures: Failures::default(),
            clock,
            resync: RESYNC,
            metrics: Arc::default(),
        }
    }

    /// One pass. One that fails may have reported a status all the same.
    async fn pass(&self, key: &Key) -> Result<Outcome> {
        self.external_secrets.forget(key);
        let Some(raw) = self.read(key).await? else {
            self.metrics.conditions.forget(key);
            self.cluster.taken_names().forget(key);
            self.failures.end(key);
            return Ok(Outcome::gone());
        };
        let subject = Subject::from_object(&raw);
        if let_go::with_its_namespace(&self.cluster, &raw, &subject.identity).await? {
            return Ok(Outcome::gone());
        }
        let now = (self.clock)();
        let (result, patch) = match dereference::parse(raw) {
            Ok(service) => (
                self.advance(key, &subject, &service, now).await,
                StatusPatch::Apply,
            ),
            Err(error) => (Err(error), StatusPatch::Merge),
        };
        if let Err(error) = &result {
            let lasts = error.is_about_one_object(true) && self.failures.last(key, now);
            if !error.is_about_one_object(true) {
                self.failures.end(key);
            }
            let old = subject.status.as_ref();
            let new = status::from_error(&subject.identity, error, lasts, old, now);
            self.report(key, &subject, new.as_ref(), patch).await?;
        }
        result
    }

    /// The steps of a pass over a resource that parses.
    async fn advance(
        &self,
        key: &Key,
        subject: &Subject,
        service: &HelloService,
        now: Timestamp,
    ) -> Result<Outcome> {
        let taken = self.cluster.taken_names().contains(key);
        let scope = scope::scope(subject.status.as_ref(), service.spec.paused, taken);
        let (images, limits) = (&self.images, &self.limits);
        let (validated, decision, secret_version) =
            decide(&self.cluster, service, images, limits, scope, now).await?;
        let applied = apply::apply(&self.cluster, decision).await?;
        if validated.deletion.since.is_some() && applied.plan().finalizer == Finalizer::Remove {
            // What is left is up to the owner references, and there is nothing more to report on.
            return Ok(Outcome::gone());
        }
        self.events.drift_reverted(subject, applied.writes());
        let applied = if applied.failed().is_empty() {
            self.failures.end(key);
            applied
        } else if self.failures.last(key, now) {
            applied
        } else {
            applied.or_failure()?
        };
        let old = subject.status.as_ref();
        let new = status::from_applied(&validated, &applied, old, now);
        let outcome = outcome(&validated, &applied, &new, now, self.resync);
        if let Some(time) = delay::hold_back(old, &new, now) {
            self.metrics
                .conditions
                .set(key, Conditions::from_status(&new));
            return Ok(Outcome {
                next: Next::After(time),
                ..outcome
            });
        }
        self.report(key, subject, Some(&new), StatusPatch::Apply)
            .await?;
        if is_ready(&new)
            && applied.writes().is_empty()
            && outcome.next == Next::After(EXTERNAL_POLL)
            && let (Database::External(external), Some(version)) =
                (&validated.database, secret_version)
        {
            let seen = Seen {
                name: external.secret.clone(),
                version,
                until: after(now, self.resync),
            };
            self.external_secrets.remember(key, seen);
        }
        Ok(outcome)
    }

    /// The resource, unless it is gone or being deleted: then owner references do the rest, and whatever is created
    /// would be garbage. A deletion that waits for the operator is its work.
    async fn read(&self, key: &Key) -> Result<Option<DynamicObject>> {
        let live = self.cluster.service(&key.namespace, &key.name).await?;
        Ok(live.filter(|live| live.metadata.deletion_timestamp.is_none() || let_go::is_held(live)))
    }

    /// Exposes and writes a status, when there is one.
    async fn report(
        &self,
        key: &Key,
        subject: &Subject,
        new: Option<&HelloServiceStatus>,
        patch: StatusPatch,
    ) -> Result<()> {
        let Some(new) = new else { return Ok(()) };
        self.metrics
            .conditions
            .set(key, Conditions::from_status(new));
        write(&self.cluster, &self.events, subject, new, patch).await
    }

    /// Reports a panic, from as little of the resource as possible.
    async fn panicked(&self, key: &Key, message: &str) -> Result<()> {
        let Some(raw) = self.read(key).await? else {
            return Ok(());
        };
        let subject = Subject::from_object(&raw);
        let new = status::from_panic(
            &subject.identity,
            message,
            subject.status.as_ref(),
            (self.clock)(),
        );
        let patch = match dereference::parse::<HelloService>(raw) {
            Ok(_) => StatusPatch::Apply,
            Err(_) => StatusPatch::Merge,
        };
        self.report(key, &subject, Some(&new), patch).await
    }
}

/// What a pass knows and wants to write, before it writes anything, with the version of the Secret that the spec of
/// the database names. This is all that `diff` does.
///
/// # Errors
/// Those of the steps: the spec or what it names is not usable, or the API server does not answer.
pub async fn decide(
    cluster: &Cluster,
    service: &HelloService,
    images: &DefaultImages,
    limits: &Limits,
    scope: Scope,
    now: Timestamp,
) -> Result<(Validated, Decision, Option<String>)> {
    let validated = validate::validate(service, images)?;
    limits.check(&validated)?;
    let mut read = dereference::read(cluster, &validated, scope, now).await?;
    let prepared = children::build(&validated, &read.inputs).prepare()?;
    let names = prepared.ids().filter(|id| scope.looks_up(id.kind));
    dereference::find_unlabelled(cluster, &validated, names, &mut read.observed).await?;
    let times = waits_since(service.status.as_ref(), &validated, now);
    dereference::find_refusals(cluster, &validated, times, now, &mut read.observed).await?;
    dereference::find_pull_secrets(cluster, &validated, &mut read.observed).await?;
    let secret = read.observed.database_secret.as_ref();
    let version = secret.and_then(|secret| secret.metadata.resource_version.clone());
    let decision = plan::decide(&validated, &prepared, read);
    Ok((validated, decision, version))
}

/// When the parts of a service with this status began to wait.
fn waits_since(
    status: Option<&HelloServiceStatus>,
    service: &Validated,
    now: Timestamp,
) -> due_pods::Times {
    let backup = service.backup.as_ref();
    due_pods::Times {
        changing: status.and_then(not_ready_since),
        backup_due: backup.and_then(|backup| backup.last_due(now)),
    }
}

fn outcome(
    service: &Validated,
    applied: &apply::Applied,
    new: &HelloServiceStatus,
    now: Timestamp,
    resync: Duration,
) -> Outcome {
    if !applied.failed().is_empty() {
        return Outcome::failed(Class::Refused.delays(), Class::Transient.as_str());
    }
    if !applied.refused().is_empty() {
        return Outcome::failed(Class::Refused.delays(), Class::Refused.as_str());
    }
    // No watch reports that an API is served now, nor that a foreign Secret or ConfigMap exists or has changed.
    let next = if !applied.plan().unavailable.is_empty() {
        optional_apis::LOOK_AGAIN
    } else if !applied.unresolved().is_empty() {
        IN_PROGRESS
    } else if !service.database.is_watched() {
        EXTERNAL_POLL
    } else if is_ready(new) {
        resync
    } else {
        IN_PROGRESS
    };
    let next = match applied.readiness().database {
        DatabaseState::Changing => next.min(CLUSTER_CHANGED),
        _ => next,
    };
    let next = match applied.facts().bootstrap {
        Bootstrap::Done if !service.paused => next.min(AT_ONCE),
        _ => next,
    };
    let proved = |status: Option<&OrderedBackup>| status.and_then(|order| order.file.clone());
    let ordered = new
        .backup
        .as_ref()
        .and_then(|backup| backup.ordered.as_ref());
    let next = match proved(ordered) != proved(service.deletion.ordered.as_ref()) {
        true => next.min(AT_ONCE),
        false => next,
    };
    // Each phase is stored before anything is done in it.
    let phase = new.database.as_ref().map(|database| &database.upgrade);
    let next = match phase.is_some_and(|phase| *phase != service.data.upgrade) {
        true => next.min(AT_ONCE),
        false => next,
    };
    // No watch reports that the namespace is being deleted.
    let next = match applied.facts().leaving {
        Some(_) => next.min(IN_PROGRESS),
        None => next,
    };
    let next = match &service.data.upgrade {
        Some(_) => next.min(IN_PROGRESS),
        None => next,
    };
    let next = match applied.awaits_pods() {
        true => next.min(PODS_DUE),
        false => next,
    };
    let until = |due: Timestamp| {
        let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        left.max(Duration::from_secs(1))
    };
    let change = applied.next_change().map(until);
    // Nothing reports that the Job of a backup does not come.
    let backup = service.backup.as_ref();
    let backup = backup.and_then(|backup| backup.next_due(now, next));
    let backup = backup.map(|due| until(due).saturating_add(due_pods::LATE));
    let next = change.into_iter().chain(backup).fold(next, Duration::min);
    if applied.writes().is_empty() {
        Outcome::after(next, "unchanged")
    } else {
        Outcome::after(next, "changed")
    }
}

#[cfg(test)]
mod tests;
