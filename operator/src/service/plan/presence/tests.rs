use super::*;
use serde_json::json;

fn identity() -> Identity {
    Identity {
        namespace: "ns".into(),
        name: "demo".into(),
        uid: "new".into(),
        generation: 1,
    }
}

fn live(kind: Kind, object: Value) -> Live {
    Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap()
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true}])
}

fn seen(kind: Kind, object: &Value, desired: Option<&Desired>) -> Option<Presence> {
    let id = ChildId::new(kind, object["metadata"]["name"].as_str().unwrap());
    let live = live(kind, object.clone());
    Presence::from_live(&identity(), &id, &live, desired, None)
}

/// A Service as the operator wrote it for this resource, and what is wanted of it.
fn written() -> (Value, Desired) {
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo",
        "ownerReferences": owner("HelloService", "demo", "new")},
        "spec": {"type": "ClusterIP"}});
    let desired = Desired::from_body(Kind::Service, Gate::Always, body);
    (desired.body.clone(), desired)
}

#[test]
fn an_object_as_it_was_written_is_settled_also_with_defaults_and_without_its_type() {
    let (mut object, desired) = written();
    object["spec"]["sessionAffinity"] = "None".into();
    object.as_object_mut().unwrap().remove("kind");
    object.as_object_mut().unwrap().remove("apiVersion");
    assert_eq!(
        seen(Kind::Service, &object, Some(&desired)),
        Some(Presence::Settled)
    );
}

#[test]
fn a_record_that_the_operator_has_taken_off_is_no_drift() {
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo",
        "annotations": {names::MIGRATION_ANNOTATION: "demo-migrate-1"}}});
    let desired = Desired::from_body(Kind::Deployment, Gate::Migrated, body);
    let is_outdated =
        |object: &Value| outdated(&serde_json::from_value(object.clone()).unwrap(), &desired);
    let mut object = desired.body.clone();
    assert!(!is_outdated(&object));
    let annotations = object["metadata"]["annotations"].as_object_mut();
    annotations.unwrap().remove(names::MIGRATION_ANNOTATION);
    assert!(is_outdated(&object));
}

#[test]
fn a_changed_field_or_another_hash_is_drift_and_only_the_hash_is_outdated() {
    let (object, desired) = written();
    let mut changed = object.clone();
    changed["spec"]["type"] = "NodePort".into();
    let mut older = object;
    older["metadata"]["annotations"][names::HASH_ANNOTATION] = "0".into();
    for (object, is_outdated) in [(&changed, false), (&older, true)] {
        assert_eq!(
            seen(Kind::Service, object, Some(&desired)),
            Some(Presence::Drifted)
        );
        let object = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(outdated(&object, &desired), is_outdated);
    }
}

#[test]
fn a_deletion_is_seen_before_the_content() {
    let (mut object, desired) = written();
    object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    for desired in [Some(&desired), None] {
        assert_eq!(
            seen(Kind::Service, &object, desired),
            Some(Presence::Deleting)
        );
    }
}

#[test]
fn the_owner_decides_whose_it_is() {
    let (mut object, desired) = written();
    object = json!({"metadata": object["metadata"]});
    object["metadata"]["ownerReferences"] = owner("HelloService", "demo", "old");
    assert_eq!(
        seen(Kind::Service, &object, Some(&desired)),
        Some(Presence::Predecessor)
    );
    assert_eq!(seen(Kind::Service, &object, None), None);
    assert_eq!(seen(Kind::Job, &object, None), Some(Presence::Predecessor));
    object["metadata"]["ownerReferences"] = owner("HelloService", "other", "old");
    assert_eq!(
        seen(Kind::Service, &object, Some(&desired)),
        Some(Presence::Foreign)
    );
    assert_eq!(seen(Kind::Service, &object, None), None);
}

#[test]
fn what_is_not_wanted_is_ours_to_delete_unless_it_holds_data_or_stays() {
    let (object, _) = written();
    assert_eq!(seen(Kind::Service, &object, None), Some(Presence::Settled));
    for kind in [
        Kind::Secret,
        Kind::PersistentVolumeClaim,
        Kind::Cluster,
        Kind::ServiceAccount,
    ] {
        let object = json!({"metadata": object["metadata"]});
        assert_eq!(seen(kind, &object, None), None, "{kind}");
    }
    // An address that was made of a Secret of the user's is made again from it.
    let mut address = json!({"metadata": object["metadata"]});
    address["metadata"]["name"] = names::external_address("demo").into();
    assert_eq!(seen(Kind::Secret, &address, None), Some(Presence::Settled));
}

