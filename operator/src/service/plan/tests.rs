//! What leans on what, among the children that are really built.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::{
    object::kind::{Gate, Kind},
    service::{
        children::build,
        dereference::inputs::Inputs,
        plan::{action::Action, presence::Presence},
        validate::{DefaultImages, validate},
    },
};

fn prepared(name: &str, spec: &Value, inputs: &Inputs) -> Prepared {
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": name, "namespace": "ns", "uid": "u"}, "spec": spec});
    let images = DefaultImages::of_tests();
    let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
    build(&service, inputs).prepare().unwrap()
}

fn everything(database: &Value) -> Value {
    json!({"autoscaling": {"maxReplicas": 9}, "database": database,
        "backup": {"schedule": "@daily"},
        "pods": {"backup": {"serviceAccount": {"annotations": {"role": "backups"}}}}, "monitoring": {"serviceMonitor": true},
        "expose": {"ingress": {"host": "hello.example.com"},
            "httpRoute": {"parentRefs": [{"name": "public"}]}}})
}

/// Everything is there and has to be changed, except for one foreign object: kinds and names of what is written then.
fn written(database: &Value, foreign: &ChildId) -> (BTreeSet<String>, BTreeSet<String>) {
    let wanted = wanted(&prepared("demo", &everything(database), &Inputs::offline()));
    assert!(wanted.iter().any(|child| child.id == *foreign), "{foreign}");
    let mut facts = Facts {
        database_ready: true,
        accepts_migration: true,
        ..Facts::default()
    };
    for child in wanted.iter().filter(|child| child.gate != Gate::Migration) {
        facts.present.insert(child.id.clone(), Presence::Drifted);
    }
    let job = wanted
        .iter()
        .find(|child| child.gate == Gate::Migration)
        .unwrap();
    facts.present.insert(job.id.clone(), Presence::Settled);
    facts
        .jobs
        .insert(job.id.clone(), job_phase::JobPhase::Succeeded);
    facts.present.insert(foreign.clone(), Presence::Foreign);
    let (mut updated, mut deleted) = (BTreeSet::new(), BTreeSet::new());
    for action in plan(&wanted, &facts).actions {
        match action {
            Action::Update(id) => updated.insert(id.to_string()),
            Action::Delete(id) => deleted.insert(id.to_string()),
            other => panic!("{other}"),
        };
    }
    (updated, deleted)
}

#[test]
fn what_leans_on_a_foreign_object_is_held_back_or_deleted() {
    let managed = json!({"managed": {}});
    let cnpg = json!({"cloudNativePG": {}});
    let id = |kind, name: &str| ChildId::new(kind, name);
    let pods = [
        "StatefulSet demo-db",
        "Deployment demo",
        "CronJob demo-backup",
    ];
    let secrets = [
        "Secret demo-ca",
        "Secret demo-credentials",
        "Secret demo-db-tls",
    ];
    let front = ["Ingress demo", "HTTPRoute demo", "ServiceMonitor demo"];
    for (database, foreign, held, deleted) in [
        (
            &managed,
            id(Kind::ServiceAccount, "demo-app"),
            &pods[..],
            &[][..],
        ),
        // What only the backups use holds back nothing else.
        (
            &managed,
            id(Kind::ServiceAccount, "demo-backup-pods"),
            &["CronJob demo-backup"],
            &[],
        ),
        (&managed, id(Kind::NetworkPolicy, "demo-backup"), &[], &[]),
        (
            &managed,
            id(Kind::Secret, "demo-credentials"),
            &[&secrets[..], &pods].concat(),
            &[],
        ),
        (
            &managed,
            id(Kind::Secret, "demo-ca"),
            &[&secrets[..], &pods].concat(),
            &[],
        ),
        (&managed, id(Kind::Service, "demo"), &front, &front),
        (&managed, id(Kind::Service, "demo-db"), &pods, &[]),
        (&managed, id(Kind::StatefulSet, "demo-db"), &[], &[]),
        (&managed, id(Kind::NetworkPolicy, "demo-app"), &[], &[]),
        (
            &managed,
            id(Kind::Deployment, "demo"),
            &["HorizontalPodAutoscaler demo"],
            &["HorizontalPodAutoscaler demo"],
        ),
        (
            &cnpg,
            id(Kind::Cluster, "demo-db"),
            &[
                "NetworkPolicy demo-database",
                "Deployment demo",
                "CronJob demo-backup",
            ],
            &["NetworkPolicy demo-database"],
        ),
    ] {
        let wanted = wanted(&prepared("demo", &everything(database), &Inputs::offline()));
        let held: BTreeSet<&str> = held.iter().copied().collect();
        let free = wanted
            .iter()
            .filter(|child| child.gate != Gate::Migration && child.id != foreign);
        let free: BTreeSet<String> = free.map(|child| child.id.to_string()).collect();
        let free: BTreeSet<&str> = free.iter().map(String::as_str).collect();
        let (updates, deletions) = written(database, &foreign);
        let updates: BTreeSet<&str> = updates.iter().map(String::as_str).collect();
        assert_eq!(
            updates,
            free.difference(&held).copied().collect(),
            "{foreign}"
        );
        let deletions: BTreeSet<&str> = deletions.iter().map(String::as_str).collect();
        assert_eq!(deletions, deleted.iter().copied().collect(), "{foreign}");
    }
}

