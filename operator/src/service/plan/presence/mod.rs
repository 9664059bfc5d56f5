//! What a live object is to the service: wanted or not, ours or foreign, as wanted or not.

use hello_crds::{HelloRestore, RestorePhase, RestoreSource};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use crate::object::{
    child::{ChildId, Desired},
    kind::{Gate, Kind},
    live::{Live, TypedChild},
    names,
    owner::{Identity, controller},
    subset,
};

/// What is there under the name of a child, or belongs to the resource without being wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Ours and as wanted (or not compared, when it is not wanted at all).
    Settled,
    /// Ours, and different from what is wanted.
    Drifted,
    /// Being deleted.
    Deleting,
    /// It belongs to an earlier resource of this name, whose garbage is still being collected.
    Predecessor,
    /// Owned by another controller, or made by hand.
    Foreign,
}

impl Presence {
    /// Whether the name becomes free without anything being done.
    #[must_use]
    pub const fn is_leaving(self) -> bool {
        match self {
            Self::Deleting | Self::Predecessor => true,
            Self::Settled | Self::Drifted | Self::Foreign => false,
        }
    }

    /// Whether the object is one to change or delete.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        match self {
            Self::Settled | Self::Drifted => true,
            Self::Deleting | Self::Predecessor | Self::Foreign => false,
        }
    }

    /// Of a live object; `None` when it is neither wanted nor ours to delete. `server` is the StatefulSet under the
    /// name of the managed database.
    #[must_use]
    pub(super) fn from_live(
        identity: &Identity,
        id: &ChildId,
        live: &Live,
        desired: Option<&Desired>,
        server: Option<&Live>,
    ) -> Option<Self> {
        let object = live.object();
        if let Some(request) = desired.filter(|child| child.gate == Gate::Request) {
            return Some(Self::from_requested(live, request));
        }
        let ours = match controller(object) {
            Some(owner) if owner.uid == identity.uid => true,
            Some(owner) if owner.kind == "HelloService" && owner.name == identity.name => {
                // Also an unwanted Job: its pods may still be migrating.
                return (desired.is_some() || id.kind == Kind::Job).then_some(Self::Predecessor);
            }
            // The claim that a StatefulSet of ours made, and owns under `Delete`.
            Some(owner)
                if owner.kind == "StatefulSet"
                    && owner.name == names::database(&identity.name)
                    && desired.is_some_and(|child| child.gate == Gate::IfPresent) =>
            {
                let living = server.is_some_and(|server| {
                    server.metadata().uid.as_ref() == Some(&owner.uid)
                        && controller(server.object())
                            .is_some_and(|owner| owner.uid == identity.uid)
                });
                if !living {
                    // The garbage collector deletes it, also while another server uses it.
                    return Some(Self::Predecessor);
                }
                true
            }
            Some(_) => false,
            None => {
                let claim = desired.is_some_and(|child| child.gate == Gate::IfPresent);
                identity.has_retained(object) || (claim && identity.is_in_labels(object))
            }
        };
        if !ours {
            return desired.map(|_| Self::Foreign);
        }
        if live.is_deleting() {
            return Some(Self::Deleting);
        }
        let Some(desired) = desired else {
            // Data is never deleted because a field of the spec was removed; it goes with the resource. An address made
            // of a Secret of the user's is no data.
            let row = id.kind.row();
            let made =
                id.kind == Kind::Secret && id.name == names::external_address(&identity.name);
            // Nor is a restore that has an end: it has the way back.
            let ended = has_swapped(live);
            return ((!row.holds_data || made) && !row.stays && !ended).then_some(Self::Settled);
        };
        Some(if settled(object, desired) {
            Self::Settled
        } else {
            Self::Drifted
        })
    }

    /// Of the Job of a requested backup: the schedule owns it.
    fn from_requested(live: &Live, request: &Desired) -> Self {
        let wanted = request.body.pointer("/metadata/ownerReferences/0/uid");
        let wanted = wanted.and_then(|uid| uid.as_str());
        let ours = controller(live.object()).is_some_and(|owner| wanted == Some(&owner.uid));
        match (ours, live.is_deleting()) {
            (false, _) => Self::Foreign,
            (true, true) => Self::Deleting,
            (true, false) => Self::Settled,
        }
    }
}

/// Whether something else was wanted when the object was written last. An object that another controller makes has no
/// mark of that, and what it lacks is more likely a changed spec than a label that was removed.
pub(super) fn outdated(live: &DynamicObject, desired: &Desired) -> bool {
    match live.annotations().get(names::HASH_ANNOTATION) {
        Some(written) => *written != desired.hash || forgotten(live, desired),
        None => desired.gate == Gate::IfPresent,
    }
}

/// Whether the operator has taken the record of a migration off, which it does before another one: also on the way back
/// to a former spec, with the same hash.
fn forgotten(live: &DynamicObject, desired: &Desired) -> bool {
    let annotations = desired.body.pointer("/metadata/annotations");
    let wanted = annotations.and_then(|annotations| annotations.get(names::MIGRATION_ANNOTATION));
    wanted.is_some() && !live.annotations().contains_key(names::MIGRATION_ANNOTATION)
}

/// Whether there is nothing to write. A Job cannot be changed, so it always matches.
fn settled(live: &DynamicObject, desired: &Desired) -> bool {
    match desired.gate {
        Gate::Migration => return true,
        Gate::Bootstrap => return is_same_order(live, desired),
        // What it was made from decides alone: it cannot be changed either.
        Gate::LastBackup => {
            return live.annotations().get(names::HASH_ANNOTATION) == Some(&desired.hash);
        }
        _ => {}
    }
    let same = live.annotations().get(names::HASH_ANNOTATION) == Some(&desired.hash);
    (same || desired.gate == Gate::IfPresent)
        && serde_json::to_value(live).is_ok_and(|mut live| {
            // Items of a list carry no type.
            live["apiVersion"] = desired.body["apiVersion"].clone();
            live["kind"] = desired.body["kind"].clone();
            subset::contains(&live, &desired.body)
        })
}

/// Whether the data of this restore has begun to serve.
pub(super) fn has_swapped(live: &Live) -> bool {
    let restore = HelloRestore::from_live(live);
    let phase = restore.and_then(|restore| restore.status.as_ref()?.phase);
    matches!(
        phase,
        Some(RestorePhase::Completed | RestorePhase::Undoing | RestorePhase::Undone)
    )
}

/// Whether the data of this restore serves, and nobody wants the former data back.
pub(super) fn is_completed(live: &Live) -> bool {
    let restore = HelloRestore::from_live(live);
    let phase = restore.and_then(|restore| restore.status.as_ref()?.phase);
    phase == Some(RestorePhase::Completed)
}

/// Whether a restore has the wanted source. It is an order that is given once, so nothing else of it is looked at: a person
/// may have given the consent.
fn is_same_order(live: &DynamicObject, desired: &Desired) -> bool {
    let source = |spec: &Value| serde_json::from_value::<RestoreSource>(spec["source"].clone());
    let wanted = source(&desired.body["spec"]);
    let same =
        source(&live.data["spec"]).is_ok_and(|live| wanted.is_ok_and(|wanted| live == wanted));
    same && live.data["spec"]["service"] == desired.body["spec"]["service"]
}

#[cfg(test)]
mod tests;
