//! Step 4: carries out the plan. Nothing is decided here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    error::{Class, Error, Result},
    kubernetes::api::Cluster,
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        owner::Identity,
    },
    service::{
        children::Prepared,
        dereference::observed::Observed,
        plan::{Action, Facts, Migration, Plan, facts, plan, write_reason::Cause},
        validate::Validated,
    },
};

/// What is there after the plan was carried out. Only `apply` makes one, so a status can only
/// speak of what was really applied.
#[derive(Debug)]
pub struct Applied {
    live: BTreeMap<ChildId, DynamicObject>,
    pods: Vec<Pod>,
    wanted: Vec<ChildId>,
    facts: Facts,
    plan: Plan,
    refused: Vec<(ChildId, Error)>,
    unresolved: Vec<String>,
    writes: Vec<(Action, Cause)>,
}

impl Applied {
    /// The live object of a wanted child.
    #[must_use]
    pub fn get(&self, id: &ChildId) -> Option<&DynamicObject> {
        self.live.get(id)
    }

    /// The service's pods.
    #[must_use]
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// Names of all wanted children.
    #[must_use]
    pub fn wanted(&self) -> &[ChildId] {
        &self.wanted
    }

    /// What the plan was based on.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Children that the API server refused, with its words.
    #[must_use]
    pub fn refused(&self) -> &[(ChildId, Error)] {
        &self.refused
    }

    /// What is wrong with objects that the spec names, in words.
    #[must_use]
    pub fn unresolved(&self) -> &[String] {
        &self.unresolved
    }

    /// Whether this action makes use of what was refused just now.
    fn lacks_what_it_needs(&self, action: &Action) -> bool {
        match action {
            // The server's certificate must not be by an authority that is not kept, nor may pods start on
            // passwords that are not.
            Action::Create(id) | Action::Update(id) => {
                let mut refused = self.refused.iter();
                id.kind.row().needs_secrets && refused.any(|(id, _)| id.kind == Kind::Secret)
            }
            Action::Release(id) => !self.live.contains_key(id),
            Action::Scale(..) | Action::Delete(_) => false,
        }
    }

    /// Writes made, and why.
    #[must_use]
    pub fn writes(&self) -> &[(Action, Cause)] {
        &self.writes
    }
}

/// Plans and carries out. A child that the API server refuses does not keep the others from being
/// applied, unless they need it.
///
/// # Errors
/// A transient error ends the pass: the next one starts from what is there then.
pub async fn apply(
    cluster: &Cluster,
    service: &Validated,
    prepared: Prepared,
    observed: Observed,
) -> Result<Applied> {
    let facts = facts::facts(service, &prepared, &observed);
    let plan = plan(&facts::wanted(&prepared), &facts);
    let mut applied = Applied {
        live: observed.children,
        pods: observed.pods,
        wanted: prepared
            .children
            .iter()
            .map(|child| child.id.clone())
            .collect(),
        facts,
        plan: plan.clone(),
        refused: Vec::new(),
        unresolved: observed.unresolved,
        writes: Vec::new(),
    };
    for action in &plan.actions {
        let id = action.child();
        if applied.lacks_what_it_needs(action) {
            continue;
        }
        let outcome = carry_out(cluster, service, &prepared.children, &mut applied, action).await;
        match outcome {
            Ok(()) => {
                let cause = Cause::of(action, &applied.facts);
                log(&service.identity, action, cause);
                applied.writes.push((action.clone(), cause));
            }
            Err(error) if error.class() == Class::Transient => return Err(error),
            Err(error) => {
                if id.kind == Kind::Job {
                    applied.plan.migration = Migration::Pending;
                }
                applied.refused.push((id.clone(), error));
            }
        }
    }
    Ok(applied)
}

fn log(service: &Identity, action: &Action, cause: Cause) {
    let id = action.child();
    let replicas = match action {
        Action::Scale(_, replicas) => Some(replicas),
        Action::Create(_) | Action::Update(_) | Action::Delete(_) | Action::Release(_) => None,
    };
    tracing::info!(
        namespace = service.namespace,
        name = service.name,
        write = action.verb(),
        kind = %id.kind,
        object = id.name,
        replicas,
        reason = %cause,
        "applied"
    );
}

async fn carry_out(
    cluster: &Cluster,
    service: &Validated,
    children: &[Desired],
    applied: &mut Applied,
    action: &Action,
) -> Result<()> {
    let namespace = &service.identity.namespace;
    let uid = |applied: &Applied, id: &ChildId| {
        applied
            .live
            .get(id)
            .and_then(ResourceExt::uid)
            .unwrap_or_default()
    };
    match action {
        Action::Create(id) => {
            if let Some(desired) = children.iter().find(|child| child.id == *id) {
                let live = match id.kind {
                    Kind::Deployment => {
                        let first = starting_with(desired, applied.facts.initial_replicas);
                        cluster.create(&first, namespace).await?
                    }
                    _ => cluster.create(desired, namespace).await?,
                };
                applied.live.insert(id.clone(), live);
            }
        }
        Action::Update(id) => {
            if let Some(desired) = children.iter().find(|child| child.id == *id) {
                let live = cluster
                    .update(desired, namespace, &uid(applied, id))
                    .await?;
                applied.live.insert(id.clone(), live);
            }
        }
        Action::Scale(id, replicas) => {
            let live = cluster
                .scale(id, namespace, &uid(applied, id), *replicas)
                .await?;
            applied.live.insert(id.clone(), live);
        }
        Action::Release(id) => {
            let live = cluster
                .release_replicas(id, namespace, &uid(applied, id))
                .await?;
            applied.live.insert(id.clone(), live);
        }
        Action::Delete(id) => {
            cluster.delete(id, namespace, &uid(applied, id)).await?;
            applied.live.remove(id);
        }
    }
    Ok(())
}

/// The Deployment with its number of pods: without one the API server starts it with one pod.
fn starting_with(deployment: &Desired, replicas: i32) -> Desired {
    let mut first = deployment.clone();
    if replicas != 1 {
        first.body["spec"]["replicas"] = replicas.into();
    }
    first
}
