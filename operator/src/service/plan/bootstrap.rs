//! Whether a new service still waits for the backup that it starts from.
//!
//! Nothing is restored over data that has served. That it has is known from the Deployment, from the end of the restore, and
//! from the status, of which any may be lost.

use hello_crds::{BootstrapPhase, BootstrapStatus, HelloRestore};

use crate::{
    object::{
        child::ChildId,
        kind::Kind,
        live::{LiveObjects, TypedChild},
        names,
    },
    service::{
        plan::presence::{Presence, has_swapped, is_completed},
        validate::{Validated, is_over},
    },
};

/// How far the data is that a service starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bootstrap {
    /// Nothing is waited for.
    #[default]
    Over,
    /// A backup has to be restored before the application starts.
    Due,
    /// Nothing has to be restored any more. The application starts once the status says so: it alone is left when the
    /// application and the restore are deleted.
    Done,
    /// It is not wanted any more, and its restore is still being removed.
    Leaving,
}

/// How far it is, given what the live objects are to the service.
pub(super) fn state<'a>(
    service: &Validated,
    live: &LiveObjects,
    present: impl Fn(&ChildId) -> Option<&'a Presence>,
) -> Bootstrap {
    if let Some(bootstrap) = service.bootstrap.as_ref().filter(|one| one.is_upgrade) {
        let id = ChildId::new(Kind::HelloRestore, &bootstrap.restore);
        let ours = present(&id).is_some_and(|presence| presence.is_ours());
        return match ours && live.get(&id).is_some_and(is_completed) {
            true => Bootstrap::Done,
            false => Bootstrap::Due,
        };
    }
    let is_the_services = |id: &ChildId| {
        let presence = present(id);
        presence.is_some_and(|presence| presence.is_ours() || *presence == Presence::Deleting)
    };
    let app = ChildId::new(Kind::Deployment, names::app(&service.identity.name));
    if is_the_services(&app) {
        return Bootstrap::Over;
    }
    let Some(bootstrap) = &service.bootstrap else {
        let mut restores = live.iter().filter(|(id, _)| id.kind == Kind::HelloRestore);
        let is_left = restores.any(|(id, live)| {
            let ours = matches!(present(id), Some(Presence::Settled | Presence::Deleting));
            ours && !has_swapped(live)
        });
        return match is_left {
            true => Bootstrap::Leaving,
            false => Bootstrap::Over,
        };
    };
    let id = ChildId::new(Kind::HelloRestore, &bootstrap.restore);
    let done = is_the_services(&id) && live.get(&id).is_some_and(has_swapped);
    // The schema was there before anybody asked for a backup.
    let had_data = service.known_data.had.is_some() && !bootstrap.has_begun;
    match done || had_data {
        true => Bootstrap::Done,
        false => Bootstrap::Due,
    }
}

/// What the status remembers from now on. What is over stays over.
#[must_use]
pub fn remember(
    service: &Validated,
    live: &LiveObjects,
    state: Bootstrap,
) -> Option<BootstrapStatus> {
    let known = service.known_data.bootstrap.as_ref();
    if service.data.upgrade.is_some() {
        return known.cloned();
    }
    let Some(bootstrap) = &service.bootstrap else {
        // It may be asked for again as long as nothing serves.
        let app = ChildId::new(Kind::Deployment, names::app(&service.identity.name));
        let served = live.get(&app).is_some();
        return known.filter(|known| is_over(known) || !served).cloned();
    };
    let restore = live.get(&ChildId::new(Kind::HelloRestore, &bootstrap.restore));
    let phase = match state {
        Bootstrap::Due | Bootstrap::Leaving => BootstrapPhase::Restoring,
        Bootstrap::Done | Bootstrap::Over if restore.is_some_and(has_swapped) => {
            BootstrapPhase::Completed
        }
        Bootstrap::Done | Bootstrap::Over => BootstrapPhase::NotNeeded,
    };
    let restore = restore.and_then(HelloRestore::from_live);
    Some(BootstrapStatus {
        phase,
        restore: bootstrap.restore.clone(),
        backup: restore.and_then(|restore| restore.status.as_ref()?.backup.clone()),
    })
}

#[cfg(test)]
mod tests {
    use hello_crds::RestorePhase;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::live::Live;
    use crate::service::{
        children::build,
        dereference::{inputs::Inputs, observed::Observed},
        plan::facts::Facts,
        validate::{DefaultImages, validate},
    };

    fn service(wanted: bool, status: &Value) -> Validated {
        let bootstrap = wanted.then(|| json!({"fromBackup": {"backup": "latest"}}));
        let service = json!({"metadata": {"name": "demo", "namespace": "ns", "uid": "u"},
            "spec": {"database": {"managed": {"bootstrap": bootstrap}}},
            "status": {"database": status}});
        let images = DefaultImages::of_tests();
        validate(&serde_json::from_value(service).unwrap(), &images).unwrap()
    }

