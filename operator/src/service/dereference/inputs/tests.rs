use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Value, json};

use super::*;
use crate::service::validate::{DefaultImages, validate};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn service(database: &Value) -> Validated {
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo", "namespace": "ns", "uid": "u"}, "spec": {"database": database}});
    let images = DefaultImages::of_tests();
    validate(&serde_json::from_value(service).unwrap(), &images).unwrap()
}

fn secret(data: &[(&str, &str)]) -> Secret {
    let data = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret {
        data: Some(data.collect()),
        ..Secret::default()
    }
}

fn external(address: Option<Secret>, ca_key: Option<&str>) -> Inputs {
    let mut reference = json!({"name": "cloud", "key": "uri"});
    if let Some(key) = ca_key {
        reference["caKey"] = key.into();
    }
    let observed = Observed {
        database_secret: address,
        ..Observed::default()
    };
    let service = service(&json!({"external": {"secretRef": reference}}));
    Inputs::from_observed(&service, &observed, NOW).unwrap()
}

#[test]
fn an_external_database_is_known_by_its_address() {
    let inputs = |address: &str| external(Some(secret(&[("uri", address)])), None);
    let plain = inputs("postgres://me:secret@db.example.com/hello");
    assert_eq!(plain.database_ports, [5432].into());
    assert!(plain.certificates.is_none());
    let identity = plain.database_identity.unwrap();
    assert_ne!(
        identity,
        child::hash("postgres://me:secret@db.example.com/hello"),
        "nobody can compute it beforehand"
    );
    // A line break at the end of a file is not part of the address.
    let same = inputs("postgres://me:secret@db.example.com/hello\n");
    assert_eq!(same.database_identity, Some(identity.clone()));
    let other = inputs("postgresql://me:secret@db.example.com:6543/hello");
    assert_eq!(other.database_ports, [6543].into());
    assert_ne!(other.database_identity, Some(identity));
}

#[test]
fn an_address_that_is_not_usable_is_named_and_waited_for() {
    let good = "postgres://db.example.com/hello";
    let bytes = Secret {
        data: Some([("uri".to_owned(), ByteString(vec![0xff]))].into()),
        ..Secret::default()
    };
    for (address, ca_key, problem) in [
        (None, None, "Secret cloud does not exist"),
        (Some(Secret::default()), None, "Secret cloud has no key uri"),
        (
            Some(secret(&[("other", good)])),
            None,
            "Secret cloud has no key uri",
        ),
        (
            Some(secret(&[("uri", good)])),
            Some("ca.crt"),
            "Secret cloud has no key ca.crt",
        ),
        (
            Some(secret(&[("uri", "mysql://db/hello")])),
            None,
            "is not a postgres:// address",
        ),
        (
            Some(secret(&[("uri", "/hello")])),
            None,
            "is not a postgres:// address",
        ),
        (
            Some(secret(&[("uri", "postgres://a b")])),
            None,
            "is not a postgres:// address",
        ),
        (Some(bytes), None, "is not a postgres:// address"),
    ] {
        let inputs = external(address, ca_key);
        assert_eq!(inputs.database_identity, None);
        let text = inputs.unusable_address.unwrap();
        assert!(
            text.starts_with("spec.database.external.secretRef: "),
            "{text}"
        );
        assert!(text.ends_with(problem), "{text}");
    }
    let both = secret(&[("uri", good), ("ca.crt", "x")]);
    assert_eq!(external(Some(both), Some("ca.crt")).unusable_address, None);
}

fn parts(data: &[(&str, &str)], keys: Value) -> Inputs {
    let observed = Observed {
        database_secret: Some(secret(data)),
        ..Observed::default()
    };
    let reference = json!({"name": "cloud", "keys": keys});
    let service = service(&json!({"external": {"secretRef": reference}}));
    Inputs::from_observed(&service, &observed, NOW).unwrap()
}

