//! Whether the data is still the one that the service has had.
//!
//! What holds the data (a claim, a Cluster) can be deleted and made again by its controller, and is then empty. Its name
//! stays the same, so the status remembers which one it was. Nothing is started on another one until a person accepts it:
//! an empty database must not be ready in place of a full one.

use hello_crds::DataStatus;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        live::{LiveObjects, TypedChild},
        names,
    },
    service::validate::{Database, Validated},
};

/// The object that holds the data; `None` when the operator knows none.
#[must_use]
pub fn holder(service: &Validated) -> Option<ChildId> {
    let instance = &service.identity.name;
    match &service.database {
        Database::Managed(managed) => Some(ChildId::new(
            Kind::PersistentVolumeClaim,
            names::data_claim(instance, &managed.data_version),
        )),
        Database::CloudNativePg(_) => Some(ChildId::new(Kind::Cluster, names::database(instance))),
        Database::External(_) => None,
    }
}

/// What holds the data now.
#[must_use]
pub fn current(service: &Validated, live: &LiveObjects) -> Option<DataStatus> {
    let holder = live.get(&holder(service)?)?;
    let claim = PersistentVolumeClaim::from_live(holder).and_then(|claim| claim.spec.as_ref());
    Some(DataStatus {
        uid: holder.uid(),
        volume: claim.and_then(|claim| claim.volume_name.clone()),
    })
}

/// Whether the data is another one than the service has had, and nobody has accepted that. A volume that was given to a
/// new claim is still the same data.
#[must_use]
pub fn is_replaced(service: &Validated, live: &LiveObjects) -> bool {
    let (Some(had), Some(now)) = (&service.known_data.had, current(service, live)) else {
        return false;
    };
    let same_volume = had.volume.is_some() && had.volume == now.volume;
    had.uid != now.uid && !same_volume && service.known_data.accepted.as_deref() != Some(&*now.uid)
}

/// What the status remembers from now on. Before the schema is there, there is no data to lose.
#[must_use]
pub fn remember(
    service: &Validated,
    live: &LiveObjects,
    schema_is_there: bool,
) -> Option<DataStatus> {
    let had = service.known_data.served.clone();
    // What serves does not change before the end of a change of its version.
    let rests = service.data.stopping().is_none();
    if schema_is_there && rests && !is_replaced(service, live) {
        return current(service, live).or(had);
    }
    had
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        object::live::Live,
        service::validate::{DefaultImages, validate},
    };

    fn service(had: Value, accepted: Value) -> Validated {
        let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "annotations": {names::ACCEPT_DATA_ANNOTATION: accepted}},
            "spec": {}, "status": {"database": {"kind": "managed", "data": had}}});
        let images = DefaultImages::of_tests();
        validate(&serde_json::from_value(service).unwrap(), &images).unwrap()
    }

    fn claim(uid: &str, volume: Value) -> LiveObjects {
        let mut live = LiveObjects::default();
        let claim = json!({"metadata": {"name": "data-demo-db-0", "uid": uid}, "spec": {"volumeName": volume}});
        let kind = Kind::PersistentVolumeClaim;
        let claim = Live::parse(kind, serde_json::from_value(claim).unwrap()).unwrap();
        live.insert(ChildId::new(kind, "data-demo-db-0"), claim);
        live
    }

    #[test]
    fn another_claim_is_other_data_unless_it_has_the_volume_or_was_accepted() {
        let had = json!({"uid": "a", "volume": "pv-1"});
        for (had, accepted, uid, volume, replaced) in [
            (&had, "", "a", json!("pv-1"), false),
            (&had, "", "a", json!("pv-2"), false),
            (&had, "", "b", json!("pv-2"), true),
            (&had, "", "b", json!(null), true),
            (&had, "", "b", json!("pv-1"), false),
            (&had, "b", "b", json!("pv-2"), false),
            (&had, "a", "b", json!("pv-2"), true),
            // Neither volume is known: that does not make them the same.
            (&json!({"uid": "a"}), "", "b", json!(null), true),
            (&json!(null), "", "b", json!("pv-2"), false),
        ] {
            let service = service(had.clone(), json!(accepted));
            let live = claim(uid, volume.clone());
            assert_eq!(
                is_replaced(&service, &live),
                replaced,
                "{had} {accepted} {uid} {volume}"
            );
            assert!(!is_replaced(&service, &LiveObjects::default()));
        }
    }

    #[test]
    fn data_is_remembered_from_the_schema_on_and_until_other_data_is_accepted() {
        let uid = |service: &Validated, live: &LiveObjects, schema| {
            remember(service, live, schema).map(|data| data.uid)
        };
        let fresh = service(json!(null), json!(""));
        let live = claim("a", json!("pv-1"));
        assert_eq!(uid(&fresh, &live, false), None);
        assert_eq!(uid(&fresh, &live, true).as_deref(), Some("a"));
        let had = service(json!({"uid": "z", "volume": "pv-0"}), json!(""));
        for (live, schema) in [
            (&live, true),
            (&live, false),
            (&LiveObjects::default(), true),
        ] {
            assert_eq!(uid(&had, live, schema).as_deref(), Some("z"));
        }
        let accepted = service(json!({"uid": "z"}), json!("a"));
        assert_eq!(uid(&accepted, &live, false).as_deref(), Some("z"));
        assert_eq!(uid(&accepted, &live, true).as_deref(), Some("a"));
    }
}
