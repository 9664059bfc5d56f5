//! A resource that is being deleted, and whose deletion waits for the operator: what comes before it may go.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::ResourceExt;

use crate::{
    object::{
        child::ChildId,
        data_version::claim_of,
        kind::{Gate, Kind},
        names::{self, Component},
        owner::controller,
        pod,
    },
    service::{
        children::Prepared,
        dereference::{
            inputs::{Inputs, last_backup::LastBackup},
            observed::Observed,
        },
        plan::{presence::Presence, version::is_of_other_data},
        validate::{Kept, Validated},
    },
};

/// How far a deletion is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leaving {
    /// The backup that comes first; `None` when none is made.
    pub backup: Option<Order>,
    /// Whether the application may still write.
    pub serving: bool,
    /// Whether a container of a migration runs.
    pub migration_runs: bool,
    /// Whether the data stays, or goes with the resource, as it is meant to.
    pub data_is_settled: bool,
}

/// The backup before a deletion, or before a change of the data's version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Its Job.
    pub job: ChildId,
    /// The claim that it writes to, when there is one.
    pub claim: ChildId,
    /// Whether it is known to be proved.
    pub proved: bool,
    /// Whether it is tried again when it has failed.
    pub retry: bool,
}

/// What a deletion needs of the finalizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Finalizer {
    /// It is as it should be.
    #[default]
    Unchanged,
    /// A deletion is to wait from now on.
    Add,
    /// A deletion waits no longer.
    Remove,
}

impl Leaving {
    /// `None` when the resource is not being deleted, or its deletion does not wait.
    pub(super) fn read(
        service: &Validated,
        prepared: &Prepared,
        observed: &Observed,
        inputs: &Inputs,
        migration_runs: bool,
        present: impl Fn(&ChildId) -> Option<Presence>,
    ) -> Option<Self> {
        if !service.deletion.waits() {
            return None;
        }
        let order = inputs.last_backup.as_ref();
        Some(Self {
            serving: serves(service, observed, &present),
            migration_runs,
            data_is_settled: is_settled(service, prepared, observed, order, &present),
            backup: order.map(|order| Order::new(service, order)),
        })
    }
}

impl Order {
    pub(super) fn new(service: &Validated, order: &LastBackup) -> Self {
        Self {
            job: ChildId::new(Kind::Job, &order.job),
            claim: ChildId::new(
                Kind::PersistentVolumeClaim,
                names::backup(&service.identity.name),
            ),
            proved: order.proved.is_some(),
            retry: order.retry,
        }
    }
}

/// Whether a pod of the application may be running, or be started.
pub(super) fn serves(
    service: &Validated,
    observed: &Observed,
    present: impl Fn(&ChildId) -> Option<Presence>,
) -> bool {
    let name = names::app(&service.identity.name);
    let deployment = observed.children.typed::<Deployment>(&name);
    let wanted = deployment.and_then(|live| live.spec.as_ref()?.replicas);
    let foreign = present(&ChildId::new(Kind::Deployment, name)) == Some(Presence::Foreign);
    let starts = deployment.is_some() && !foreign && wanted != Some(0);
    starts
        || observed.pods.iter().any(|pod| {
            let is_app = Component::from_labels(pod.labels()) == Some(Component::App);
            is_app && pod::is_unfinished(pod)
        })
}

/// Whether each object with data has the owner that it should have, or none. Nothing else of it matters any more: a spec
/// that the API server refuses keeps no resource from going.
fn is_settled(
    service: &Validated,
    prepared: &Prepared,
    observed: &Observed,
    order: Option<&LastBackup>,
    present: impl Fn(&ChildId) -> Option<Presence>,
) -> bool {
    let proved = order.is_some_and(|order| order.proved.is_some());
    let goes = proved || service.kept == Kept::Nothing;
    prepared.children.iter().all(|child| {
        let (id, presence) = (&child.id, present(&child.id));
        let live = observed.children.get(id);
        match (id.kind, presence) {
            // With it, its controller deletes the claim.
            // What has not served stays, whatever the policy is.
            (Kind::StatefulSet, Some(_)) if is_of_other_data(service, observed) => true,
            (Kind::StatefulSet, None | Some(Presence::Deleting | Presence::Predecessor)) => !proved,
            (Kind::StatefulSet, Some(Presence::Settled | Presence::Drifted)) => {
                claim_follows(observed, id, goes)
            }
            (kind, Some(Presence::Settled | Presence::Drifted))
                if kind.row().holds_data && child.gate != Gate::IfPresent =>
            {
                let owner = live.and_then(|live| controller(live.object()));
                let owned = owner.is_some_and(|owner| owner.uid == service.identity.uid);
                owned != child.body["metadata"]["ownerReferences"].is_null()
            }
            _ => true,
        }
    })
}

/// Whether the claim of a StatefulSet is deleted with it, or not. Its controller sees to that.
fn claim_follows(observed: &Observed, set: &ChildId, goes: bool) -> bool {
    let Some(set) = observed.children.typed::<StatefulSet>(&set.name) else {
        return true;
    };
    let policy = set.spec.as_ref();
    let policy = policy.and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = policy.is_some_and(|policy| policy.when_deleted.as_deref() == Some("Delete"));
    let claim = claim_of(set).map(|name| ChildId::new(Kind::PersistentVolumeClaim, name));
    let claim = claim.and_then(|id| observed.children.get(&id));
    let owned = claim.is_none_or(|claim| {
        let owner = controller(claim.object()).map(|owner| &*owner.uid);
        (owner.is_some() && owner == set.metadata.uid.as_deref()) == goes
    });
    deletes == goes && owned
}
