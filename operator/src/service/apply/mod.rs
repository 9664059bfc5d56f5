//! Step 5: carries out the writes of a decision. Nothing is decided here.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;

use crate::{
    error::{Class, Error, Result},
    kubernetes::api::Cluster,
    object::{
        child::ChildId,
        live::{Live, LiveObjects},
        owner::Identity,
    },
    service::{
        dereference::observed::Problem,
        plan::{
            Decision,
            action::Action,
            facts::Facts,
            planner::{Migration, Plan},
            readiness::{self, Readiness},
            write::Change,
            write_reason::WriteReason,
        },
    },
};

/// What is there after the writes. Only `apply` makes one, so a status can only
/// report what was really applied.
#[derive(Debug)]
pub struct Applied {
    decision: Decision,
    refused: Vec<(ChildId, Error)>,
    failed: Vec<(ChildId, Error)>,
    not_made: BTreeSet<ChildId>,
    writes: Vec<(Action, WriteReason)>,
}

impl Applied {
    /// What a pass without writes leaves.
    #[cfg(test)]
    pub(crate) fn without_writes(decision: Decision) -> Self {
        Self {
            decision,
            refused: Vec::new(),
            failed: Vec::new(),
            not_made: BTreeSet::new(),
            writes: Vec::new(),
        }
    }

    /// The same after the API server refused to write this child.
    #[cfg(test)]
    pub(crate) fn refusing(mut self, id: ChildId, error: Error) -> Self {
        let writes = self.decision.writes.iter();
        let held_back = writes.filter(|write| write.needs.contains(&id));
        self.not_made
            .extend(held_back.map(|write| write.change.action().child().clone()));
        self.not_made.insert(id.clone());
        match error.class() {
            class if class.is_passing() => self.failed.push((id, error)),
            _ => self.refused.push((id, error)),
        }
        self
    }

    /// The live object of a child.
    #[must_use]
    pub fn get(&self, id: &ChildId) -> Option<&DynamicObject> {
        self.decision.live.get(id).map(Live::object)
    }

    /// The live objects.
    #[must_use]
    pub fn live(&self) -> &LiveObjects {
        &self.decision.live
    }

    /// The service's pods.
    #[must_use]
    pub fn pods(&self) -> &[Pod] {
        &self.decision.pods
    }

    /// Every wanted child.
    #[must_use]
    pub fn wanted(&self) -> &[ChildId] {
        &self.decision.wanted
    }

    /// What the plan was based on.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.decision.facts
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.decision.plan
    }

    /// Whether the parts of the service are ready, after the writes.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.decision.readiness
    }

    /// How far the migration is: as planned, unless its Job could not be written.
    #[must_use]
    pub fn migration(&self) -> Migration {
        if self.not_made.iter().any(|id| self.facts().is_migration(id)) {
            return Migration::Pending;
        }
        self.decision.plan.migration
    }

    /// Children that the API server refused to write, with its answers.
    #[must_use]
    pub fn refused(&self) -> &[(ChildId, Error)] {
        &self.refused
    }

    /// Children that the API server failed to write, with its answers. It may succeed at the next try.
    #[must_use]
    pub fn failed(&self) -> &[(ChildId, Error)] {
        &self.failed
    }

    /// The same, unless the API server failed to write a child.
    ///
    /// # Errors
    /// The first of these errors.
    pub fn or_failure(mut self) -> Result<Self> {
        match self.failed.is_empty() {
            true => Ok(self),
            false => Err(self.failed.remove(0).1),
        }
    }

    /// Whether the service serves without this child.
    #[must_use]
    pub fn is_of_backups(&self, id: &ChildId) -> bool {
        self.decision.of_backups.contains(id)
    }

    /// What is wrong with objects that the spec names.
    #[must_use]
    pub fn unresolved(&self) -> &[Problem] {
        &self.decision.unresolved
    }

    /// Secrets for pulling images that do not exist, when an image cannot be pulled.
    #[must_use]
    pub fn missing_pull_secrets(&self) -> &[String] {
        &self.decision.missing_pull_secrets
    }

    /// Why what this object waits for does not come: pods, a Job, a volume. In the words of the API server or of the
    /// controller.
    #[must_use]
    pub fn refused_pods(&self, owner: &ChildId) -> Option<&str> {
        let refused = &self.decision.due_pods.refused;
        refused.get(owner).map(String::as_str)
    }

    /// Whether pods are due, do not exist, and nothing is known about the reason yet.
    #[must_use]
    pub fn awaits_pods(&self) -> bool {
        let due = &self.decision.due_pods;
        due.awaited && due.refused.is_empty()
    }

    /// When time alone makes another pass due.
    #[must_use]
    pub fn next_change(&self) -> Option<Timestamp> {
        self.decision.next_change
    }

    /// Writes that were made, and why.
    #[must_use]
    pub fn writes(&self) -> &[(Action, WriteReason)] {
        &self.writes
    }
}

