//! The decision: what to write next, given what is wanted and what is there.
//!
//! A pure function of facts. It keeps no memory: whatever happened before (a crash, a lost answer,
//! somebody else's edit), the next call starts from what is there now. That is what makes it
//! possible to explore every interleaving in a model checker instead of arguing about them.

pub mod cnpg_health;
pub mod facts;
pub mod write_reason;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::object::{
    child::ChildId,
    kind::{Gate, Kind},
};

/// What is wanted of one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Which child.
    pub id: ChildId,
    /// When it may be written.
    pub gate: Gate,
}

/// What is there under the name of a child, or belongs to the resource without being wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Ours and as wanted (or not compared, when it is not wanted at all).
    Settled,
    /// Ours, and different from what is wanted.
    Drifted,
    /// On its way out.
    Deleting,
    /// It belongs to an earlier resource of this name, whose garbage is still being collected.
    Predecessor,
    /// Somebody else's.
    Foreign,
}

/// State of a migration Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobPhase {
    /// Its pods may be running.
    Active,
    /// It has done its work.
    Succeeded,
    /// It has given up.
    Failed,
}

/// Everything the decision depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Children that are there.
    pub present: BTreeMap<ChildId, Presence>,
    /// Phases of the migration Jobs among them.
    pub jobs: BTreeMap<ChildId, JobPhase>,
    /// Drifted children of which something else was wanted when they were written: nobody meddled with them. The
    /// decision is the same; it is told apart for those who read about it.
    pub outdated: BTreeSet<ChildId>,
    /// Whether the database answers and runs what is wanted.
    pub database_ready: bool,
    /// Whether a pod of some migration may be at work, whatever became of its Job.
    pub migrating: bool,
    /// Replicas of the Deployment, when it exists.
    pub live_replicas: Option<i32>,
    /// Replicas wanted; `None` leaves them to the autoscaler.
    pub wanted_replicas: Option<i32>,
    /// Replicas of a Deployment that is created now.
    pub initial_replicas: i32,
    /// Whether we hold the number of replicas although it is not ours to keep: the next update would
    /// take it away.
    pub holds_replicas: bool,
    /// Kinds that the cluster does not serve.
    pub missing: BTreeSet<Kind>,
    /// Whether children may be changed at all.
    pub paused: bool,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create the child.
    Create(ChildId),
    /// Bring the child to what is wanted.
    Update(ChildId),
    /// Delete the child.
    Delete(ChildId),
    /// Give the Deployment this number of replicas.
    Scale(ChildId, i32),
    /// Give up the Deployment's number of replicas, which stays what it is.
    Release(ChildId),
}

impl Action {
    /// The child it concerns.
    #[must_use]
    pub const fn child(&self) -> &ChildId {
        match self {
            Self::Create(id)
            | Self::Update(id)
            | Self::Delete(id)
            | Self::Scale(id, _)
            | Self::Release(id) => id,
        }
    }

    /// What is done to it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::Scale(..) => "scale",
            Self::Release(_) => "release",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        match self {
            Self::Create(id) | Self::Update(id) | Self::Delete(id) => write!(f, "{verb} {id}"),
            Self::Scale(id, replicas) => write!(f, "{verb} {id} to {replicas}"),
            Self::Release(id) => write!(f, "{verb} the replicas of {id}"),
        }
    }
}

/// How far the wanted migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Migration {
    /// It waits for the database, or for another migration to be gone.
    Pending,
    /// Its Job exists or is created now.
    Running,
    /// Its Job failed; nothing more happens until the inputs change or the Job is deleted.
    Failed,
    /// Its Job succeeded.
    Succeeded,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Writes, in order.
    pub actions: Vec<Action>,
    /// How far the migration is before these writes.
    pub migration: Migration,
    /// Wanted names that somebody else has.
    pub conflicts: Vec<ChildId>,
    /// Wanted names that will become free by themselves.
    pub leaving: Vec<ChildId>,
    /// Wanted children whose kind the cluster does not serve.
    pub unavailable: Vec<ChildId>,
}

/// Decides what to write next.
#[must_use]
pub fn plan(wanted: &[Wanted], facts: &Facts) -> Plan {
    let mut plan = Plan {
        actions: Vec::new(),
        migration: migration_phase(wanted, facts),
        conflicts: Vec::new(),
        leaving: Vec::new(),
        unavailable: Vec::new(),
    };
    for child in wanted {
        if facts.missing.contains(&child.id.kind) {
            plan.unavailable.push(child.id.clone());
            continue;
        }
        let presence = facts.present.get(&child.id);
        match presence {
            Some(Presence::Foreign) => plan.conflicts.push(child.id.clone()),
            Some(Presence::Deleting | Presence::Predecessor) => plan.leaving.push(child.id.clone()),
            Some(Presence::Settled | Presence::Drifted) | None => {
                plan.child(child, presence, facts);
            }
        }
    }
    plan.remove_unwanted(wanted, facts);
    // An autoscaler that is still there would take the number of pods back.
    plan.actions.sort_by_key(
        |action| !matches!(action, Action::Delete(id) if id.kind == Kind::HorizontalPodAutoscaler),
    );
    if facts.paused {
        plan.actions.clear();
    }
    plan
}

