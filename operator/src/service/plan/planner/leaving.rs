//! What is done before a resource may go: the application is stopped, a last backup is made and proved, and its data gets
//! the owner that it is deleted with.

use super::{Plan, Wanted, claim_is_taken};
use crate::{
    object::{
        child::ChildId,
        kind::{Gate, Kind},
    },
    service::plan::{
        action::Action,
        facts::Facts,
        job_phase::JobPhase,
        leaving::{Finalizer, Leaving, Order},
        presence::Presence,
    },
};

impl Plan {
    /// Decides about a child while a deletion waits; `false` leaves it to the rules of every pass. The last backup needs the
    /// database, its Secrets and its policies, so these are kept as they are wanted.
    pub(super) fn leaving_child(
        &mut self,
        child: &Wanted,
        presence: Option<&Presence>,
        facts: &Facts,
        leaving: &Leaving,
    ) -> bool {
        let id = &child.id;
        let Some(order) = &leaving.backup else {
            // Only its owner is of interest any more.
            let holds = id.kind.row().holds_data || id.kind == Kind::StatefulSet;
            let other = id.kind == Kind::StatefulSet && facts.other_server;
            if holds && !other && presence == Some(&Presence::Drifted) {
                self.actions.push(Action::Update(id.clone()));
            }
            return true;
        };
        match child.gate {
            Gate::Migrated => self.stop(id, facts),
            Gate::LastBackup => self.back_up_last(order, presence, facts, leaving.serving),
            Gate::Migration | Gate::Bootstrap | Gate::Request => {}
            Gate::Always | Gate::IfPresent | Gate::Never => return false,
        }
        true
    }

    /// What was written after the last backup would be lost.
    pub(super) fn stop(&mut self, id: &ChildId, facts: &Facts) {
        if facts.live_replicas.is_some_and(|live| live != 0) {
            self.actions.push(Action::Scale(id.clone(), 0));
        }
    }

    /// It waits for all that writes, or reads for long, as a requested one does. The schema is as it is: nothing is migrated any
    /// more. One that has failed, or was made from another spec, cannot be changed: it is deleted, and made again once it is
    /// gone.
    pub(super) fn back_up_last(
        &mut self,
        order: &Order,
        presence: Option<&Presence>,
        facts: &Facts,
        serving: bool,
    ) {
        let can_start = facts.database_ready && !claim_is_taken(&order.claim, facts);
        match presence {
            _ if order.proved => {}
            None if can_start && facts.is_quiet(serving) => {
                self.actions.push(Action::Create(order.job.clone()))
            }
            Some(presence)
                if presence.is_ours() && (order.retry || facts.outdated.contains(&order.job)) =>
            {
                self.actions.push(Action::Delete(order.job.clone()));
            }
            _ => {}
        }
    }

    /// Whether the resource may go, and what else is done until then.
    pub(super) fn leave(&mut self, leaving: &Leaving, facts: &Facts) {
        let rests = match &leaving.backup {
            Some(order) => order.proved && !leaving.serving && !facts.paused,
            None => true,
        };
        if rests && leaving.data_is_settled {
            self.finalizer = Finalizer::Remove;
            self.actions.clear();
        } else if leaving.backup.is_none() {
            self.actions
                .retain(|action| matches!(action, Action::Update(_)));
        }
    }

    /// Jobs that only keep the last backup away: migrations that do not get to work, and backups that do not count any more
    /// because the application may have run since.
    pub(super) fn clear_the_way(&mut self, leaving: &Leaving, facts: &Facts) {
        let Some(order) = &leaving.backup else {
            return;
        };
        let waiting = |phase: &JobPhase| *phase == JobPhase::Active && !leaving.migration_runs;
        let migrations = facts.jobs.iter().filter(|(_, phase)| waiting(phase));
        let backups = facts.last_backups.keys().filter(|id| **id != order.job);
        let all = migrations.map(|(id, _)| id).chain(backups);
        let ours = all.filter(|id| facts.present.get(id).is_some_and(|seen| seen.is_ours()));
        self.actions.extend(ours.cloned().map(Action::Delete));
    }
}
