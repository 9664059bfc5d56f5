//! What is at work, what has ended, and what a person requested.

use serde_json::{Value, json};

use super::*;
use crate::{
    object::live::Live,
    service::{
        children::build,
        plan::stuck_pod::REVISION_LABEL,
        validate::{DefaultImages, validate},
    },
};

/// A service with backups of which one is requested by hand.
struct World {
    service: Validated,
    inputs: Inputs,
    prepared: Prepared,
    observed: Observed,
}

impl World {
    fn new() -> Self {
        let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "uid": "u", "annotations": {names::BACKUP_REQUEST_ANNOTATION: "1"}},
            "spec": {"backup": {"schedule": "0 2 * * *"}}});
        let images = DefaultImages::of_tests();
        let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
        let inputs = Inputs {
            backup_schedule: Some("schedule".into()),
            ..Inputs::offline()
        };
        Self {
            prepared: build(&service, &inputs).prepare().unwrap(),
            observed: Observed::default(),
            inputs,
            service,
        }
    }

    /// What is wanted of the first child of which this is true.
    fn wanted(&self, is_it: impl Fn(&Desired) -> bool) -> (ChildId, Value) {
        let mut children = self.prepared.children.iter();
        let child = children.find(|child| is_it(child)).unwrap();
        (child.id.clone(), child.body.clone())
    }

    /// The facts when these objects and pods are there.
    fn facts(&mut self, objects: Vec<(ChildId, Value)>, pods: &[Value]) -> Facts {
        self.observed = Observed::default();
        for (id, object) in objects {
            let live = Live::parse(id.kind, serde_json::from_value(object).unwrap()).unwrap();
            self.observed.children.insert(id, live);
        }
        let pods = pods.iter().cloned().map(serde_json::from_value);
        self.observed.pods = pods.collect::<Result<_, _>>().unwrap();
        Facts::from_observed(&self.service, &self.prepared, &self.observed, &self.inputs)
    }
}

/// A pod of this component, owned by what has the UID `owner`.
fn pod(component: &str, owner: &str, phase: &str) -> Value {
    json!({"metadata": {"name": "p", "uid": "p", "resourceVersion": "1",
            "labels": {names::COMPONENT_LABEL: component, REVISION_LABEL: "old"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Owner", "name": "o", "uid": owner, "controller": true}]},
        "status": {"phase": phase}})
}

#[test]
fn a_job_whose_end_is_not_reported_yet_is_judged_by_its_pods_and_its_template() {
    let mut world = World::new();
    let (id, mut job) = world.wanted(|child| child.gate == Gate::Migration);
    job["metadata"]["uid"] = "job".into();
    let mut former = job.clone();
    former["metadata"]["annotations"][names::HASH_ANNOTATION] = "0".into();
    let mut phase = |job: &Value, pods: &[Value]| {
        let facts = world.facts(vec![(id.clone(), job.clone())], pods);
        assert_eq!(
            facts.migrating,
            !pods.is_empty() && pods[0]["status"]["phase"] == "Pending"
        );
        facts.jobs[&id]
    };
    let (waits, succeeded) = (
        pod("migration", "job", "Pending"),
        pod("migration", "job", "Succeeded"),
    );
    assert_eq!(phase(&job, &[]), JobPhase::Active);
    assert_eq!(phase(&job, std::slice::from_ref(&waits)), JobPhase::Active);
    assert_eq!(phase(&job, &[succeeded]), JobPhase::Succeeded);
    assert_eq!(phase(&former, &[waits]), JobPhase::Interrupted);
}

#[test]
fn a_requested_backup_is_started_once_the_schedule_has_its_job() {
    let mut world = World::new();
    let (id, mut job) = world.wanted(|child| child.gate == Gate::Request);
    job["metadata"]["uid"] = "job".into();
    let by_hand = &job["metadata"]["annotations"][names::BY_HAND_ANNOTATION];
    assert_eq!(by_hand, "manual");
    let facts = world.facts(vec![], &[]);
    assert_eq!(facts.requested_backup.as_ref(), Some(&id));
    assert_eq!(facts.started_backup(), None);
    assert!(!facts.backing_up);
    let mut leaving = job.clone();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut foreign = job.clone();
    foreign["metadata"]["ownerReferences"][0]["uid"] = "other".into();
    for (job, started) in [(job, true), (leaving, true), (foreign, false)] {
        let facts = world.facts(vec![(id.clone(), job)], &[]);
        assert_eq!(facts.started_backup().is_some(), started);
        assert!(facts.backing_up);
        // It is no migration.
        assert!(facts.jobs.is_empty() && !facts.is_migration(&id));
    }
}

#[test]
fn a_backup_is_at_work_until_its_job_and_its_pods_have_ended() {
    let job = |component: &str, status: Value| {
        let id = ChildId::new(Kind::Job, "demo-backup-1");
        let metadata = json!({"name": "demo-backup-1", "uid": "run", "labels": {names::COMPONENT_LABEL: component}});
        (id, json!({"metadata": metadata, "status": status}))
    };
    let ended = json!({"succeeded": 1});
    let mut world = World::new();
    for (jobs, pods, expected) in [
        (vec![], vec![], false),
        (vec![job("backup", json!({}))], vec![], true),
        (vec![job("migration", json!({}))], vec![], false),
        (vec![job("backup", ended.clone())], vec![], false),
        (
            vec![job("backup", ended.clone())],
            vec![pod("backup", "run", "Running")],
            true,
        ),
        (
            vec![job("backup", ended)],
            vec![pod("backup", "run", "Succeeded")],
            false,
        ),
        (vec![], vec![pod("app", "x", "Running")], false),
    ] {
        let facts = world.facts(jobs.clone(), &pods);
        assert_eq!(facts.backing_up, expected, "{jobs:?} {pods:?}");
    }
}

#[test]
fn a_run_of_a_former_template_that_cannot_start_is_stuck() {
    let mut world = World::new();
    let (schedule, mut object) = world.wanted(|child| child.id.kind == Kind::CronJob);
    object["metadata"]["uid"] = "schedule".into();
    let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "demo-backup", "uid": "schedule", "controller": true}]);
    let id = ChildId::new(Kind::Job, "demo-backup-1");
    let job = json!({"metadata": {"name": "demo-backup-1", "uid": "run", "ownerReferences": owner,
            "labels": {names::COMPONENT_LABEL: "backup"}},
        "spec": {"template": {"spec": {"containers": [{"name": "backup", "image": "former"}]}}}});
    let facts = world.facts(vec![(schedule, object), (id.clone(), job)], &[]);
    assert_eq!(facts.stuck_runs, [id].into());
}