#[test]
fn a_retained_object_is_adopted_by_labels_and_hash_and_a_claim_by_labels_alone() {
    let labels = json!({names::INSTANCE_LABEL: "demo", names::MANAGED_BY_LABEL: names::MANAGER});
    let body = json!({"metadata": {"name": "data-demo-db-0", "labels": labels}});
    for (gate, bare) in [
        (Gate::Always, Presence::Foreign),
        (Gate::IfPresent, Presence::Settled),
    ] {
        let desired = Desired::from_body(Kind::PersistentVolumeClaim, gate, body.clone());
        let seen = |object: &Value| seen(Kind::PersistentVolumeClaim, object, Some(&desired));
        assert_eq!(seen(&body), Some(bare), "{gate:?}");
        assert_eq!(seen(&desired.body), Some(Presence::Settled), "{gate:?}");
    }
}

#[test]
fn a_claim_goes_with_the_server_that_owns_it() {
    let object = |name: &str, uid: &str, owners: Value| json!({"metadata": {"name": name, "uid": uid, "ownerReferences": owners}});
    let body = json!({"metadata": {"name": "data-demo-db-0"}});
    let desired = Desired::from_body(Kind::PersistentVolumeClaim, Gate::IfPresent, body);
    let claim = live(
        Kind::PersistentVolumeClaim,
        object(
            "data-demo-db-0",
            "claim",
            owner("StatefulSet", "demo-db", "server"),
        ),
    );
    let seen = |server: Option<&Live>| {
        Presence::from_live(&identity(), &desired.id, &claim, Some(&desired), server)
    };
    let server = |uid: &str, service: &str| {
        let owners = owner("HelloService", "demo", service);
        live(Kind::StatefulSet, object("demo-db", uid, owners))
    };
    assert_eq!(
        seen(Some(&server("server", "new"))),
        Some(Presence::Settled)
    );
    // It is gone, another one, or an earlier resource's.
    for server in [
        None,
        Some(server("other", "new")),
        Some(server("server", "old")),
    ] {
        assert_eq!(seen(server.as_ref()), Some(Presence::Predecessor));
    }
    // Any other owner, and any other child that it owns, is foreign.
    let server = server("server", "new");
    for (owner, gate) in [
        (owner("StatefulSet", "other", "server"), Gate::IfPresent),
        (owner("ReplicaSet", "demo-db", "server"), Gate::IfPresent),
        (owner("StatefulSet", "demo-db", "server"), Gate::Always),
    ] {
        let body = desired.body.clone();
        let desired = Desired::from_body(Kind::PersistentVolumeClaim, gate, body);
        let claim = live(
            Kind::PersistentVolumeClaim,
            object("data-demo-db-0", "claim", owner),
        );
        let id = &desired.id;
        let seen = Presence::from_live(&identity(), id, &claim, Some(&desired), Some(&server));
        assert_eq!(seen, Some(Presence::Foreign), "{gate:?}");
    }
}

#[test]
fn an_order_is_another_one_only_with_another_source() {
    let order = |source: Value| {
        json!({"metadata": {"name": "demo-bootstrap", "ownerReferences": owner("HelloService", "demo", "new")},
            "spec": {"service": {"name": "demo"}, "source": source, "acceptDataLoss": false}})
    };
    let bucket = |prefix: &str| json!({"backup": "latest", "destination": {"s3": {"bucket": "all", "prefix": prefix}}});
    let desired = Desired::from_body(Kind::HelloRestore, Gate::Bootstrap, order(bucket("a")));
    let mut same = order(bucket("a"));
    // A person gives the consent; the API server adds what it has from the schema.
    same["spec"]["acceptDataLoss"] = true.into();
    same["spec"]["source"]["destination"]["s3"]["region"] = "us-east-1".into();
    same["metadata"]["labels"] = json!({"mine": "yes"});
    let mut less = order(bucket("a"));
    less["spec"]["source"]["destination"] = json!(null);
    for (live, expected) in [
        (same, Presence::Settled),
        (order(bucket("b")), Presence::Drifted),
        (less, Presence::Drifted),
    ] {
        let found = seen(Kind::HelloRestore, &live, Some(&desired));
        assert_eq!(found, Some(expected), "{live}");
    }
    // One that is not wanted is removed, unless its data serves.
    for (phase, expected) in [("Failed", Some(Presence::Settled)), ("Completed", None)] {
        let mut live = order(bucket("a"));
        live["status"] = json!({"phase": phase});
        assert_eq!(seen(Kind::HelloRestore, &live, None), expected, "{phase}");
    }
}

#[test]
fn a_requested_backup_belongs_to_the_schedule_that_is_there() {
    let job = |uid: &str| json!({"metadata": {"name": "demo-backup-1", "ownerReferences": owner("CronJob", "demo-backup", uid)}});
    let desired = Desired::from_body(Kind::Job, Gate::Request, job("schedule"));
    for (uid, present, leaving) in [
        ("schedule", Presence::Settled, Presence::Deleting),
        ("other", Presence::Foreign, Presence::Foreign),
    ] {
        let mut object = job(uid);
        assert_eq!(seen(Kind::Job, &object, Some(&desired)), Some(present));
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(seen(Kind::Job, &object, Some(&desired)), Some(leaving));
    }
}
