//! The planner: what to write next, given what is wanted and what is there.
//!
//! A pure function of facts. It keeps no memory: whatever happened before (a crash, a lost answer, an edit by another
//! writer), the next call starts from what is there now. That makes it possible to explore every interleaving in a
//! model checker.

mod leaving;
mod upgrade;

use crate::{
    object::{
        child::ChildId,
        kind::{Gate, Kind},
    },
    service::plan::{
        action::Action, bootstrap::Bootstrap, facts::Facts, job_phase::JobPhase,
        leaving::Finalizer, presence::Presence,
    },
};

/// What is wanted of one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Which child.
    pub id: ChildId,
    /// When it may be written.
    pub gate: Gate,
    /// Wanted children that it uses. It is held back while one of them is foreign.
    pub uses: Vec<ChildId>,
    /// Wanted children that it acts on. While one of them is foreign, it must not exist.
    pub acts_on: Vec<ChildId>,
}

impl Wanted {
    /// A child that depends on no other.
    #[must_use]
    pub const fn new(id: ChildId, gate: Gate) -> Self {
        Self {
            id,
            gate,
            uses: Vec::new(),
            acts_on: Vec::new(),
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
    /// Its Job gave up for a reason that may pass; another one follows.
    Interrupted,
    /// Its Job succeeded, which is also known when that was deleted later.
    Succeeded,
}

/// What the planner decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Writes, in order.
    pub actions: Vec<Action>,
    /// How far the migration is before these writes.
    pub migration: Migration,
    /// Wanted names that foreign objects have.
    pub conflicts: Vec<ChildId>,
    /// Wanted names that become free without a write.
    pub leaving: Vec<ChildId>,
    /// Wanted children whose kind the cluster does not serve.
    pub unavailable: Vec<ChildId>,
    /// What is done about the finalizer: it is added before the writes, and removed instead of them.
    pub finalizer: Finalizer,
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
        finalizer: facts.finalizer,
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
                if child.acts_on.iter().any(|id| is_foreign(id, facts)) {
                    let there = presence.map(|_| Action::Delete(child.id.clone()));
                    plan.actions.extend(there);
                } else if !child.uses.iter().any(|id| is_foreign(id, facts)) {
                    plan.child(child, presence, facts);
                }
            }
        }
    }
    plan.remove_unwanted(wanted, facts);
    if let Some(leaving) = &facts.leaving {
        plan.clear_the_way(leaving, facts);
    } else if let Some(upgrade) = &facts.upgrade {
        plan.clear_the_way_of_upgrade(upgrade, facts);
    }
    // An autoscaler that still exists would change the number of pods back.
    plan.actions.sort_by_key(
        |action| !matches!(action, Action::Delete(id) if id.kind == Kind::HorizontalPodAutoscaler),
    );
    if facts.paused {
        plan.actions.clear();
        // What would have been created is not.
        plan.migration = migration_phase(wanted, facts);
    }
    if let Some(leaving) = &facts.leaving {
        plan.leave(leaving, facts);
    }
    plan
}

/// Depends on the wanted Job alone: the end of an earlier one is not the end of this one.
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
            JobPhase::Interrupted => Migration::Interrupted,
        },
        (None, _) if is_recorded(&job.id, facts) => Migration::Succeeded,
        _ => Migration::Pending,
    }
}

/// Whether this migration is known to be the last one that began, and to have succeeded.
fn is_recorded(job: &ChildId, facts: &Facts) -> bool {
    let recorded = facts.recorded.as_ref();
    recorded.is_some_and(|(_, name)| *name == job.name) && facts.jobs.is_empty() && !facts.migrating
}

fn is_foreign(id: &ChildId, facts: &Facts) -> bool {
    facts.present.get(id) == Some(&Presence::Foreign)
}

/// Whether the claim to which the pods of this child write is foreign, or being deleted.
fn volume_is_taken(id: &ChildId, facts: &Facts) -> bool {
    let claim = id.kind.row().claim;
    let claim = claim.map(|claim| ChildId::new(Kind::PersistentVolumeClaim, claim(&id.name)));
    let of_data = facts.data_claim.clone();
    let claim = claim.or_else(|| of_data.filter(|_| id.kind == Kind::StatefulSet));
    claim.is_some_and(|claim| claim_is_taken(&claim, facts))
}

/// Whether this claim is foreign, or being deleted.
fn claim_is_taken(claim: &ChildId, facts: &Facts) -> bool {
    matches!(
        facts.present.get(claim),
        Some(Presence::Deleting | Presence::Predecessor | Presence::Foreign)
    )
}

/// Whether the claim of some schedule is foreign, or being deleted.
fn backups_are_taken(facts: &Facts) -> bool {
    let mut schedules = facts.present.keys().filter(|id| id.kind == Kind::CronJob);
    schedules.any(|id| volume_is_taken(id, facts))
}

