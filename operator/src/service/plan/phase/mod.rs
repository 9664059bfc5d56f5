//! Which phase of a change of the data's version follows.
//!
//! The former server is stopped only once a backup of all that was written is proved, and its claim is nobody's. The
//! application starts only once the new volume has that backup, and it was compared. Each phase is in the status before
//! anything is done in it, and is left only for what a later pass has read.

mod begin;
mod found;

use hello_crds::{DataStatus, FormerData, UpgradePhase, UpgradeStatus};
use jiff::Timestamp;

pub use begin::obstacle;
pub use found::Found;

use crate::{
    object::{
        child::{self, ChildId},
        data_version::DataVersion,
        kind::Kind,
        names,
    },
    service::{
        plan::{
            bootstrap::Bootstrap, data, planner::Migration, presence::Presence, upgrade::Upgrade,
            version::server,
        },
        validate::{Database, Scaling, Validated},
    },
};

/// What the status knows of the data from now on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The version that serves.
    pub serving: DataVersion,
    /// What holds it.
    pub data: Option<DataStatus>,
    /// Image of the server that last served it.
    pub image: Option<String>,
    /// The change that is in progress.
    pub upgrade: Option<UpgradeStatus>,
    /// The versions that have served.
    pub former: Vec<FormerData>,
}

/// What the status remembers from now on.
#[must_use]
pub fn remember(service: &Validated, found: &Found<'_>) -> Remembered {
    let data = &service.data;
    let upgrade = next(service, found);
    let before = data.upgrade.as_ref().map(|upgrade| upgrade.phase);
    let after = upgrade.as_ref().map(|upgrade| upgrade.phase);
    let ends = before == Some(UpgradePhase::Restoring) && after == Some(UpgradePhase::Starting);
    if ends {
        return Remembered {
            serving: data.present.clone(),
            data: data::current(service, found.live),
            image: Some(service.postgres_image.as_str().to_owned()),
            former: former(service, found.now),
            upgrade,
        };
    }
    let known = data
        .served_by
        .as_ref()
        .map(|image| image.as_str().to_owned());
    let serves = found.ready && data.stopping().is_none() && !found.facts.is_held();
    let present = service.postgres_image.as_str();
    let managed = matches!(service.database, Database::Managed(_));
    let schema_is_there = found.migration == Migration::Succeeded;
    Remembered {
        serving: data.serving.clone(),
        data: data::remember(
            service,
            found.live,
            schema_is_there && !found.facts.is_held(),
        ),
        image: match serves && managed {
            true => Some(present.to_owned()),
            false => known,
        },
        former: data.former.clone(),
        upgrade,
    }
}

/// The versions that have served, with the one that does not any more.
fn former(service: &Validated, now: Timestamp) -> Vec<FormerData> {
    let data = &service.data;
    let others = data.former.iter();
    let others = others.filter(|known| {
        known.data_version != data.present.0 && known.data_version != data.serving.0
    });
    let mut all: Vec<FormerData> = others.cloned().collect();
    if let Some(served) = &service.known_data.served {
        all.push(FormerData {
            data_version: data.serving.0.clone(),
            claim: names::data_claim(&service.identity.name, &data.serving),
            uid: served.uid.clone(),
            volume: served.volume.clone(),
            image: data
                .served_by
                .as_ref()
                .map(|image| image.as_str().to_owned()),
            until: now.to_string(),
        });
    }
    all
}

/// The phase that follows. In a pause nothing does.
fn next(service: &Validated, found: &Found<'_>) -> Option<UpgradeStatus> {
    let Some(known) = service.data.upgrade.clone() else {
        return begin::begin(service, found);
    };
    let Some(upgrade) = found.facts.upgrade.as_ref().filter(|_| !service.paused) else {
        return Some(known);
    };
    let to = |phase| UpgradeStatus {
        phase,
        ..known.clone()
    };
    Some(match known.phase {
        UpgradePhase::Stopping if found.facts.is_quiet(upgrade.serving) => match upgrade.returns {
            true => to(UpgradePhase::Switching),
            false => to(UpgradePhase::BackingUp),
        },
        UpgradePhase::BackingUp => backed_up(service, upgrade, known),
        UpgradePhase::Switching => switched(service, upgrade, found, known),
        UpgradePhase::Restoring => restored(service, upgrade, found, known),
        UpgradePhase::Reverting if is_back(found) => to(UpgradePhase::Starting),
        UpgradePhase::Starting if has_started(service, found) => return None,
        UpgradePhase::Stopping | UpgradePhase::Reverting | UpgradePhase::Starting => known,
    })
}