/// Looks only at the wanted Job: what an earlier one achieved says nothing about this one.
fn migration_phase(wanted: &[Wanted], facts: &Facts) -> Migration {
    let job = wanted.iter().find(|child| child.gate == Gate::Migration);
    let Some(job) = job else {
        return Migration::Pending;
    };
    match (facts.present.get(&job.id), facts.jobs.get(&job.id)) {
        (Some(Presence::Settled | Presence::Drifted), Some(phase)) => match phase {
            JobPhase::Active => Migration::Running,
            JobPhase::Succeeded => Migration::Succeeded,
            JobPhase::Failed => Migration::Failed,
        },
        _ => Migration::Pending,
    }
}

/// Whether the claim that the pods of this child write to is somebody else's, or on its way out.
fn volume_is_taken(id: &ChildId, facts: &Facts) -> bool {
    let Some(claim) = id.kind.row().claim else {
        return false;
    };
    let claim = ChildId::new(Kind::PersistentVolumeClaim, claim(&id.name));
    matches!(
        facts.present.get(&claim),
        Some(Presence::Deleting | Presence::Predecessor | Presence::Foreign)
    )
}

impl Plan {
    fn child(&mut self, child: &Wanted, presence: Option<&Presence>, facts: &Facts) {
        let id = &child.id;
        let drifted = presence == Some(&Presence::Drifted);
        match child.gate {
            Gate::Always | Gate::IfPresent if drifted => {
                self.actions.push(Action::Update(id.clone()));
            }
            // What its pods wrote there would be lost, or in the way of somebody else.
            Gate::Always if presence.is_none() && volume_is_taken(id, facts) => {}
            Gate::Always if presence.is_none() => self.actions.push(Action::Create(id.clone())),
            Gate::Always | Gate::IfPresent => {}
            Gate::Migration => self.migrate(id, presence, facts),
            Gate::Migrated => self.roll_out(id, presence, facts),
        }
    }

    /// A Job is created only where no other one is left, not even a finished one: were an old
    /// success kept, going back to its inputs would roll out without a migration. Nor may a pod of one
    /// be left: those of a Job that others deleted outlive it.
    fn migrate(&mut self, id: &ChildId, presence: Option<&Presence>, facts: &Facts) {
        let mut alone = true;
        for other in facts.jobs.keys().filter(|other| *other != id) {
            alone = false;
            let leaving = matches!(
                facts.present.get(other),
                Some(Presence::Deleting | Presence::Predecessor)
            );
            if !leaving {
                self.actions.push(Action::Delete(other.clone()));
            }
        }
        if presence.is_none() && alone && !facts.migrating && facts.database_ready {
            self.actions.push(Action::Create(id.clone()));
            self.migration = Migration::Running;
        }
    }

    fn roll_out(&mut self, id: &ChildId, presence: Option<&Presence>, facts: &Facts) {
        if facts.holds_replicas {
            self.actions.push(Action::Release(id.clone()));
        }
        if self.migration == Migration::Succeeded {
            match presence {
                None => {
                    self.actions.push(Action::Create(id.clone()));
                    // With one, nobody has said a number: it is the API server's own.
                    if facts.initial_replicas != 1 {
                        self.actions.push(Action::Release(id.clone()));
                    }
                    return;
                }
                Some(Presence::Drifted) => self.actions.push(Action::Update(id.clone())),
                Some(_) => {}
            }
        }
        // The number of pods is independent of what they run: it also follows while a migration is due.
        if let (Some(wanted), Some(live)) = (facts.wanted_replicas, facts.live_replicas)
            && wanted != live
        {
            self.actions.push(Action::Scale(id.clone(), wanted));
        }
    }

    /// Jobs are left to [`Plan::migrate`].
    fn remove_unwanted(&mut self, wanted: &[Wanted], facts: &Facts) {
        for (id, presence) in &facts.present {
            let ours = matches!(presence, Presence::Settled | Presence::Drifted);
            if ours && id.kind != Kind::Job && !wanted.iter().any(|child| child.id == *id) {
                self.actions.push(Action::Delete(id.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