    fn status(phase: &str, had: bool) -> Value {
        let known = json!({"phase": phase, "restore": "demo-bootstrap"});
        let known = (!phase.is_empty()).then_some(known);
        json!({"kind": "managed", "bootstrap": known, "data": had.then(|| json!({"uid": "a"}))})
    }

    fn object(name: &str, owner: &str, restore: Value) -> Value {
        let owner = json!([{"apiVersion": "v1", "kind": "HelloService", "name": "demo",
            "uid": owner, "controller": true}]);
        let source = json!({"backup": "latest"});
        json!({"metadata": {"name": name, "ownerReferences": owner},
            "spec": {"service": {"name": "demo"}, "source": source}, "status": restore})
    }

    fn phase(phase: &str) -> Value {
        json!({"phase": phase})
    }

    /// How far the data of this service is, where these objects are there.
    fn found(service: &Validated, objects: &[(Kind, Value)]) -> Bootstrap {
        let inputs = Inputs::offline();
        let prepared = build(service, &inputs).prepare().unwrap();
        let mut observed = Observed::default();
        for (kind, object) in objects {
            let mut object = object.clone();
            if *kind == Kind::Deployment {
                object["spec"] = Value::Null;
            }
            let id = ChildId::new(*kind, object["metadata"]["name"].as_str().unwrap());
            let live = Live::parse(*kind, serde_json::from_value(object).unwrap()).unwrap();
            observed.children.insert(id, live);
        }
        Facts::from_observed(service, &prepared, &observed, &inputs).bootstrap
    }

    fn restore(owner: &str, at: &str) -> (Kind, Value) {
        let restore = object("demo-bootstrap", owner, phase(at));
        (Kind::HelloRestore, restore)
    }

    #[test]
    fn a_new_service_waits_until_the_restored_data_serves() {
        let fresh = service(true, &status("", false));
        assert_eq!(found(&fresh, &[]), Bootstrap::Due);
        for at in RestorePhase::ALL {
            let expected = match at {
                RestorePhase::Completed | RestorePhase::Undoing | RestorePhase::Undone => {
                    Bootstrap::Done
                }
                _ => Bootstrap::Due,
            };
            let restores = [restore("u", at.as_str())];
            assert_eq!(found(&fresh, &restores), expected, "{at:?}");
            // That of another service of the name has said nothing about this one.
            let others = [restore("other", at.as_str())];
            assert_eq!(found(&fresh, &others), Bootstrap::Due, "{at:?}");
        }
        // The schema is there since the first pass.
        let begun = service(true, &status("Restoring", true));
        assert_eq!(found(&begun, &[]), Bootstrap::Due);
    }

    #[test]
    fn nothing_is_restored_over_data_that_has_served() {
        let app = |owner: &str| (Kind::Deployment, object("demo", owner, json!({})));
        let mut leaving = app("u");
        leaving.1["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let fresh = service(true, &status("", false));
        // The status was lost, and the restore too.
        assert_eq!(found(&fresh, &[app("u")]), Bootstrap::Over);
        assert_eq!(found(&fresh, &[leaving]), Bootstrap::Over);
        assert_eq!(found(&fresh, &[app("earlier")]), Bootstrap::Due);
        let failed = [app("u"), restore("u", "Failed")];
        assert_eq!(found(&fresh, &failed), Bootstrap::Over);
        for (known, expected) in [
            ("Completed", Bootstrap::Over),
            ("NotNeeded", Bootstrap::Over),
            ("", Bootstrap::Done),
        ] {
            let served = service(true, &status(known, true));
            assert_eq!(found(&served, &[]), expected, "{known}");
        }
    }

    #[test]
    fn a_restore_that_is_given_up_goes_before_anything_serves() {
        let without = service(false, &status("Restoring", true));
        assert_eq!(found(&without, &[]), Bootstrap::Over);
        for (at, expected) in [
            ("Staging", Bootstrap::Leaving),
            ("Failed", Bootstrap::Leaving),
            ("Completed", Bootstrap::Over),
        ] {
            assert_eq!(found(&without, &[restore("u", at)]), expected, "{at}");
            let others = [restore("other", at)];
            assert_eq!(found(&without, &others), Bootstrap::Over, "{at}");
        }
        // One that a person has ordered is no child.
        let mut by_hand = restore("u", "Staging");
        by_hand.1["metadata"]["ownerReferences"] = Value::Null;
        assert_eq!(found(&without, &[by_hand]), Bootstrap::Over);
    }
}
