use serde_json::{Value, json};

use super::*;
use crate::object::live::Live;

fn set(status: Value) -> StatefulSet {
    serde_json::from_value(
        json!({"metadata": {"name": "demo-db", "generation": 3}, "status": status}),
    )
    .unwrap()
}

fn current(ready: i32) -> Value {
    json!({"replicas": 1, "observedGeneration": 3, "updatedReplicas": 1, "readyReplicas": ready,
        "currentRevision": "r", "updateRevision": "r"})
}

fn pod(change: impl FnOnce(&mut Value)) -> Pod {
    let container = |name: &str, ready: bool| json!({"name": name, "image": "x", "imageID": "", "ready": ready, "restartCount": 0});
    let mut pod = json!({
        "metadata": {"name": "demo-db-0", "labels": {
            "app.kubernetes.io/component": "database", "controller-revision-hash": "r"}},
        "status": {"containerStatuses": [container("postgres", true), container("watch", false)]},
    });
    change(&mut pod);
    serde_json::from_value(pod).unwrap()
}

#[test]
fn a_server_is_ready_also_while_the_container_beside_it_starts_again() {
    assert!(server_ready(&set(current(1)), &[]));
    assert!(!server_ready(&set(current(0)), &[]));
    let beside = |change: fn(&mut Value)| server_ready(&set(current(0)), &[pod(change)]);
    assert!(beside(|_| ()));
    for change in [
        (|pod| pod["status"]["containerStatuses"][0]["ready"] = false.into()) as fn(&mut Value),
        |pod| pod["metadata"]["labels"]["controller-revision-hash"] = "earlier".into(),
        |pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] = "app".into(),
        |pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        // Its node does not answer.
        |pod| {
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": "False"},
                {"type": "ContainersReady", "status": "True"}]);
        },
    ] {
        assert!(!beside(change));
    }
}

#[test]
fn a_server_that_is_behind_its_spec_is_not_ready() {
    assert!(!server_ready(&set(Value::Null), &[]));
    for (field, value) in [
        ("observedGeneration", json!(2)),
        ("updatedReplicas", json!(0)),
        ("currentRevision", json!("earlier")),
    ] {
        let mut status = current(1);
        status[field] = value;
        assert!(!server_ready(&set(status), &[pod(|_| ())]), "{field}");
    }
}

#[test]
fn a_migration_may_start_beside_its_server_and_not_before_one_that_does_not_come_up() {
    let starts = |status: Value, change: &dyn Fn(&mut Value)| {
        let starting = pod(|pod| {
            pod["status"]["conditions"] =
                json!([{"type": "PodReadyToStartContainers", "status": "True"}]);
            let server = &mut pod["status"]["containerStatuses"][0];
            server["ready"] = false.into();
            server["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
            change(pod);
        });
        is_initializing(&set(status), &[starting])
    };
    type Change = fn(&mut Value);
    let server: fn(&mut Value) -> &mut Value = |pod| &mut pod["status"]["containerStatuses"][0];
    assert!(starts(current(0), &|_| ()));
    assert!(starts(current(0), &|pod| {
        server(pod)["state"] = json!({"waiting": {"reason": "PodInitializing"}});
    }));
    // Where the condition is not known, the container itself shows it.
    let runs = json!({"running": {}});
    assert!(starts(current(0), &|pod| {
        pod["status"]["conditions"] = json!([]);
        server(pod)["state"] = runs.clone();
    }));
    for change in [
        (|pod| pod["status"]["conditions"] = json!([])) as Change,
        |pod| pod["status"]["conditions"][0]["status"] = "False".into(),
        |pod| pod["status"]["containerStatuses"] = json!([]),
        |pod| pod["status"]["containerStatuses"][0]["restartCount"] = 1.into(),
        |pod| pod["status"]["containerStatuses"][0]["state"] = Value::Null,
        |pod| {
            pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 1}})
        },
        |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] =
                "ErrImagePull".into()
        },
        |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] =
                "CrashLoopBackOff".into()
        },
        |pod| pod["metadata"]["labels"]["controller-revision-hash"] = "earlier".into(),
        |pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
    ] {
        assert!(!starts(current(0), &change));
    }
    let mut stale = current(0);
    stale["observedGeneration"] = 2.into();
    assert!(!starts(stale, &|_| ()) && !starts(Value::Null, &|_| ()));
}

