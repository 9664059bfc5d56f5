//! A change of the data's version: what its phase needs of the objects.

use hello_crds::{UpgradePhase, UpgradeStatus};

use crate::{
    object::{child::ChildId, kind::Kind},
    service::{
        dereference::{inputs::Inputs, observed::Observed},
        plan::{
            leaving::{Order, serves},
            presence::{Presence, is_completed},
            version::is_detached,
        },
        validate::Validated,
    },
};

/// What the phase of a change needs of the objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upgrade {
    /// The phase.
    pub phase: UpgradePhase,
    /// The backup; `None` where none is made.
    pub backup: Option<Order>,
    /// Whether the data that is to serve is there already: a version that has served is wanted back.
    pub returns: bool,
    /// Whether the application is as it was when the backup was ordered that the phase goes on with.
    pub same_state: bool,
    /// Whether the application may still write.
    pub serving: bool,
    /// Whether a container of a migration runs.
    pub migration_runs: bool,
    /// Whether the server can be deleted, and its claim stays.
    pub detached: bool,
    /// Whether no step of the restore can follow.
    pub restore_rests: bool,
}

impl Upgrade {
    /// `None` when no change is in progress.
    pub(super) fn read(
        service: &Validated,
        observed: &Observed,
        inputs: &Inputs,
        migration_runs: bool,
        present: impl Fn(&ChildId) -> Option<Presence>,
    ) -> Option<Self> {
        let upgrade = service.data.upgrade.as_ref()?;
        let order = inputs.upgrade_backup.as_ref();
        let order = order.map(|order| Order::new(service, order));
        let same_state = order.as_ref().map(|order| &*order.job.name) == upgrade.job.as_deref();
        Some(Self {
            phase: upgrade.phase,
            returns: returns(upgrade),
            same_state,
            serving: serves(service, observed, &present),
            migration_runs,
            detached: is_detached(service, observed, upgrade.phase),
            restore_rests: restore_rests(upgrade, observed, &present),
            backup: order.filter(|_| !returns(upgrade)),
        })
    }
}

/// Whether a change goes back to a version whose claim was named, and whose data is in no backup.
fn returns(upgrade: &UpgradeStatus) -> bool {
    upgrade.claim.is_some() && upgrade.backup.is_none() && upgrade.restore.is_none()
}

/// Whether no step of the restore can follow: it does not exist, is being deleted, or has ended.
fn restore_rests(
    upgrade: &UpgradeStatus,
    observed: &Observed,
    present: impl Fn(&ChildId) -> Option<Presence>,
) -> bool {
    let Some(name) = &upgrade.restore else {
        return true;
    };
    let id = ChildId::new(Kind::HelloRestore, name);
    observed.children.get(&id).is_none_or(|live| {
        let foreign = present(&id) == Some(Presence::Foreign);
        foreign || live.is_deleting() || is_completed(live)
    })
}