#[test]
fn a_pod_is_stuck_only_once_its_server_is_as_wanted() {
    let mut world = World::new();
    let (id, mut server) = world.wanted(|child| child.id.kind == Kind::StatefulSet);
    server["metadata"]["uid"] = "server".into();
    server["status"] = json!({"replicas": 1, "updateRevision": "new"});
    let mut stuck = pod("database", "server", "Pending");
    stuck["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False"}]);
    let settled = world.facts(
        vec![(id.clone(), server.clone())],
        std::slice::from_ref(&stuck),
    );
    assert_eq!(settled.present[&id], Presence::Settled);
    assert!(settled.stuck_pod.is_some() && settled.outdated.is_empty());
    server["metadata"]["annotations"][names::HASH_ANNOTATION] = "0".into();
    let drifted = world.facts(vec![(id.clone(), server)], &[stuck]);
    assert_eq!(drifted.present[&id], Presence::Drifted);
    assert_eq!(drifted.stuck_pod, None);
    assert_eq!(drifted.outdated, [id].into());
}

#[test]
fn the_migration_that_a_deployment_records_counts_while_the_deployment_is_ours() {
    let mut world = World::new();
    let (id, mut deployment) = world.wanted(|child| child.id.kind == Kind::Deployment);
    let mut recorded = |deployment: &Value| {
        let facts = world.facts(vec![(id.clone(), deployment.clone())], &[]);
        facts.recorded.map(|(of, job)| {
            assert_eq!(of, id);
            job
        })
    };
    let annotations = deployment["metadata"]["annotations"].as_object_mut();
    annotations.unwrap().remove(names::MIGRATION_ANNOTATION);
    assert_eq!(recorded(&deployment), None);
    deployment["metadata"]["annotations"][names::MIGRATION_ANNOTATION] = "demo-migrate-1".into();
    assert_eq!(recorded(&deployment).as_deref(), Some("demo-migrate-1"));
    deployment["metadata"]["ownerReferences"][0]["uid"] = "other".into();
    assert_eq!(recorded(&deployment), None);
}
