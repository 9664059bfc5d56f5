//! Which requests are sent for a decision, and what is left out after a refusal.

use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::test_server::{Sent, Server, failing, failure, stored},
    object::{
        child::Desired,
        kind::{Gate, Kind},
        names,
    },
    service::{
        dereference::observed::DuePods,
        plan::{
            leaving::Finalizer,
            readiness::{DatabaseState, Rollout},
            write::Write,
        },
        validate::{Database, DefaultImages, validate},
    },
};

fn id(kind: Kind) -> ChildId {
    ChildId::new(kind, "demo")
}

fn desired(kind: Kind) -> Desired {
    let body = json!({"metadata": {"name": "demo"}, "spec": {"wanted": true}});
    Desired::from_body(kind, Gate::Always, body)
}

fn write(change: Change, needs: &[Kind]) -> Write {
    Write {
        change,
        reason: WriteReason::Missing,
        needs: needs.iter().map(|kind| id(*kind)).collect(),
    }
}

fn create(kind: Kind, needs: &[Kind]) -> Write {
    write(Change::Create(desired(kind)), needs)
}

fn external() -> Database {
    let spec = json!({"database": {"external": {"secretRef": {"name": "db"}}}});
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo"}, "spec": spec});
    let images = DefaultImages::of_tests();
    let service = serde_json::from_value(service).unwrap();
    validate(&service, &images).unwrap().database
}

/// An object whose number of pods the operator holds.
fn there_already() -> Value {
    let fields = json!({"f:spec": {"f:replicas": {}}});
    let managers = json!([{"manager": names::MANAGER, "fieldsV1": fields}]);
    json!({"metadata": {"name": "demo", "uid": "seen", "managedFields": managers}})
}

/// A decision on these writes; objects of these kinds are there.
fn decision(writes: Vec<Write>, there: &[Kind]) -> Decision {
    let mut live = LiveObjects::default();
    for kind in there {
        let object = serde_json::from_value(there_already()).unwrap();
        live.insert(id(*kind), Live::parse(*kind, object).unwrap());
    }
    Decision {
        identity: Identity {
            namespace: "ns".into(),
            name: "demo".into(),
            uid: "u".into(),
            generation: 1,
        },
        database: external(),
        wanted: vec![],
        facts: Facts::default(),
        plan: Plan {
            actions: vec![],
            migration: Migration::Running,
            conflicts: vec![],
            leaving: vec![],
            unavailable: vec![],
            finalizer: Finalizer::Unchanged,
        },
        writes,
        readiness: Readiness {
            database: DatabaseState::External,
            app: Rollout::Absent,
        },
        live,
        pods: vec![],
        of_backups: [].into(),
        unresolved: vec![],
        due_pods: DuePods::default(),
        missing_pull_secrets: vec![],
        next_change: None,
        finalizers: None,
    }
}

/// The requests for one change of an object that is there.
async fn requests(change: Change) -> Vec<Sent> {
    let server = Server::new(stored);
    let kind = change.action().child().kind;
    let decision = decision(vec![write(change, &[])], &[kind]);
    let applied = apply(&server.cluster, decision).await.unwrap();
    assert!(applied.refused().is_empty(), "{:?}", applied.refused());
    let sent = server.sent.lock().unwrap();
    sent.clone()
}

fn sent(method: &str, path: &str, query: &[(&str, &str)], content: &str, body: Value) -> Sent {
    let query = query.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    Sent {
        method: method.into(),
        path: path.into(),
        query: query.collect(),
        content_type: content.into(),
        body,
    }
}

const APPLY: &str = "application/apply-patch+yaml";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/ns/deployments/demo";

#[tokio::test]
async fn a_creation_is_applied_at_a_version_that_no_object_has() {
    let desired = desired(Kind::Service);
    let mut body = desired.body.clone();
    body["metadata"]["resourceVersion"] = "1".into();
    let path = "/api/v1/namespaces/ns/services/demo";
    let manager = [("fieldManager", "hello-operator")];
    let expected = sent("PATCH", path, &manager, APPLY, body);
    assert_eq!(requests(Change::Create(desired)).await, [expected]);
}

#[tokio::test]
async fn an_update_is_forced_and_for_the_object_that_was_seen() {
    let desired = desired(Kind::Deployment);
    let mut body = desired.body.clone();
    body["metadata"]["uid"] = "seen".into();
    let query = [("fieldManager", "hello-operator"), ("force", "true")];
    let expected = sent("PATCH", DEPLOYMENT, &query, APPLY, body);
    assert_eq!(requests(Change::Update(desired)).await, [expected]);
}

#[tokio::test]
async fn a_scaling_writes_the_number_alone_as_a_manager_of_its_own() {
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "demo", "uid": "seen"}, "spec": {"replicas": 3}});
    let query = [("fieldManager", "hello-operator-scale"), ("force", "true")];
    let expected = sent("PATCH", DEPLOYMENT, &query, APPLY, body);
    let change = Change::Scale(id(Kind::Deployment), 3);
    assert_eq!(requests(change).await, [expected]);
}

