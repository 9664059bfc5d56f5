//! Foreign objects that have the name of a wanted one.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hello_operator::{
    kubernetes::{api::Cluster, fence::Fence},
    object::{
        child::{self, ChildId, Desired},
        kind::Kind,
    },
    service::{
        children,
        dereference::inputs::Inputs,
        secrets::credentials::Credentials,
        validate::{DefaultImages, validate},
    },
};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::{
    reference::make,
    world::{Operator, World, eventually, quiet},
};

const ADDRESS: &str = "postgres://me:secret@db.example.com/hello";

/// Specs that together lead to every kind of child, the plainest first.
fn specs() -> Vec<Value> {
    vec![
        // The name of its Job is known as soon as the resource has a UID.
        json!({"database": {"external": {"secretRef": {"name": "cloud"}}}}),
        json!({}),
        json!({"autoscaling": {"maxReplicas": 9}}),
        json!({"expose": {"ingress": {"host": "hello.example.com"}}}),
        json!({"expose": {"httpRoute": {"parentRefs": [{"name": "public"}]}}}),
        json!({"monitoring": {"serviceMonitor": true}}),
        json!({"backup": {"schedule": "@daily"}}),
        json!({"database": {"cloudNativePG": {}}}),
    ]
}

fn children(world: &World, name: &str, uid: &str, spec: &Value) -> Vec<Desired> {
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": name, "namespace": world.namespace, "uid": uid}, "spec": quiet(spec)});
    let images = DefaultImages {
        app: "hello-app:1".into(),
        postgres: "postgres:18".into(),
    };
    let service = validate(&serde_json::from_value(service).unwrap(), &images).unwrap();
    let inputs = Inputs {
        credentials: Credentials::placeholder(),
        database_identity: Some(child::hash(&format!("{uid}\n{ADDRESS}"))),
        ..Inputs::offline()
    };
    children::build(&service, &inputs)
        .prepare()
        .unwrap()
        .children
}

/// A foreign object, and the resource that it blocks.
struct Case {
    name: String,
    uid: String,
    spec: Value,
    id: ChildId,
    theirs: DynamicObject,
}