/// Sets the finalizers, then carries out the writes in their order. A write that the API server refuses, or fails at, does not keep the others from
/// being made, except those that need it.
///
/// # Errors
/// An error that is not about one child ends the pass: the next one starts from what is there then.
pub async fn apply(cluster: &Cluster, mut decision: Decision) -> Result<Applied> {
    if let Some(finalizers) = &decision.finalizers {
        cluster
            .set_finalizers(
                &decision.identity,
                finalizers.version.as_deref(),
                &finalizers.names,
            )
            .await?;
    }
    let (mut made, mut refused, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let mut not_made = BTreeSet::new();
    for write in &decision.writes {
        let action = write.change.action();
        let id = action.child();
        if write.needs.iter().any(|id| not_made.contains(id)) {
            not_made.insert(id.clone());
            continue;
        }
        match carry_out(
            cluster,
            &decision.identity,
            &write.change,
            &mut decision.live,
        )
        .await
        {
            Ok(()) => {
                log(&decision.identity, &action, write.reason);
                made.push((action, write.reason));
            }
            Err(error) => {
                let list = match error.class() {
                    class if class.is_passing() && error.is_about_one_object(failed.is_empty()) => {
                        &mut failed
                    }
                    Class::Transient | Class::Unanswered | Class::Conflict => return Err(error),
                    Class::Waiting | Class::Invalid | Class::Refused => &mut refused,
                };
                list.push((id.clone(), error));
                not_made.insert(id.clone());
            }
        }
    }
    decision.readiness = readiness::observe(
        &decision.identity,
        &decision.database,
        &decision.facts,
        &decision.live,
        &decision.pods,
    );
    Ok(Applied {
        decision,
        refused,
        failed,
        not_made,
        writes: made,
    })
}

fn log(service: &Identity, action: &Action, reason: WriteReason) {
    let id = action.child();
    tracing::info!(
        namespace = service.namespace,
        name = service.name,
        write = action.verb(),
        kind = %id.kind,
        object = id.name,
        replicas = action.replicas(),
        %reason,
        "applied"
    );
}

/// Makes one write, and keeps the live objects up to date with its answer. A write to an object that is there is for
/// that very object, by its UID.
async fn carry_out(
    cluster: &Cluster,
    service: &Identity,
    change: &Change,
    live: &mut LiveObjects,
) -> Result<()> {
    let namespace = &service.namespace;
    let uid = |id: &ChildId| live.get(id).map(Live::uid).unwrap_or_default();
    let (id, object) = match change {
        Change::Create(desired) => (&desired.id, cluster.create(desired, namespace).await?),
        Change::Update(desired) => {
            let id = &desired.id;
            (id, cluster.update(desired, namespace, &uid(id)).await?)
        }
        Change::Scale(id, replicas) => {
            let uid = uid(id);
            (id, cluster.scale(id, namespace, &uid, *replicas).await?)
        }
        Change::Release(id) => {
            let object = live.get(id).ok_or_else(|| Error::Missing {
                message: format!("{id} does not exist"),
            })?;
            let object = cluster.release_replicas(id, namespace, object.object());
            (id, object.await?)
        }
        Change::Forget(id) => {
            let uid = uid(id);
            (id, cluster.forget_migration(id, namespace, &uid).await?)
        }
        Change::Replace(_, pod) => return cluster.delete_pod(pod, namespace).await,
        Change::Delete(id) => {
            cluster.delete(id, namespace, &uid(id)).await?;
            live.remove(id);
            return Ok(());
        }
    };
    let object = Live::parse(id.kind, object).map_err(|source| Error::Unreadable {
        child: id.clone(),
        source,
    })?;
    live.insert(id.clone(), object);
    Ok(())
}

#[cfg(test)]
mod tests;