#[test]
fn an_address_of_parts_is_made_of_them() {
    let all = [
        ("host", "db.example.com\n"),
        ("database", "hello"),
        ("user", "me"),
        ("password", "p@ss"),
        ("port", "5433"),
        ("none", "0"),
        ("other", "b.example.com"),
    ];
    let uri = |keys: Value| {
        let inputs = parts(&all, keys);
        let made = inputs.made_address.unwrap();
        assert_eq!(
            (&inputs.database_ports, &inputs.direct_ports),
            (&made.ports, &made.ports)
        );
        let same = external(Some(secret(&[("uri", made.uri())])), None);
        assert_eq!(inputs.database_identity, same.database_identity);
        made.uri().to_owned()
    };
    assert_eq!(
        uri(json!({})),
        "postgres://me:p%40ss@db.example.com:5432/hello"
    );
    assert_eq!(
        uri(json!({"port": "port", "host": "other"})),
        "postgres://me:p%40ss@b.example.com:5433/hello"
    );
    for (keys, problem) in [
        (json!({"user": "nobody"}), "Secret cloud has no key nobody"),
        (
            json!({"port": "none"}),
            "key none of Secret cloud is not a port",
        ),
        (
            json!({"port": "host"}),
            "key host of Secret cloud is not a port",
        ),
        (
            json!({"host": "password"}),
            "key password of Secret cloud is not a host",
        ),
    ] {
        let inputs = parts(&all, keys);
        assert_eq!(inputs.database_identity, None);
        let text = inputs.unusable_address.unwrap();
        assert!(text.ends_with(problem), "{text}");
    }
}

#[test]
fn behind_a_pooler_migrations_and_backups_have_an_address_of_their_own() {
    let observed = |direct: &str| Observed {
        database_secret: Some(secret(&[
            ("uri", "postgres://pool:6432/hello"),
            ("direct", direct),
        ])),
        ..Observed::default()
    };
    let spec = json!({"external": {"pooler": "transaction", "secretRef": {"name": "cloud", "directKey": "direct"}}});
    let inputs =
        |direct: &str| Inputs::from_observed(&service(&spec), &observed(direct), NOW).unwrap();
    let found = inputs("postgres://db/hello");
    assert_eq!(
        (found.database_ports, found.direct_ports),
        ([6432].into(), [5432].into())
    );
    let other = inputs("postgres://other/hello");
    assert_ne!(other.database_identity, found.database_identity);
    let text = inputs("none").unusable_address.unwrap();
    assert!(text.contains("key direct of Secret cloud"), "{text}");
}

/// What is there for a service: objects by kind and name.
fn observed(objects: &[(Kind, &str, Value)]) -> Observed {
    let mut observed = Observed::default();
    for (kind, name, object) in objects {
        let mut object = object.clone();
        object["metadata"]["name"] = (*name).into();
        let live = Live::parse(*kind, serde_json::from_value(object).unwrap()).unwrap();
        observed.children.insert(ChildId::new(*kind, *name), live);
    }
    observed
}

#[test]
fn a_database_is_known_by_the_uid_of_its_data_unless_that_is_being_deleted() {
    let living = json!({"metadata": {"uid": "data"}});
    let mut deleting = living.clone();
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    for (database, kind, name) in [
        (
            json!({"managed": {}}),
            Kind::PersistentVolumeClaim,
            "data-demo-db-0",
        ),
        (json!({"cloudNativePG": {}}), Kind::Cluster, "demo-db"),
    ] {
        let identity = |object: &Value| {
            let observed = observed(&[(kind, name, object.clone())]);
            let inputs = Inputs::from_observed(&service(&database), &observed, NOW).unwrap();
            assert_eq!(inputs.database_ports, [5432].into());
            inputs.database_identity
        };
        assert_eq!(identity(&living).as_deref(), Some("data"), "{kind}");
        assert_eq!(identity(&deleting), None, "{kind}");
        let nothing = Inputs::from_observed(&service(&database), &observed(&[]), NOW).unwrap();
        assert_eq!(nothing.database_identity, None, "{kind}");
    }
}

/// A Secret of the service with this content.
fn kept(data: BTreeMap<String, ByteString>) -> Value {
    let labels = json!({names::INSTANCE_LABEL: "demo", names::MANAGED_BY_LABEL: names::MANAGER});
    let metadata = json!({"labels": labels, "annotations": {names::HASH_ANNOTATION: "1"}});
    json!({"metadata": metadata, "data": data})
}

#[test]
fn kept_secrets_are_used_again() {
    let managed = service(&json!({"managed": {}}));
    let inputs = |observed: &Observed| Inputs::from_observed(&managed, observed, NOW).unwrap();
    let first = inputs(&Observed::default());
    let certificates = first.certificates.as_ref().unwrap();
    let there = observed(&[
        (
            Kind::Secret,
            "demo-credentials",
            kept(first.credentials.data("h", "ca.crt")),
        ),
        (Kind::Secret, "demo-ca", kept(certificates.authority_data())),
        (
            Kind::Secret,
            "demo-db-tls",
            kept(certificates.server_data()),
        ),
    ]);
    let second = inputs(&there);
    assert!(second.credentials == first.credentials);
    let again = second.certificates.unwrap();
    assert_eq!(again.authority_data(), certificates.authority_data());
    assert_eq!(again.server_data(), certificates.server_data());
    assert_ne!(
        inputs(&Observed::default()).credentials.data("h", "ca.crt"),
        first.credentials.data("h", "ca.crt")
    );
}