/// A resource for each child of every kind; a foreign object has the name of that child.
async fn cases(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut seen = BTreeSet::new();
    for spec in specs() {
        let external = !spec["database"]["external"].is_null();
        for child in children(world, "demo", "", &spec) {
            let (kind, name) = (child.id.kind, format!("c{}", cases.len()));
            // The names of the other Jobs are not known in advance; what one spec leaves out, another one has. One
            // of each kind is enough, except of those that hold data.
            let data = matches!(kind, Kind::Secret | Kind::PersistentVolumeClaim);
            let like = (kind, data.then(|| child.id.name.clone()));
            if (kind == Kind::Job) != external || !seen.insert(like) {
                continue;
            }
            let uid = match kind {
                Kind::Job => paused(world, &name, &spec).await,
                _ => String::new(),
            };
            let id = ChildId::new(kind, child.id.name.replace("demo", &name));
            let mut wanted = children(world, &name, &uid, &spec).into_iter();
            let is_it =
                |wanted: &Desired| wanted.id == id || kind == Kind::Job && wanted.id.kind == kind;
            let wanted = wanted.find(is_it).unwrap();
            let mut body = wanted.body;
            body["metadata"] = json!({"name": wanted.id.name});
            if kind == Kind::PersistentVolumeClaim {
                // The operator writes only the mutable fields of the data's claim.
                body["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
            }
            let api = world.api(kind);
            let body = serde_json::from_value(body).unwrap();
            let theirs = api.create(&PostParams::default(), &body).await.unwrap();
            cases.push(Case {
                name,
                uid,
                spec: spec.clone(),
                id: wanted.id,
                theirs,
            });
        }
    }
    cases
}

/// Creates a resource that nothing is made for yet, and returns its UID.
async fn paused(world: &World, name: &str, spec: &Value) -> String {
    let mut spec = spec.clone();
    spec["paused"] = true.into();
    world.apply(name, spec).await.metadata.uid.unwrap()
}

impl Case {
    fn is_of_backups(&self) -> bool {
        self.id.name.ends_with("-backup")
    }

    /// The object that has the name now, without the status that the stand-ins for controllers write.
    async fn live(&self, world: &World) -> DynamicObject {
        let mut live = world.get(&self.id).await.unwrap();
        live.data.as_object_mut().unwrap().remove("status");
        live
    }

    async fn is_untouched(&self, world: &World) {
        let live = self.live(world).await;
        let mut theirs = self.theirs.clone();
        theirs.data.as_object_mut().unwrap().remove("status");
        let alone = !matches!(
            self.id.kind,
            Kind::Job | Kind::StatefulSet | Kind::Deployment
        );
        if alone {
            assert_eq!(live.metadata, theirs.metadata, "{}", self.id);
        }
        assert_eq!(live.data, theirs.data, "{}", self.id);
        let managers = live.metadata.managed_fields.iter().flatten();
        let ours = managers.filter_map(|entry| entry.manager.as_deref());
        assert_eq!(
            ours.filter(|manager| manager.starts_with("hello-operator"))
                .count(),
            0,
            "{}",
            self.id
        );
    }
}

async fn writes_no_more(operator: &Operator) {
    eventually("writes have stopped", || async {
        let before = operator.writes();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        (operator.writes() == before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_is_never_taken_over() {
    let world = World::new("conflict").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"uri": ADDRESS}});
    make(&world, "cloud", secret).await;
    let cases = cases(&world).await;
    let kinds: BTreeSet<Kind> = cases.iter().map(|case| case.id.kind).collect();
    // Whoever has ordered a restore of that name: `plan/bootstrap.rs`.
    let tried = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::HelloRestore);
    assert_eq!(kinds, tried.collect());
    let operator = world.operator();
    for case in &cases {
        world.apply(&case.name, case.spec.clone()).await;
    }
    for case in &cases {
        // The service serves without its backups.
        let type_ = match case.is_of_backups() {
            true => "BackupVerified",
            false => "Ready",
        };
        let conflict = eventually(&format!("{} is reported", case.id), || async {
            let condition = world.condition(&case.name, type_, "False").await;
            (condition["reason"] == "Conflict").then_some(condition)
        })
        .await;
        if case.is_of_backups() {
            world.ready(&case.name).await;
        }
        let message = conflict["message"].as_str().unwrap();
        assert!(
            message.contains(&case.id.to_string()),
            "{message}: {}",
            case.id
        );
    }
    writes_no_more(&operator).await;
    for case in &cases {
        case.is_untouched(&world).await;
        let made = world.children(&case.name).await;
        let made = |kind: Kind| made.iter().any(|(id, _)| id.kind == kind);
        match case.id.kind {
            // Nothing runs with passwords and certificates that are not stored.
            Kind::Secret => assert!(!made(Kind::Job) && !made(Kind::StatefulSet), "{}", case.id),
            // Nothing writes to the foreign volume.
            Kind::PersistentVolumeClaim => {
                let user = match case.is_of_backups() {
                    true => Kind::CronJob,
                    false => Kind::StatefulSet,
                };
                assert!(!made(user), "{}", case.id);
            }
            _ => {}
        }
    }
    operator.stop().await;
}

/// It may have appeared since the pass looked, and even have the wanted fields.
#[tokio::test(flavor = "multi_thread")]
async fn a_creation_leaves_alone_what_is_there() {
    let world = World::new("creation").await;
    let cluster = Cluster::new(world.client.clone(), Arc::default(), Fence::open());
    for case in cases(&world).await {
        let mut wanted = children(&world, &case.name, &case.uid, &case.spec).into_iter();
        let wanted = wanted.find(|wanted| wanted.id == case.id).unwrap();
        let answer = cluster.create(&wanted, &world.namespace).await;
        let error = answer.expect_err(&case.id.to_string());
        assert!(error.is_code(409), "{}: {error}", case.id);
        case.is_untouched(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_becomes_free_is_used() {
    let world = World::new("conflict-over").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret"});
    make(&world, "demo-credentials", secret).await;
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1234}]}});
    make(&world, "demo", service).await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    // One after the other, also without an event from that object.
    for (kind, name) in [(Kind::Secret, "demo-credentials"), (Kind::Service, "demo")] {
        let id = ChildId::new(kind, name);
        eventually("the conflict is reported", || async {
            let condition = world.condition("demo", "Ready", "False").await;
            let message = condition["message"].as_str().unwrap();
            (condition["reason"] == "Conflict" && message.contains(&format!("{id} exists")))
                .then_some(())
        })
        .await;
        writes_no_more(&operator).await;
        let jobs = world.children("demo").await.into_iter();
        let jobs = jobs.filter(|(id, _)| id.kind == Kind::Job).count();
        // Passwords that are not stored would differ in each pass, and so would the migration.
        assert_eq!(jobs, usize::from(kind != Kind::Secret));
        let api = world.api(kind);
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_resources_do_not_share_children() {
    let world = World::new("two").await;
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    // Its headless Service would have the name of the other one's Service.
    world.ready("demo").await;
    world.apply("demo-db", json!({})).await;
    eventually("the second one reports the conflict", || async {
        let condition = world.condition("demo-db", "Ready", "False").await;
        (condition["reason"] == "Conflict").then_some(())
    })
    .await;
    let service = world
        .get(&ChildId::new(Kind::Service, "demo-db"))
        .await
        .unwrap();
    assert_eq!(service.data["spec"]["clusterIP"], "None");
    world.ready("demo").await;
    operator.stop().await;
}
