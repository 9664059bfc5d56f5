use super::*;
use crate::{
    object::{kind::Gate, live::Live},
    service::{
        children::build,
        validate::{DefaultImages, validate},
    },
};
use serde_json::{Value, json};

#[test]
fn only_a_pod_that_has_not_ended_migrates() {
    let at_work = |part: &str, status: Value| {
        let pod = json!({"metadata": {"labels": {"app.kubernetes.io/component": part}}, "status": status});
        migrates(&serde_json::from_value(pod).unwrap())
    };
    for phase in ["Pending", "Running", "Unknown"] {
        assert!(at_work("migration", json!({"phase": phase})), "{phase}");
        assert!(!at_work("app", json!({"phase": phase})), "{phase}");
    }
    assert!(at_work("migration", json!({})));
    for phase in ["Succeeded", "Failed"] {
        assert!(!at_work("migration", json!({"phase": phase})), "{phase}");
    }
}

#[test]
fn the_phase_of_a_job_is_its_end_or_that_it_has_none() {
    let phase = |status: Value| {
        let job = json!({"metadata": {"name": "demo"}, "status": status});
        JobPhase::from_job(&serde_json::from_value(job).unwrap())
    };
    let condition =
        |type_: &str, status: &str| json!({"conditions": [{"type": type_, "status": status}]});
    assert_eq!(phase(Value::Null), JobPhase::Active);
    assert_eq!(phase(json!({"active": 1})), JobPhase::Active);
    assert_eq!(phase(json!({"succeeded": 1})), JobPhase::Succeeded);
    assert_eq!(phase(json!({"succeeded": 0})), JobPhase::Active);
    assert_eq!(phase(condition("Complete", "True")), JobPhase::Succeeded);
    assert_eq!(phase(condition("Complete", "False")), JobPhase::Active);
    assert_eq!(phase(condition("Failed", "True")), JobPhase::Failed);
    assert_eq!(phase(condition("Suspended", "True")), JobPhase::Active);
}