impl Plan {
    fn child(&mut self, child: &Wanted, presence: Option<&Presence>, facts: &Facts) {
        let id = &child.id;
        if let Some(leaving) = &facts.leaving
            && self.leaving_child(child, presence, facts, leaving)
        {
            return;
        }
        if let Some(upgrade) = &facts.upgrade
            && self.upgrade_child(child, presence, facts, upgrade)
        {
            return;
        }
        let drifted = presence == Some(&Presence::Drifted);
        match child.gate {
            // Its data is another version, and nobody knows which one has served.
            Gate::Always if id.kind == Kind::StatefulSet && facts.is_held() => {}
            Gate::Always | Gate::IfPresent if drifted => {
                self.actions.push(Action::Update(id.clone()));
            }
            // A backup of the empty database would be newer than the one that the service starts from.
            Gate::Always
                if presence.is_none()
                    && id.kind == Kind::CronJob
                    && facts.bootstrap != Bootstrap::Over => {}
            // What its pods write there would be lost, or in a foreign volume.
            Gate::Always if presence.is_none() && volume_is_taken(id, facts) => {}
            Gate::Always if presence.is_none() => self.actions.push(Action::Create(id.clone())),
            Gate::Always if id.kind == Kind::StatefulSet => {
                let stuck = facts.stuck_pod.iter();
                self.actions
                    .extend(stuck.map(|pod| Action::Replace(id.clone(), pod.clone())));
            }
            Gate::Always | Gate::IfPresent | Gate::Never => {}
            Gate::Migration => self.migrate(id, presence, facts),
            Gate::Bootstrap => self.bring_data(id, presence, facts),
            Gate::Migrated => self.roll_out(id, presence, facts),
            Gate::Request => self.back_up(id, presence, facts),
            // Part of a deletion.
            Gate::LastBackup => {}
        }
    }

    /// The order cannot be changed, so one with another source is given again; only once the first is gone with all that
    /// it has staged.
    fn bring_data(&mut self, id: &ChildId, presence: Option<&Presence>, facts: &Facts) {
        if facts.bootstrap != Bootstrap::Due {
            return;
        }
        match presence {
            None if self.migration == Migration::Succeeded => {
                self.actions.push(Action::Create(id.clone()));
            }
            Some(Presence::Drifted) => self.actions.push(Action::Delete(id.clone())),
            _ => {}
        }
    }

    /// A dump beside a migration would show half of it, and of two backups at once one gives up. Both are waited for, and so
    /// are the database and the steps of a restore.
    fn back_up(&mut self, id: &ChildId, presence: Option<&Presence>, facts: &Facts) {
        let schema_rests = matches!(self.migration, Migration::Succeeded | Migration::Failed);
        let alone = schema_rests && !facts.migrating && !facts.backing_up && !facts.restoring;
        let alone = alone && facts.bootstrap == Bootstrap::Over;
        if presence.is_none() && alone && facts.database_ready && !backups_are_taken(facts) {
            self.actions.push(Action::Create(id.clone()));
        }
    }

    /// A Job is created only when no other one is left, not even a finished one: with an old success kept, going back
    /// to its inputs would roll out without a migration. Nor may a pod of one be left: the pods of a Job that another
    /// writer deleted outlive it. Nor one of the same name that was interrupted.
    ///
    /// What was recorded about the last migration is forgotten before the next one begins: from then on the schema may be
    /// another one. A step of a restore at work is waited for: it would stage, or swap in, data of the former schema.
    fn migrate(&mut self, id: &ChildId, presence: Option<&Presence>, facts: &Facts) {
        let mut alone = true;
        for (other, phase) in &facts.jobs {
            if other == id && *phase != JobPhase::Interrupted {
                continue;
            }
            alone = false;
            let presence = facts.present.get(other);
            if !presence.is_some_and(|presence| presence.is_leaving()) {
                self.actions.push(Action::Delete(other.clone()));
            }
        }
        let is_due = presence.is_none() && self.migration == Migration::Pending;
        let rests = alone && !facts.migrating && !facts.restoring;
        if is_due && rests && facts.accepts_migration {
            // The schema of another volume is not the one that was recorded.
            let recorded = facts.recorded.iter().filter(|_| !facts.restores());
            self.actions
                .extend(recorded.map(|(app, _)| Action::Forget(app.clone())));
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
                // Nobody is answered by an empty database.
                None if facts.bootstrap != Bootstrap::Over => return,
                None => {
                    self.actions.push(Action::Create(id.clone()));
                    // With one replica, no number was written: it is the API server's default.
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
        // An autoscaler does not touch a Deployment without pods. The number is its own again at once.
        if let (Some(least), Some(live)) = (facts.least_replicas, facts.live_replicas)
            && live < least
        {
            let number = Action::Scale(id.clone(), least);
            self.actions.extend([number, Action::Release(id.clone())]);
        }
    }

    /// Jobs of migrations are left to [`Plan::migrate`].
    fn remove_unwanted(&mut self, wanted: &[Wanted], facts: &Facts) {
        for (id, presence) in &facts.present {
            if presence.is_ours()
                && id.kind != Kind::Job
                && !wanted.iter().any(|child| child.id == *id)
            {
                self.actions.push(Action::Delete(id.clone()));
            }
        }
        let stuck = facts.stuck_runs.iter();
        self.actions.extend(stuck.cloned().map(Action::Delete));
    }
}

#[cfg(test)]
mod backup_tests;
#[cfg(test)]
mod bootstrap_tests;
#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;