/// Pods must not run as an account that the namespace has anyway.
#[test]
fn a_service_named_default_has_an_account_of_its_own() {
    let prepared = prepared("default", &json!({}), &Inputs::offline());
    let accounts = prepared.ids().filter(|id| id.kind == Kind::ServiceAccount);
    let names: Vec<&str> = accounts.map(|id| &*id.name).collect();
    assert_eq!(names, ["default-app"]);
    for child in &prepared.children {
        let spec = &child.body["spec"]["template"]["spec"];
        if !spec.is_null() {
            assert_eq!(spec["serviceAccountName"], "default-app", "{}", child.id);
        }
    }
}

/// The port in the policies, the Secret that pods mount, and its content are not known.
#[test]
fn without_an_address_what_needs_it_stays_as_it_is_and_the_rest_is_applied() {
    let inputs = Inputs {
        database_identity: None,
        unusable_address: Some("Secret cloud does not exist".into()),
        ..Inputs::offline()
    };
    let databases = [
        (json!({"external": {"secretRef": {"name": "cloud"}}}), 0),
        (
            json!({"external": {"secretRef": {"name": "cloud", "keys": {}}}}),
            1,
        ),
        (
            json!({"managed": {"credentials": {"secretRef": {"name": "cloud"}}}}),
            2,
        ),
    ];
    for (database, of_its_own) in databases {
        let wanted = wanted(&prepared("demo", &everything(&database), &inputs));
        let of_clients = [Kind::NetworkPolicy, Kind::CronJob, Kind::Deployment];
        let of_database = ["demo-address", "demo-credentials", "demo-db"];
        let is_held = |id: &ChildId| match id.kind {
            Kind::Secret | Kind::StatefulSet => of_database.contains(&&*id.name),
            kind => of_clients.contains(&kind) && id.name != "demo-database",
        };
        let own = [Kind::Secret, Kind::StatefulSet];
        let held = wanted
            .iter()
            .filter(|child| own.contains(&child.id.kind) && is_held(&child.id));
        assert_eq!(held.count(), of_its_own, "{database}");
        for presence in [None, Some(Presence::Drifted)] {
            let mut facts = Facts::default();
            for child in &wanted {
                facts
                    .present
                    .extend(presence.map(|presence| (child.id.clone(), presence)));
            }
            let plan = plan(&wanted, &facts);
            let written: BTreeSet<&ChildId> = plan.actions.iter().map(Action::child).collect();
            let expected = wanted
                .iter()
                .filter(|child| presence.is_some() || child.gate != Gate::IfPresent)
                .map(|child| &child.id)
                .filter(|id| !is_held(id));
            assert_eq!(written, expected.collect(), "{database} {presence:?}");
        }
    }
}

/// What must not be written in a pass in which the API server refused a Secret.
#[test]
fn what_depends_on_secrets_is_known() {
    let all = Kind::ALL.into_iter();
    let waiting: BTreeSet<_> = all.filter(|kind| kind.row().needs_secrets()).collect();
    let expected = [
        Kind::Secret,
        Kind::StatefulSet,
        Kind::Cluster,
        Kind::Job,
        Kind::Deployment,
        Kind::CronJob,
    ];
    assert_eq!(waiting, expected.into());
}
