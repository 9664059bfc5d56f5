//! One pass over one HelloRestore: read, validate, build, decide, apply, report.
//!
//! A restore is a sequence of Jobs, one at a time; the database knows which of them has done its work. What is known of
//! their ends is in the status, which outlives them.

pub mod apply;
pub mod children;
pub mod dereference;
pub mod plan;
pub mod reason;
pub mod report;
pub mod validate;

use std::time::Duration;

use hello_crds::{HelloRestore, HelloRestoreStatus, RestorePhase};
use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject},
};

use crate::{
    controller::{Reconcile, outcome::Outcome},
    error::{Class, Error, Result},
    kubernetes::api::status::StatusPatch,
    object::{child::Desired, key::Key},
    restore::{
        dereference::{Hindrance, Seen},
        plan::{
            planner::{Facts, Next, Plan, Progress, plan},
            step::Step,
        },
        reason::Reason,
        report::READY,
        validate::Order,
    },
    service::{self, Context, RESYNC},
};

/// A step is at work: watches report its end, this is the safety net.
const IN_PROGRESS: Duration = Duration::from_secs(15);
/// No watch of restores reports that a service is ready, or that another restore has ended.
const WAITING: Duration = Duration::from_secs(5);
/// The next step follows at once.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Passes over HelloRestores, with what passes over services need.
#[derive(Clone)]
pub struct Restores(pub Context);

impl Reconcile for Restores {
    async fn reconcile(&self, key: &Key) -> Outcome {
        match self.pass(key).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::of_error(key, &error),
        }
    }

    async fn report_panic(&self, key: &Key, message: &str) {
        if let Err(error) = self.panicked(key, message).await {
            let (namespace, name) = (&*key.namespace, &*key.name);
            tracing::warn!(namespace, name, %error, "the panic is not in the status");
        }
    }
}

impl Restores {
    async fn pass(&self, key: &Key) -> Result<Outcome> {
        let Some(order) = self.order(key).await? else {
            self.0.metrics.restores.forget(key);
            return Ok(Outcome::gone());
        };
        let phase = order.status.phase.unwrap_or(RestorePhase::Pending);
        self.0.metrics.restores.set(key, phase);
        if is_at_rest(&order) {
            return Ok(Outcome::after(RESYNC, "unchanged"));
        }
        let now = (self.0.clock)();
        let seen = dereference::runs(&self.0.cluster, &order, &self.0.images, now).await?;
        let service = dereference::service(&self.0.cluster, &order).await?;
        let uid = service.as_ref().and_then(ResourceExt::uid);
        let mut facts = facts(&order, &seen, service.is_none());
        let mut words = None;
        let mut children = Vec::new();
        let mut decided = plan(&facts);
        // Only a step that is about to start depends on the rest.
        let about = match decided.next {
            Next::Hold => Some(Step::Stage),
            Next::Start(step) => Some(step),
            Next::Nothing | Next::Remove(_) | Next::Release => None,
        };
        if let Some(step) = about {
            match self.needs(&order, service, step, now).await? {
                Ok(missing) => children = missing,
                Err((reason, exact)) => {
                    (facts.hindrance, words) = (Some(reason), exact);
                    decided = plan(&facts);
                }
            }
        }
        let uid = uid.filter(|_| decided.phase != RestorePhase::Pending);
        let new = report::status(&order, &decided, &seen, uid, words, now);
        // The status comes first: a step is never at work of which it does not know, whatever happens to the Jobs.
        if !is_refused_again(&order, &decided) {
            self.report(key, &order, &new).await?;
        }
        let outcome = outcome(&order, &decided, &new);
        match self.write(&order, decided.next, &children, &seen).await? {
            None => Ok(outcome),
            Some(words) => {
                let order = Order {
                    status: new,
                    ..order
                };
                let new = report::with_reason(&order, Reason::JobRefused, &words, now);
                self.report(key, &order, &new).await?;
                Ok(Outcome::failed(
                    Class::Refused.delays(),
                    Class::Refused.as_str(),
                ))
            }
        }
    }

    /// The resource, unless it is gone.
    async fn order(&self, key: &Key) -> Result<Option<Order>> {
        let live = self.0.cluster.restore(&key.namespace, &key.name).await?;
        live.map(|raw| validate::validate(&service::dereference::parse(raw)?))
            .transpose()
    }

    /// What is created to start a step, or why it may not start.
    async fn needs(
        &self,
        order: &Order,
        service: Option<DynamicObject>,
        step: Step,
        now: Timestamp,
    ) -> Result<std::result::Result<Vec<Desired>, Hindrance>> {
        let Some(raw) = service else {
            let reason = match order.status.service_uid {
                Some(_) => Reason::ServiceReplaced,
                None => Reason::ServiceMissing,
            };
            return Ok(Err((reason, None)));
        };
        if step == Step::Stage
            && !is_of_upgrade(&raw, order)
            && let Some(first) = dereference::first(&self.0.cluster, order).await?
        {
            return Ok(Err((Reason::Queued, Some(first))));
        }
        let settings = (&self.0.images, &self.0.limits);
        let cluster = &self.0.cluster;
        match dereference::target(cluster, raw, (order, step), settings, now).await? {
            Ok(target) => {
                let missing = dereference::missing(cluster, order, step, &target);
                missing.await.map(Ok)
            }
            Err(hindrance) => Ok(Err(hindrance)),
        }
    }