fn deployment(status: Value) -> Deployment {
    serde_json::from_value(json!({"metadata": {"name": "demo", "generation": 3},
        "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status}))
    .unwrap()
}

#[test]
fn a_rollout_is_complete_when_every_replica_is_a_current_one() {
    let complete = json!({"observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2});
    assert_eq!(rollout(&deployment(complete.clone())), Rollout::Complete);
    for (field, value) in [
        ("observedGeneration", 2),
        ("updatedReplicas", 1),
        ("availableReplicas", 1),
        // One of the old template is left.
        ("replicas", 3),
    ] {
        let mut status = complete.clone();
        status[field] = value.into();
        assert_eq!(rollout(&deployment(status)), Rollout::InProgress, "{field}");
    }
    assert_eq!(rollout(&deployment(json!({}))), Rollout::InProgress);
}

#[test]
fn no_replicas_at_all_can_be_wanted() {
    let mut none = deployment(json!({"observedGeneration": 3}));
    assert_eq!(rollout(&none), Rollout::InProgress);
    none.spec.as_mut().unwrap().replicas = Some(0);
    assert_eq!(rollout(&none), Rollout::Complete);
}

#[test]
fn a_rollout_that_does_not_go_on_has_the_message_of_kubernetes() {
    let with = |type_: &str, status: &str, reason: &str| {
        rollout(&deployment(json!({"conditions": [
            {"type": "Available", "status": "False", "reason": "Few", "message": "other"},
            {"type": type_, "status": status, "reason": reason, "message": "exceeded quota"}]})))
    };
    let message = || "exceeded quota".to_owned();
    assert_eq!(
        with("ReplicaFailure", "True", "FailedCreate"),
        Rollout::Refused { message: message() }
    );
    assert_eq!(
        with("Progressing", "False", "ProgressDeadlineExceeded"),
        Rollout::Stuck { message: message() }
    );
    let calm = with("ReplicaFailure", "False", "FailedCreate");
    assert_eq!(calm, Rollout::InProgress);
}

fn identity() -> Identity {
    Identity {
        namespace: "ns".into(),
        name: "demo".into(),
        uid: "u".into(),
        generation: 1,
    }
}

/// The state of a database of which this is there.
fn state(database: &Value, present: &[(ChildId, Presence)], live: LiveObjects) -> DatabaseState {
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo"}, "spec": {"database": database}});
    let images = crate::service::validate::DefaultImages::of_tests();
    let service = serde_json::from_value(service).unwrap();
    let validated = crate::service::validate::validate(&service, &images).unwrap();
    let facts = Facts {
        present: present.iter().cloned().collect(),
        ..Facts::default()
    };
    observe(&identity(), &validated.database, &facts, &live, &[]).database
}

fn with(kind: Kind, object: Value) -> LiveObjects {
    let live = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
    let mut all = LiveObjects::default();
    all.insert(ChildId::new(kind, "demo-db"), live);
    all
}

#[test]
fn a_managed_database_serves_only_as_it_is_wanted() {
    let managed = json!({"managed": {}});
    let id = ChildId::new(Kind::StatefulSet, "demo-db");
    let live = || {
        let object =
            json!({"metadata": {"name": "demo-db", "generation": 3}, "status": current(1)});
        with(Kind::StatefulSet, object)
    };
    let starting = DatabaseState::Starting { phase: None };
    for (presence, expected) in [
        (Presence::Settled, DatabaseState::Serving),
        (Presence::Drifted, starting.clone()),
        (Presence::Foreign, starting.clone()),
        (Presence::Deleting, DatabaseState::Leaving),
        (Presence::Predecessor, DatabaseState::Leaving),
    ] {
        let seen = state(&managed, &[(id.clone(), presence)], live());
        assert_eq!(seen.is_ready(), expected == DatabaseState::Serving);
        assert_eq!(seen, expected, "{presence:?}");
    }
    assert!(!starting.accepts_migration() && !DatabaseState::Leaving.accepts_migration());
    assert!(
        DatabaseState::Initializing.accepts_migration() && !DatabaseState::Initializing.is_ready()
    );
    assert_eq!(state(&managed, &[], LiveObjects::default()), starting);
    let claim = ChildId::new(Kind::PersistentVolumeClaim, "data-demo-db-0");
    let leaving = state(
        &managed,
        &[(claim, Presence::Deleting)],
        LiveObjects::default(),
    );
    assert_eq!(leaving, DatabaseState::Leaving);
}

#[test]
fn a_database_by_cloudnativepg_is_judged_by_its_health_and_its_spec() {
    let database = json!({"cloudNativePG": {"instances": 3}});
    let id = ChildId::new(Kind::Cluster, "demo-db");
    let live = |ready: i32| {
        let object = json!({"metadata": {"name": "demo-db"}, "spec": {"instances": 3}, "status": {
            "phase": "x", "readyInstances": ready, "currentPrimary": "a", "targetPrimary": "a",
            "instancesStatus": {"healthy": ["a"]}, "conditions": [{"type": "Ready", "status": "True"}]}});
        with(Kind::Cluster, object)
    };
    let seen = |presence, ready| state(&database, &[(id.clone(), presence)], live(ready));
    assert_eq!(seen(Presence::Settled, 3), DatabaseState::Serving);
    assert_eq!(seen(Presence::Drifted, 3), DatabaseState::Changing);
    assert!(!seen(Presence::Drifted, 3).is_ready());
    for (presence, settled) in [(Presence::Settled, true), (Presence::Drifted, false)] {
        let degraded = seen(presence, 2);
        assert_eq!(degraded.is_ready(), settled);
        let phase = "x".to_owned();
        assert_eq!(degraded, DatabaseState::Degraded { phase, settled });
    }
    let starting = DatabaseState::Starting {
        phase: Some("x".into()),
    };
    assert_eq!(seen(Presence::Settled, 1), starting);
    assert!(!starting.is_ready());
    assert_eq!(seen(Presence::Deleting, 3), DatabaseState::Leaving);
    assert_eq!(seen(Presence::Predecessor, 3), DatabaseState::Leaving);
    assert_eq!(seen(Presence::Foreign, 3), DatabaseState::Absent);
    let absent = state(&database, &[], LiveObjects::default());
    assert_eq!(absent, DatabaseState::Absent);
}

#[test]
fn without_its_kind_or_an_own_server_there_is_little_to_judge() {
    let external = json!({"external": {"secretRef": {"name": "db"}}});
    let state = state(&external, &[], LiveObjects::default());
    assert_eq!(state, DatabaseState::External);
    assert!(state.is_ready());
}

#[test]
fn a_server_that_begins_is_waited_for_only_by_the_wanted_template() {
    let id = ChildId::new(Kind::StatefulSet, "demo-db");
    let object = json!({"metadata": {"name": "demo-db", "generation": 3}, "status": current(0)});
    let live = with(Kind::StatefulSet, object);
    let begins = pod(|pod| {
        let server = &mut pod["status"]["containerStatuses"][0];
        server["ready"] = false.into();
        server["state"] = json!({"running": {}});
    });
    let seen = |presence, pods: &[Pod]| {
        let facts = Facts {
            present: [(id.clone(), presence)].into(),
            ..Facts::default()
        };
        managed("demo-db", "data-demo-db-0".into(), &facts, &live, pods)
    };
    let starting = DatabaseState::Starting { phase: None };
    assert_eq!(seen(Presence::Settled, &[]), starting);
    let begins = [begins];
    assert_eq!(seen(Presence::Drifted, &begins), starting);
    assert_eq!(
        seen(Presence::Settled, &begins),
        DatabaseState::Initializing
    );
}

#[test]
fn a_node_is_lost_when_the_control_plane_alone_reports_its_pod_as_not_ready() {
    for (ready, containers, lost) in [
        ("False", "True", true),
        ("False", "False", false),
        ("True", "True", false),
        ("Unknown", "True", false),
    ] {
        let pod = pod(|pod| {
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": ready},
                {"type": "ContainersReady", "status": containers}]);
        });
        assert_eq!(node_is_lost(&pod), lost, "{ready} {containers}");
    }
}

#[test]
fn a_deployment_is_short_below_what_its_autoscaler_may_choose() {
    for (replicas, least, short) in [
        (Some(1), Some(2), true),
        (Some(2), Some(2), false),
        (Some(3), Some(2), false),
        (None, Some(2), true),
        (None, Some(1), false),
        (Some(0), None, false),
    ] {
        let mut deployment = deployment(json!({}));
        deployment.spec.as_mut().unwrap().replicas = replicas;
        let facts = Facts {
            least_replicas: least,
            ..Facts::default()
        };
        assert_eq!(
            is_short(&deployment, &facts),
            short,
            "{replicas:?} {least:?}"
        );
    }
}