#[tokio::test]
async fn a_release_removes_the_number_from_the_operators_fields() {
    let field = "/metadata/managedFields/0";
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": "seen"},
        {"op": "test", "path": format!("{field}/manager"), "value": "hello-operator"},
        {"op": "remove", "path": format!("{field}/fieldsV1/f:spec/f:replicas")},
    ]);
    let patch = "application/json-patch+json";
    let expected = [sent("PATCH", DEPLOYMENT, &[], patch, body)];
    assert_eq!(
        requests(Change::Release(id(Kind::Deployment))).await,
        expected
    );
}

#[tokio::test]
async fn a_release_reads_an_object_again_whose_managers_have_changed() {
    let moved = json!({"metadata": {}, "items": [{"metadata": {"name": "demo", "uid": "seen", "managedFields": [
        {"manager": "kubectl", "fieldsV1": {}},
        {"manager": names::MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]}}]});
    let server = Server::new(move |sent| match sent.method.as_str() {
        "GET" => (200, moved.clone()),
        _ if sent.body[1]["path"] == "/metadata/managedFields/0/manager" => failure(422),
        _ => stored(sent),
    });
    let writes = vec![write(Change::Release(id(Kind::Deployment)), &[])];
    let decision = decision(writes, &[Kind::Deployment]);
    let applied = apply(&server.cluster, decision).await.unwrap();
    assert_eq!(applied.writes().len(), 1);
    assert!(applied.refused().is_empty(), "{:?}", applied.refused());
    let sent = server.sent.lock().unwrap();
    let [_, read, last] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(
        (&*read.method, &*read.query["fieldSelector"]),
        ("GET", "metadata.name%3Ddemo")
    );
    assert_eq!(last.body[1]["path"], "/metadata/managedFields/1/manager");
}

#[tokio::test]
async fn a_deletion_is_for_the_object_that_was_seen_and_of_a_job_in_the_foreground() {
    for (kind, path, propagation) in [
        (
            Kind::Service,
            "/api/v1/namespaces/ns/services/demo",
            "Background",
        ),
        (
            Kind::Job,
            "/apis/batch/v1/namespaces/ns/jobs/demo",
            "Foreground",
        ),
    ] {
        let body = json!({"propagationPolicy": propagation, "preconditions": {"uid": "seen"}});
        let sent = requests(Change::Delete(id(kind))).await;
        assert_eq!(sent.len(), 1);
        assert_eq!((&*sent[0].method, &*sent[0].path), ("DELETE", path));
        assert_eq!(sent[0].body, body);
    }
}

#[tokio::test]
async fn a_release_after_a_creation_is_for_the_created_object() {
    let server = Server::new(stored);
    let deployment = id(Kind::Deployment);
    let writes = vec![
        create(Kind::Deployment, &[]),
        write(Change::Release(deployment.clone()), &[Kind::Deployment]),
    ];
    let applied = apply(&server.cluster, decision(writes, &[])).await.unwrap();
    let made: Vec<&str> = applied.writes().iter().map(|(a, _)| a.verb()).collect();
    assert_eq!(made, ["create", "release"]);
    let calls = ["PATCH deployments", "PATCH deployments"];
    assert_eq!(server.calls(), calls);
    let sent = server.sent.lock().unwrap();
    assert_eq!(sent[1].body[0]["value"], "made");
    assert_eq!(applied.live().get(&deployment).unwrap().uid(), "made");
}

#[tokio::test]
async fn what_needs_a_refused_write_is_left_out_and_the_rest_is_made() {
    let server = failing("secrets", 403);
    let writes = vec![
        create(Kind::Secret, &[]),
        create(Kind::Service, &[]),
        create(Kind::StatefulSet, &[Kind::Secret]),
        create(Kind::Job, &[Kind::Secret]),
        // It needs what was left out, not what was refused.
        write(Change::Release(id(Kind::StatefulSet)), &[Kind::StatefulSet]),
        create(Kind::Ingress, &[]),
    ];
    let applied = apply(&server.cluster, decision(writes, &[])).await.unwrap();
    let calls = ["PATCH secrets", "PATCH services", "PATCH ingresses"];
    assert_eq!(server.calls(), calls);
    let refused: Vec<&ChildId> = applied.refused().iter().map(|(id, _)| id).collect();
    assert_eq!(refused, [&id(Kind::Secret)]);
    let made: Vec<&ChildId> = applied.writes().iter().map(|(a, _)| a.child()).collect();
    assert_eq!(made, [&id(Kind::Service), &id(Kind::Ingress)]);
    assert!(applied.live().get(&id(Kind::StatefulSet)).is_none());
    assert_eq!(applied.migration(), Migration::Pending);
}

#[tokio::test]
async fn a_migration_runs_as_planned_unless_its_job_is_refused() {
    for (code, expected) in [(201, Migration::Running), (422, Migration::Pending)] {
        let server = Server::new(move |sent| match code {
            422 => failure(code),
            _ => stored(sent),
        });
        let writes = vec![create(Kind::Job, &[])];
        let applied = apply(&server.cluster, decision(writes, &[])).await.unwrap();
        assert_eq!(applied.migration(), expected, "{code}");
    }
    let without = Applied::without_writes(decision(vec![], &[]));
    assert_eq!(without.migration(), Migration::Running);
}

#[tokio::test]
async fn an_error_that_is_not_about_one_object_ends_the_pass() {
    for code in [409, 429] {
        let server = failing("services", code);
        let writes = vec![
            create(Kind::Secret, &[]),
            create(Kind::Service, &[]),
            create(Kind::Ingress, &[]),
        ];
        let error = apply(&server.cluster, decision(writes, &[]))
            .await
            .unwrap_err();
        assert!(error.is_code(code), "{error}");
        assert_eq!(server.calls(), ["PATCH secrets", "PATCH services"]);
    }
}

/// A broken webhook for one kind, for example.
#[tokio::test]
async fn a_failure_of_the_api_server_at_one_child_holds_up_only_what_needs_it() {
    for code in [500, 502, 503, 504] {
        let server = failing("secrets", code);
        let writes = vec![
            create(Kind::Secret, &[]),
            create(Kind::Service, &[]),
            create(Kind::StatefulSet, &[Kind::Secret]),
            create(Kind::Ingress, &[]),
        ];
        let applied = apply(&server.cluster, decision(writes, &[])).await.unwrap();
        let calls = ["PATCH secrets", "PATCH services", "PATCH ingresses"];
        assert_eq!(server.calls(), calls);
        assert!(applied.refused().is_empty());
        let failed: Vec<&ChildId> = applied.failed().iter().map(|(id, _)| id).collect();
        assert_eq!(failed, [&id(Kind::Secret)]);
        assert!(applied.or_failure().unwrap_err().is_code(code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_request_without_an_answer_ends_the_pass() {
    let creations = || [Kind::Secret, Kind::Service, Kind::Ingress].map(|kind| create(kind, &[]));
    let server = Server::silent_for("services");
    let applied = apply(&server.cluster, decision(creations().into(), &[]))
        .await
        .unwrap();
    let failed: Vec<&ChildId> = applied.failed().iter().map(|(id, _)| id).collect();
    assert_eq!(failed, [&id(Kind::Service)]);
    assert_eq!(applied.writes().len(), 2);
    let server = Server::silent_for("");
    let error = apply(&server.cluster, decision(creations().into(), &[]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    assert_eq!(server.calls(), ["PATCH secrets", "PATCH services"]);
}

#[tokio::test]
async fn what_is_gone_already_counts_as_deleted() {
    let server = failing("ingresses", 404);
    let ingress = id(Kind::Ingress);
    let writes = vec![write(Change::Delete(ingress.clone()), &[])];
    let applied = apply(&server.cluster, decision(writes, &[Kind::Ingress]))
        .await
        .unwrap();
    assert_eq!(applied.writes().len(), 1);
    assert!(applied.live().get(&ingress).is_none());
}

#[tokio::test]
async fn an_update_of_what_is_gone_is_tried_again_from_the_start() {
    let server = failing("services", 404);
    let writes = vec![write(Change::Update(desired(Kind::Service)), &[])];
    let decision = decision(writes, &[Kind::Service]);
    let error = apply(&server.cluster, decision).await.unwrap_err();
    assert!(error.is_code(404), "{error}");
}

#[tokio::test]
async fn readiness_is_that_after_the_writes() {
    let rolled_out = |generation: u8| {
        json!({"metadata": {"name": "demo", "uid": "u", "generation": generation},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}})
    };
    let server = Server::new(move |_| (200, rolled_out(2)));
    let mut before = decision(
        vec![write(Change::Update(desired(Kind::Deployment)), &[])],
        &[],
    );
    let live = serde_json::from_value(rolled_out(1)).unwrap();
    before.live.insert(
        id(Kind::Deployment),
        Live::parse(Kind::Deployment, live).unwrap(),
    );
    before.readiness.app = Rollout::Complete;
    let applied = apply(&server.cluster, before).await.unwrap();
    assert_eq!(applied.readiness().app, Rollout::InProgress);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_reported_like_a_refusal() {
    let server = Server::new(|_| {
        let spec = json!({"replicas": "many"});
        (200, json!({"metadata": {"name": "demo"}, "spec": spec}))
    });
    let writes = vec![create(Kind::Deployment, &[])];
    let applied = apply(&server.cluster, decision(writes, &[])).await.unwrap();
    let (_, error) = &applied.refused()[0];
    assert!(
        error
            .to_string()
            .starts_with("Deployment demo cannot be read"),
        "{error}"
    );
    assert!(applied.writes().is_empty());
}