/// Each pass would generate other content, which nothing keeps. The placeholders are held back by the conflict.
#[test]
fn with_a_foreign_secret_under_a_kept_name_nothing_is_generated() {
    for (database, names) in [
        (
            json!({"managed": {}}),
            &["demo-credentials", "demo-ca", "demo-db-tls"][..],
        ),
        (json!({"cloudNativePG": {}}), &["demo-credentials"]),
    ] {
        for name in names {
            let there = observed(&[(Kind::Secret, name, json!({"metadata": {}}))]);
            let inputs = Inputs::from_observed(&service(&database), &there, NOW).unwrap();
            assert!(inputs.credentials == Credentials::placeholder());
            assert!(inputs.certificates.is_none() && inputs.database_identity.is_none());
        }
    }
}

#[test]
fn the_next_change_is_the_renewal_of_the_certificates() {
    let managed = service(&json!({"managed": {}}));
    let inputs = Inputs::from_observed(&managed, &Observed::default(), NOW).unwrap();
    let renewal = inputs.certificates.as_ref().unwrap().next_change();
    assert_eq!(inputs.next_change(), Some(renewal));
    assert!(renewal > NOW);
    let external = external(Some(secret(&[("uri", "postgres://db/hello")])), None);
    assert_eq!(external.next_change(), None);
}

#[test]
fn given_passwords_that_are_not_usable_are_waited_for_only_by_a_new_service() {
    let spec = json!({"managed": {"credentials": {"secretRef": {"name": "vault"}}}});
    let inputs = |kept: Option<&Inputs>, given: Option<Secret>| {
        let mut observed = match kept {
            None => Observed::default(),
            Some(inputs) => observed(&[(
                Kind::Secret,
                "demo-credentials",
                self::kept(inputs.credentials.data("h", "ca.crt")),
            )]),
        };
        observed.database_secret = given;
        Inputs::from_observed(&service(&spec), &observed, NOW).unwrap()
    };
    let given = secret(&[
        ("owner-password", "o'1"),
        ("app-password", "a@1"),
        ("backup-password", "b/1"),
    ]);
    let first = inputs(None, Some(given));
    assert_eq!((&first.problem, &first.unusable_address), (&None, &None));
    for wrong in [None, Some(Secret::default())] {
        let new = inputs(None, wrong.clone());
        let text = new.unusable_address.unwrap();
        assert!(
            text.starts_with("spec.database.managed.credentials.secretRef: Secret vault "),
            "{text}"
        );
        assert_eq!(new.problem, None);
        let running = inputs(Some(&first), wrong);
        assert_eq!(running.problem, Some(text));
        assert_eq!(running.unusable_address, None);
        assert!(running.credentials == first.credentials);
    }
}

#[test]
fn the_schedule_of_the_backups_is_known_while_it_lives_and_is_the_services_own() {
    let schedule = |owner: &str| {
        let owner = json!([{"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "name": "demo", "uid": owner, "controller": true}]);
        json!({"metadata": {"uid": "schedule", "ownerReferences": owner}})
    };
    let mut leaving = schedule("u");
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    for (object, expected) in [
        (schedule("u"), Some("schedule")),
        (schedule("other"), None),
        (leaving, None),
    ] {
        let observed = observed(&[(Kind::CronJob, "demo-backup", object)]);
        let managed = service(&json!({"managed": {}}));
        let inputs = Inputs::from_observed(&managed, &observed, NOW).unwrap();
        assert_eq!(inputs.backup_schedule.as_deref(), expected);
    }
}

#[test]
fn the_volume_that_is_there_and_passwords_of_their_own_are_among_the_inputs() {
    let claim = json!({"metadata": {}, "spec": {"resources": {"requests": {"storage": "7Gi"}}}});
    let there = observed(&[(Kind::PersistentVolumeClaim, "data-demo-db-0", claim)]);
    let managed = service(&json!({"managed": {}}));
    let inputs = Inputs::from_observed(&managed, &there, NOW).unwrap();
    assert_eq!(inputs.volumes.data.unwrap().asked.as_str(), "7Gi");
    let cluster = service(&json!({"cloudNativePG": {}}));
    let inputs = Inputs::from_observed(&cluster, &Observed::default(), NOW).unwrap();
    assert!(inputs.credentials != Credentials::placeholder().without_owner());
}
