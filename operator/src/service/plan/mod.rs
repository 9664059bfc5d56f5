//! Step 4: the decision, as data. Nothing is read or written here.
//!
//! [`facts`] and [`presence`] turn live objects into what the [`planner`] depends on, [`readiness`] judges whether the
//! parts of the service are ready, and [`decide`] puts together what is to be written, with its bodies.

pub mod action;
pub mod bootstrap;
pub mod cnpg_health;
pub mod data;
pub mod facts;
pub mod job_phase;
pub mod leaving;
pub mod phase;
pub mod planner;
pub mod presence;
pub mod readiness;
pub mod stuck_pod;
mod stuck_run;
pub mod upgrade;
pub mod version;
pub mod write;
pub mod write_reason;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    object::{
        child::{ChildId, Desired},
        kind::{Need, Of},
        live::LiveObjects,
        names::{Component, SNAPSHOT_FINALIZER},
        owner::Identity,
    },
    service::{
        children::Prepared,
        dereference::{
            Read,
            inputs::Inputs,
            observed::{DuePods, Observed, Problem},
        },
        plan::{
            facts::Facts,
            leaving::Finalizer,
            planner::{Plan, Wanted, plan},
            readiness::Readiness,
            write::{Write, writes},
        },
        validate::{Database, Deletion, Validated},
    },
};

/// What a pass is going to do, and what it knows.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The service.
    pub identity: Identity,
    /// Where its data is.
    pub database: Database,
    /// Every wanted child.
    pub wanted: Vec<ChildId>,
    /// What the plan is based on.
    pub facts: Facts,
    /// The plan.
    pub plan: Plan,
    /// The writes of the plan with their bodies, in order.
    pub writes: Vec<Write>,
    /// Whether the parts of the service are ready, before the writes.
    pub readiness: Readiness,
    /// The live objects before the writes.
    pub live: LiveObjects,
    /// The service's pods.
    pub pods: Vec<Pod>,
    /// The children, wanted or there, that the service serves without.
    pub of_backups: BTreeSet<ChildId>,
    /// What is wrong with objects that the spec names.
    pub unresolved: Vec<Problem>,
    /// What Kubernetes' controllers should have made and have not.
    pub due_pods: DuePods,
    /// Secrets for pulling images that do not exist, when an image cannot be pulled.
    pub missing_pull_secrets: Vec<String>,
    /// When time alone makes another decision due.
    pub next_change: Option<Timestamp>,
    /// The finalizers that the resource is to have, with the version for which that was decided.
    pub finalizers: Option<Finalizers>,
}

/// The finalizers that a resource is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finalizers {
    /// The version of the resource that was read. Another one may have another policy.
    pub version: Option<String>,
    /// All of them, those of others included.
    pub names: Vec<String>,
}

/// Decides what to do about a service, given what is wanted and what was read.
#[must_use]
pub fn decide(service: &Validated, prepared: &Prepared, read: Read) -> Decision {
    let Read { observed, inputs } = read;
    let (facts, readiness) = look(service, prepared, &observed, &inputs);
    let plan = plan(&wanted(prepared), &facts);
    Decision {
        finalizers: finalizers(&service.deletion, plan.finalizer),
        identity: service.identity.clone(),
        database: service.database.clone(),
        wanted: prepared.ids().cloned().collect(),
        writes: writes(&plan, &facts, &prepared.children),
        of_backups: of_backups(prepared, &observed.children),
        facts,
        plan,
        readiness,
        live: observed.children,
        pods: observed.pods,
        unresolved: observed.unresolved,
        due_pods: observed.due_pods,
        missing_pull_secrets: observed.missing_pull_secrets,
        next_change: inputs.next_change(),
    }
}

fn finalizers(deletion: &Deletion, change: Finalizer) -> Option<Finalizers> {
    let mut names = deletion.finalizers.clone();
    names.retain(|name| name != SNAPSHOT_FINALIZER);
    match change {
        Finalizer::Unchanged => return None,
        Finalizer::Add => names.push(SNAPSHOT_FINALIZER.into()),
        Finalizer::Remove => {}
    }
    let version = deletion.version.clone();
    Some(Finalizers { version, names })
}

/// The children that are there for the backups alone.
fn of_backups(prepared: &Prepared, live: &LiveObjects) -> BTreeSet<ChildId> {
    let wanted = prepared.children.iter();
    let wanted = wanted.filter(|child| child.is_of_backups());
    let left = live.iter().filter(|(id, live)| {
        let part = Component::from_labels(live.object().labels());
        part.is_some_and(Component::is_of_backups) && !prepared.ids().any(|wanted| wanted == *id)
    });
    let left = left.map(|(id, _)| id.clone());
    wanted.map(|child| child.id.clone()).chain(left).collect()
}

/// What was read, in the planner's terms, and what it means for readiness.
#[must_use]
pub fn look(
    service: &Validated,
    prepared: &Prepared,
    observed: &Observed,
    inputs: &Inputs,
) -> (Facts, Readiness) {
    let mut facts = Facts::from_observed(service, prepared, observed, inputs);
    let readiness = readiness::observe(
        &service.identity,
        &service.database,
        &facts,
        &observed.children,
        &observed.pods,
    );
    facts.database_ready = readiness.database.is_ready();
    facts.accepts_migration = readiness.database.accepts_migration();
    (facts, readiness)
}

/// The wanted children in the planner's terms.
#[must_use]
pub fn wanted(prepared: &Prepared) -> Vec<Wanted> {
    let children = &prepared.children;
    let wanted = children.iter().map(|child| {
        let mut wanted = Wanted::new(child.id.clone(), child.gate);
        for need in child.id.kind.row().needs {
            let (kind, of) = need.target();
            let targets = children.iter().filter(|other| {
                other.id.kind == kind && other.id != child.id && is_meant(of, child, other)
            });
            let targets = targets.map(|other| other.id.clone());
            match need {
                Need::Uses(..) => wanted.uses.extend(targets),
                Need::ActsOn(..) => wanted.acts_on.extend(targets),
            }
        }
        wanted
    });
    wanted.collect()
}

fn is_meant(of: Of, child: &Desired, other: &Desired) -> bool {
    match of {
        Of::Every => child.is_of_backups() || !other.is_of_backups(),
        Of::Same => other.part() == child.part(),
        Of::Database => other.part() == Some(Component::Database),
    }
}

#[cfg(test)]
mod tests;