fn backed_up(service: &Validated, upgrade: &Upgrade, known: UpgradeStatus) -> UpgradeStatus {
    let Some(order) = &upgrade.backup else {
        return known;
    };
    let job = order.job.name.clone();
    let file = service.deletion.ordered.as_ref();
    let file = file.filter(|known| known.job == job && order.proved);
    match file.and_then(|known| known.file.clone()) {
        Some(file) => UpgradeStatus {
            phase: UpgradePhase::Switching,
            job: Some(job),
            backup: Some(file),
            ..known
        },
        None => UpgradeStatus {
            job: Some(job),
            ..known
        },
    }
}

/// The server is gone. What the application may have written since the backup is backed up first.
fn switched(
    service: &Validated,
    upgrade: &Upgrade,
    found: &Found<'_>,
    known: UpgradeStatus,
) -> UpgradeStatus {
    if !upgrade.returns && !upgrade.same_state {
        return UpgradeStatus {
            phase: UpgradePhase::BackingUp,
            job: None,
            backup: None,
            ..known
        };
    }
    let set = ChildId::new(Kind::StatefulSet, names::database(&service.identity.name));
    if found.facts.present.contains_key(&set) || !found.facts.is_quiet(upgrade.serving) {
        return known;
    }
    let restore = known.backup.as_ref().map(|backup| {
        let identity = &service.identity;
        let change = format!("{}\n{}\n{backup}", identity.uid, known.since);
        names::upgrade(&identity.name, &child::hash(&change)[..10])
    });
    UpgradeStatus {
        phase: UpgradePhase::Restoring,
        restore,
        ..known
    }
}

/// Whether the new volume has the data, by the claim that was there when its restore was ordered.
fn restored(
    service: &Validated,
    upgrade: &Upgrade,
    found: &Found<'_>,
    known: UpgradeStatus,
) -> UpgradeStatus {
    let facts = found.facts;
    let rests = !facts.other_server && !facts.data_replaced && facts.is_quiet(upgrade.serving);
    let claim = data::current(service, found.live).map(|data| data.uid);
    let set = server(service, found.live);
    if facts.other_server || set.is_none() {
        return known;
    }
    if known.claim.is_none() {
        return UpgradeStatus { claim, ..known };
    }
    let complete = match upgrade.returns {
        true => found.ready && found.migration == Migration::Succeeded,
        false => facts.bootstrap == Bootstrap::Done && upgrade.same_state,
    };
    match complete && rests && claim == known.claim {
        true => UpgradeStatus {
            phase: UpgradePhase::Starting,
            ..known
        },
        false => known,
    }
}

/// Whether the server of what has served answers again. Until it does, the pod of the other one may still answer.
fn is_back(found: &Found<'_>) -> bool {
    !found.facts.other_server && found.facts.database_ready && found.ready
}

/// Whether nothing of the change is left to do. A scaler of the user's does not start an application without pods.
fn has_started(service: &Validated, found: &Found<'_>) -> bool {
    let set = ChildId::new(Kind::StatefulSet, names::database(&service.identity.name));
    let stopped = found.facts.live_replicas == Some(0);
    let by_scaler = matches!(service.scaling, Scaling::External { .. });
    let is_settled = |id: &ChildId| found.facts.present.get(id) == Some(&Presence::Settled);
    let claim = found.facts.data_claim.as_ref();
    is_settled(&set) && claim.is_none_or(is_settled) && !(by_scaler && stopped)
}

#[cfg(test)]
mod tests;