#[test]
fn the_scale_manager_may_hold_the_number_unless_an_autoscaler_owns_it() {
    let deployment = |manager: &str| {
        let entry = json!({"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}});
        serde_json::from_value(json!({"metadata": {"managedFields": [entry]}})).unwrap()
    };
    for autoscaled in [true, false] {
        assert!(holds_replicas(&deployment(names::MANAGER), autoscaled));
        let scale = deployment(names::SCALE_MANAGER);
        assert_eq!(holds_replicas(&scale, autoscaled), autoscaled);
        assert!(!holds_replicas(&deployment("kubectl"), autoscaled));
    }
}

/// The facts about a service with this scaling of which these objects are there.
fn facts(scaling: Value, objects: &[(Kind, Value)]) -> Facts {
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo", "uid": "u"}, "spec": scaling});
    let images = DefaultImages::of_tests();
    let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
    let inputs = Inputs::offline();
    let prepared = build(&service, &inputs).prepare().unwrap();
    let owner = json!([{"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "name": "demo", "uid": "u", "controller": true}]);
    let mut observed = Observed::default();
    for (kind, object) in objects {
        let mut object = object.clone();
        object["metadata"] = json!({"name": "demo", "ownerReferences": owner});
        let live = Live::parse(*kind, serde_json::from_value(object).unwrap()).unwrap();
        observed.children.insert(ChildId::new(*kind, "demo"), live);
    }
    Facts::from_observed(&service, &prepared, &observed, &inputs)
}

#[test]
fn a_new_deployment_starts_with_the_number_that_the_autoscaler_chose_last() {
    let auto = json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}});
    let initial = |desired: i32| {
        let status = json!({"desiredReplicas": desired});
        let autoscaler = (Kind::HorizontalPodAutoscaler, json!({"status": status}));
        facts(auto.clone(), &[autoscaler]).initial_replicas
    };
    for (desired, expected) in [(0, 2), (2, 2), (4, 4), (9, 5)] {
        assert_eq!(initial(desired), expected, "{desired}");
    }
    assert_eq!(facts(auto.clone(), &[]).initial_replicas, 2);
    let fresh = (Kind::HorizontalPodAutoscaler, json!({}));
    assert_eq!(facts(auto, &[fresh]).initial_replicas, 2);
    // A number of the spec is not the autoscaler's, also while that is still there.
    let status = json!({"status": {"desiredReplicas": 9}});
    let fixed = facts(
        json!({"replicas": 3}),
        &[(Kind::HorizontalPodAutoscaler, status)],
    );
    assert_eq!(fixed.initial_replicas, 3);
    assert_eq!(fixed.wanted_replicas, Some(3));
}

#[test]
fn the_facts_name_what_is_there() {
    let deployment = json!({"spec": {"replicas": 4, "selector": {}, "template": {}}});
    let job = json!({"status": {"succeeded": 1}});
    let facts = facts(
        json!({"paused": true}),
        &[(Kind::Deployment, deployment), (Kind::Job, job)],
    );
    let id = |kind| ChildId::new(kind, "demo");
    assert_eq!(facts.live_replicas, Some(4));
    assert_eq!(facts.present[&id(Kind::Deployment)], Presence::Drifted);
    // Without the hash, something else was never wanted.
    assert!(facts.outdated.is_empty());
    assert_eq!(facts.jobs, [(id(Kind::Job), JobPhase::Succeeded)].into());
    assert!(facts.paused && !facts.migrating && !facts.accepts_migration);
}

#[test]
fn a_job_has_done_its_work_when_a_pod_of_its_own_has() {
    let job: DynamicObject =
        serde_json::from_value(json!({"metadata": {"name": "demo-migrate-1", "uid": "j"}}))
            .unwrap();
    let pod = |owner: &str, phase: &str| -> Pod {
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-migrate-1", "uid": owner});
        serde_json::from_value(
            json!({"metadata": {"ownerReferences": [owner]}, "status": {"phase": phase}}),
        )
        .unwrap()
    };
    for (pods, done) in [
        (vec![], false),
        (vec![pod("j", "Running")], false),
        (vec![pod("j", "Failed")], false),
        // Of an earlier Job of the same name.
        (vec![pod("i", "Succeeded")], false),
        (vec![pod("j", "Failed"), pod("j", "Succeeded")], true),
    ] {
        assert_eq!(is_done(&job, &pods), done, "{pods:?}");
    }
    let unnamed = DynamicObject {
        metadata: Default::default(),
        ..job
    };
    assert!(!is_done(&unnamed, &[pod("", "Succeeded")]));
}

#[test]
fn only_the_limits_of_a_job_leave_room_for_another_attempt() {
    for (reason, phase) in [
        (json!("PodFailurePolicy"), JobPhase::Failed),
        (json!("Surprise"), JobPhase::Failed),
        (json!(null), JobPhase::Failed),
        (json!("BackoffLimitExceeded"), JobPhase::Interrupted),
        (json!("DeadlineExceeded"), JobPhase::Interrupted),
    ] {
        let condition = json!({"type": "Failed", "status": "True", "reason": reason});
        let job = json!({"status": {"conditions": [condition]}});
        let job: Job = serde_json::from_value(job).unwrap();
        assert_eq!(JobPhase::from_job(&job), phase, "{reason}");
    }
}

/// A missing pull secret that was added, for example: it is not among the inputs that name the Job.
#[test]
fn a_job_of_another_template_is_replaced_unless_a_pod_of_it_runs() {
    let desired = Desired::from_body(
        Kind::Job,
        Gate::Migration,
        json!({"metadata": {"name": "j"}}),
    );
    let job = |hash: &str| -> DynamicObject {
        let metadata = json!({"name": "j", "annotations": {names::HASH_ANNOTATION: hash}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    };
    let pod = |component: &str, state: Value| -> Pod {
        serde_json::from_value(
            json!({"metadata": {"labels": {names::COMPONENT_LABEL: component}},
            "status": {"containerStatuses": [{"name": "migrate", "image": "i", "imageID": "",
                "ready": false, "restartCount": 0, "state": state}]}}),
        )
        .unwrap()
    };
    let (running, waiting) = (json!({"running": {}}), json!({"waiting": {}}));
    for (hash, pods, superseded) in [
        (&*desired.hash, vec![], false),
        ("0", vec![], true),
        ("0", vec![pod("migration", waiting)], true),
        ("0", vec![pod("migration", running.clone())], false),
        ("0", vec![pod("app", running)], true),
    ] {
        assert_eq!(is_superseded(&job(hash), Some(&desired), &pods), superseded);
    }
    assert!(!is_superseded(&job("0"), None, &[]));
}
