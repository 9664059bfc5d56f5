//! Which version of the data the server of a managed database has, and whether that outlives the server.

use hello_crds::UpgradePhase;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::ResourceExt;

use crate::{
    object::{
        child::ChildId,
        data_version::{DataVersion, claim_of},
        kind::Kind,
        live::{Live, LiveObjects},
        names::{self, Component},
        pod::{is_owned_by, is_unfinished},
    },
    service::{
        dereference::observed::Observed,
        plan::data,
        validate::{Database, Validated},
    },
};

/// The server of this service.
#[must_use]
pub fn server<'a>(service: &Validated, live: &'a LiveObjects) -> Option<&'a StatefulSet> {
    let set = live.typed::<StatefulSet>(&names::database(&service.identity.name))?;
    let mut owners = set.owner_references().iter();
    let uid = &service.identity.uid;
    let ours = owners.any(|owner| owner.controller == Some(true) && owner.uid == *uid);
    ours.then_some(set)
}

/// Whether a server of this service runs that has another version of the data than the present one.
#[must_use]
pub fn is_of_other_data(service: &Validated, observed: &Observed) -> bool {
    let Database::Managed(managed) = &service.database else {
        return false;
    };
    let set = server(service, &observed.children);
    let version = set.and_then(DataVersion::from_stateful_set);
    version.is_some_and(|version| version != managed.data_version)
}

/// Whether a pod of a server that was deleted may still answer under the address of the database.
#[must_use]
pub fn former_pod_runs(service: &Validated, observed: &Observed) -> bool {
    let set = server(service, &observed.children);
    let own = set.and_then(|set| set.metadata.uid.clone());
    let of_database =
        |pod: &&Pod| Component::from_labels(pod.labels()) == Some(Component::Database);
    let mut pods = observed.pods.iter().filter(of_database);
    let managed = matches!(service.database, Database::Managed(_));
    managed
        && pods.any(|pod| {
            let own = own.as_deref().is_some_and(|uid| is_owned_by(pod, uid));
            is_unfinished(pod) && !own
        })
}

/// Whether the data is not complete, or is not there beside other data of the service, and nothing is known of the change
/// that was to bring it.
#[must_use]
pub fn is_incomplete(service: &Validated, observed: &Observed) -> bool {
    let Some(id) = data::holder(service).filter(|_| service.data.upgrade.is_none()) else {
        return false;
    };
    let known = &service.known_data;
    let is_incomplete = |claim: &Live| {
        let state = claim.object().annotations().get(names::DATA_ANNOTATION);
        let uid = claim.uid();
        let serves = known.had.as_ref().is_some_and(|had| had.uid == uid);
        let accepted = known.accepted.as_ref() == Some(&uid);
        state.is_some_and(|state| state == names::INCOMPLETE) && !serves && !accepted
    };
    match observed.children.get(&id) {
        Some(claim) => is_incomplete(claim),
        None => known.had.is_none() && others(service, observed).next().is_some(),
    }
}

/// The claims of other versions of the data.
fn others<'a>(
    service: &'a Validated,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a ChildId> + 'a {
    let (identity, present) = (&service.identity, &service.data.present);
    let end = format!("-{}-0", names::database(&identity.name));
    let is_other = move |(id, live): &(&ChildId, &Live)| {
        let volume = id.name.strip_suffix(&end);
        let version = volume.and_then(DataVersion::from_volume);
        let managed = matches!(service.database, Database::Managed(_));
        managed
            && id.kind == Kind::PersistentVolumeClaim
            && version.is_some_and(|version| version != *present)
            && identity.is_in_labels(live.object())
    };
    observed.children.iter().filter(is_other).map(|(id, _)| id)
}

/// Whether the StatefulSet can be deleted and its claim stays. Its controller must have seen that, because a claim that it
/// still owns, or is about to own, is deleted with it.
#[must_use]
pub fn is_detached(service: &Validated, observed: &Observed, phase: UpgradePhase) -> bool {
    let Some(set) = server(service, &observed.children) else {
        return false;
    };
    let spec = set.spec.as_ref();
    let policy = spec.and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = policy.is_some_and(|policy| policy.when_deleted.as_deref() != Some("Retain"));
    let seen = set
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    let claim = claim_of(set).map(|name| ChildId::new(Kind::PersistentVolumeClaim, name));
    let claim = claim.and_then(|id| observed.children.get(&id));
    let free = match claim {
        // What has served is not let go while nobody knows where it is.
        None => phase != UpgradePhase::Switching,
        Some(claim) => {
            let mut owners = claim.metadata().owner_references.iter().flatten();
            !claim.is_deleting() && !owners.any(|owner| owner.kind == "StatefulSet")
        }
    };
    !deletes && seen == set.metadata.generation && free
}
