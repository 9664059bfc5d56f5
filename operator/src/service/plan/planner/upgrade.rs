//! What is done while the data's version changes: the application is stopped, one backup is made and proved, and the server
//! is replaced by one with another volume.

use hello_crds::UpgradePhase;

use super::{Plan, Wanted};
use crate::{
    object::{
        child::ChildId,
        kind::{Gate, Kind},
    },
    service::plan::{
        action::Action, facts::Facts, job_phase::JobPhase, presence::Presence, upgrade::Upgrade,
    },
};

impl Plan {
    /// Decides about a child while a change is in progress; `false` leaves it to the rules of every pass.
    pub(super) fn upgrade_child(
        &mut self,
        child: &Wanted,
        presence: Option<&Presence>,
        facts: &Facts,
        upgrade: &Upgrade,
    ) -> bool {
        use UpgradePhase::{BackingUp, Restoring, Starting};
        let id = &child.id;
        match child.gate {
            Gate::Migrated if upgrade.phase != Starting => {
                self.stop(id, facts);
                true
            }
            Gate::LastBackup => {
                if let (BackingUp, Some(order)) = (upgrade.phase, &upgrade.backup) {
                    self.back_up_last(order, presence, facts, upgrade.serving);
                }
                true
            }
            Gate::Migration => !matches!(upgrade.phase, Restoring | Starting),
            Gate::Bootstrap => upgrade.phase != Restoring,
            Gate::Always if id.kind == Kind::StatefulSet => {
                self.switch_server(id, presence, facts, upgrade)
            }
            _ => false,
        }
    }

    /// The server goes, and another one comes only in a later phase. One with other data is never changed to what is wanted:
    /// it goes, too.
    fn switch_server(
        &mut self,
        id: &ChildId,
        presence: Option<&Presence>,
        facts: &Facts,
        upgrade: &Upgrade,
    ) -> bool {
        let switching = upgrade.phase == UpgradePhase::Switching;
        match presence {
            None => switching,
            Some(_) if !switching && !facts.other_server => false,
            Some(_) if may_stop_server(facts, upgrade) => {
                self.actions.push(Action::Delete(id.clone()));
                true
            }
            Some(_) => facts.other_server,
        }
    }

    /// Migrations that do not get to work only keep the change away.
    pub(super) fn clear_the_way_of_upgrade(&mut self, upgrade: &Upgrade, facts: &Facts) {
        if upgrade.phase != UpgradePhase::Stopping || upgrade.migration_runs {
            return;
        }
        let waiting = facts
            .jobs
            .iter()
            .filter(|(_, phase)| **phase == JobPhase::Active);
        let ours = waiting
            .map(|(id, _)| id)
            .filter(|id| facts.present.get(id).is_some_and(|seen| seen.is_ours()));
        self.actions.extend(ours.cloned().map(Action::Delete));
    }
}

/// Whether the server may be stopped that runs now.
fn may_stop_server(facts: &Facts, upgrade: &Upgrade) -> bool {
    let proved = upgrade.backup.as_ref().is_some_and(|order| order.proved);
    let may = match upgrade.phase {
        UpgradePhase::Switching => upgrade.returns || (proved && upgrade.same_state),
        _ => upgrade.restore_rests,
    };
    may && upgrade.detached && facts.is_quiet(upgrade.serving)
}