    /// Makes the write of the plan. The words of the API server when it refuses it.
    async fn write(
        &self,
        order: &Order,
        next: Next,
        children: &[Desired],
        seen: &Seen,
    ) -> Result<Option<String>> {
        let cluster = &self.0.cluster;
        match apply::apply(cluster, order, next, children, seen).await {
            Ok(()) => Ok(None),
            // Nothing can be created any more, and the data goes with the namespace.
            Err(error) if error.is_terminating_namespace() && order.deleting && order.held => {
                apply::apply(cluster, order, Next::Release, &[], seen).await?;
                Ok(None)
            }
            Err(error) => match error.class() {
                Class::Refused | Class::Invalid => Ok(Some(error.to_string())),
                _ => Err(error),
            },
        }
    }

    /// Writes a status that differs from the one that the resource has.
    async fn report(&self, key: &Key, order: &Order, new: &HelloRestoreStatus) -> Result<()> {
        if order.status == *new {
            return Ok(());
        }
        let identity = &order.identity;
        let value = serde_json::to_value(new).map_err(|source| Error::Json {
            what: "status".into(),
            source,
        })?;
        let resource = ApiResource::erase::<HelloRestore>(&());
        let (namespace, name, uid) = (&identity.namespace, &identity.name, &identity.uid);
        let written = self
            .0
            .cluster
            .write_status(&resource, namespace, name, uid, &value, StatusPatch::Apply)
            .await;
        match written {
            // It has just been let go.
            Err(error) if order.deleting && (error.is_code(404) || error.is_code(409)) => {
                return Ok(());
            }
            other => other?,
        }
        if let Some(phase) = new.phase {
            self.0.metrics.restores.set(key, phase);
        }
        let Some(ready) = new.condition(READY) else {
            return Ok(());
        };
        let before = order.status.condition(READY);
        if before.is_none_or(|before| before.reason != ready.reason) {
            let warn = Reason::from_name(&ready.reason).is_some_and(Reason::needs_action);
            self.0.events.restore_condition(identity, ready, warn);
        }
        Ok(())
    }

    async fn panicked(&self, key: &Key, message: &str) -> Result<()> {
        let Some(order) = self.order(key).await? else {
            return Ok(());
        };
        let now = (self.0.clock)();
        let new = report::with_reason(&order, Reason::InternalError, message, now);
        self.report(key, &order, &new).await
    }
}

/// Whether it brings the data of a change of the data's version, for which each other restore waits.
fn is_of_upgrade(service: &DynamicObject, order: &Order) -> bool {
    let upgrade = &service.data["status"]["database"]["upgrade"];
    upgrade["restore"].as_str() == Some(&order.identity.name)
}

/// Whether nothing is to be done, whatever else there is.
fn is_at_rest(order: &Order) -> bool {
    let status = &order.status;
    let known = status.observed_generation == Some(order.identity.generation);
    if order.deleting {
        return !order.held;
    }
    let has_previous = status.previous.is_some();
    known
        && match report::progress(status) {
            Progress::New | Progress::Staged(_) => false,
            Progress::Ended(..) => true,
            Progress::Undone => !(order.held || order.drop && has_previous),
            Progress::Swapped => {
                let rests = status.phase == Some(RestorePhase::Completed);
                rests && !order.held && order.undo.is_none() && !(order.drop && has_previous)
            }
        }
}

/// Whether the API server refused the Job that is tried again now: that is no news until it takes it.
fn is_refused_again(order: &Order, plan: &Plan) -> bool {
    let ready = order.status.condition(READY);
    let refused = ready.is_some_and(|ready| ready.reason == Reason::JobRefused.to_string());
    refused && matches!(plan.next, Next::Start(_)) && order.status.phase == Some(plan.phase)
}

fn facts(order: &Order, seen: &Seen, service_gone: bool) -> Facts {
    Facts {
        deleting: order.deleting,
        held: order.held,
        pinned: order.status.service_uid.is_some(),
        consent: order.consent,
        undo: order.undo,
        drop: order.drop,
        progress: report::progress(&order.status),
        has_previous: order.status.previous.is_some(),
        runs: seen.runs.clone(),
        service_gone,
        hindrance: None,
    }
}

/// When to look again.
fn outcome(order: &Order, plan: &Plan, new: &HelloRestoreStatus) -> Outcome {
    let label = match plan.next {
        Next::Nothing => "unchanged",
        Next::Hold | Next::Start(_) | Next::Remove(_) | Next::Release => "changed",
    };
    let follows = match plan.next {
        // The next step needs what this one has written.
        Next::Hold | Next::Remove(_) => true,
        Next::Release => !order.deleting,
        Next::Nothing => order.held && order.status.service_uid != new.service_uid,
        Next::Start(_) => false,
    };
    let next = match plan.reason {
        _ if follows => AT_ONCE,
        Reason::Staging
        | Reason::Swapping
        | Reason::Undoing
        | Reason::Dropping
        | Reason::Discarding
        | Reason::Retrying => IN_PROGRESS,
        Reason::Completed
        | Reason::Undone
        | Reason::WaitingForConsent
        | Reason::LossNotAccepted
        | Reason::NothingToUndo => RESYNC,
        _ if matches!(plan.phase, RestorePhase::Failed | RestorePhase::Refused) => RESYNC,
        _ => WAITING,
    };
    Outcome::after(next, label)
}
