//! The upgrade from 0.1.0: resources and children as that version left them, then the present definitions and operator.
//!
//! `operator/tests/upgrade/0.1.0` has that version's definition, its resources with every field, and what it made of them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use futures::future::join_all;
use hello_operator::object::{child::ChildId, kind::Kind, names::MANAGER};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    server::{Server, ours},
    world::{World, eventually},
};

fn file(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upgrade/0.1.0");
    PathBuf::from(folder).join(name)
}

/// The documents of a file.
fn documents(name: &str) -> Vec<Value> {
    use serde::Deserialize;
    let text = fs::read_to_string(file(name)).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// Puts that version's definition in place of the present ones.
async fn go_back(server: &Server) {
    let api: Api<CustomResourceDefinition> = Api::all(server.client());
    for definition in ours() {
        let name = definition.name_any();
        api.delete(&name, &DeleteParams::default()).await.unwrap();
        eventually("the definition is gone", || async {
            let gone = api.get_opt(&name).await.unwrap().is_none();
            gone.then_some(())
        })
        .await;
    }
    let old = fs::read_to_string(file("helloservices.yaml")).unwrap();
    server.define(&serde_yaml::from_str(&old).unwrap()).await;
}

/// Applies the present definitions, and waits until the server goes by them.
async fn go_on(server: &Server, world: &World) {
    let api: Api<CustomResourceDefinition> = Api::all(server.client());
    let parameters = PatchParams::apply("test").force();
    for definition in ours() {
        let name = definition.name_any();
        api.patch(&name, &parameters, &Patch::Apply(definition))
            .await
            .unwrap();
    }
    // The former definition does not have this field, and takes it away.
    let probe = json!({"pods": {"all": {"labels": {"a": "b"}}}});
    eventually("the present definition is in use", || async {
        let answer = world.try_out("probe", &probe).await.ok()?;
        (!answer.data["spec"]["pods"].is_null()).then_some(())
    })
    .await;
}

/// The Secrets and ConfigMaps that the resources name.
async fn create_references(world: &World) {
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let certificate = rcgen::generate_simple_self_signed(vec!["hello.example.com".into()]).unwrap();
    let (public, private) = (
        certificate.cert.pem(),
        certificate.signing_key.serialize_pem(),
    );
    for (name, type_, entries) in [
        (
            "registry",
            "kubernetes.io/dockerconfigjson",
            vec![(".dockerconfigjson", "{}")],
        ),
        (
            "hello-own-tls",
            "kubernetes.io/tls",
            vec![("tls.crt", &*public), ("tls.key", &*private)],
        ),
        ("issuer-ca", "Opaque", vec![("tls.crt", &*public)]),
        (
            "cloud-database",
            "Opaque",
            vec![
                (
                    "address",
                    "postgres://u:p@db.example.com/hello?sslmode=verify-full",
                ),
                ("server-ca.pem", &*public),
            ],
        ),
    ] {
        let entries = entries.into_iter();
        let data: BTreeMap<String, ByteString> = entries
            .map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
        let secret = Secret {
            metadata: serde_json::from_value(json!({"name": name})).unwrap(),
            type_: Some(type_.to_owned()),
            data: Some(data),
            ..Default::default()
        };
        api.create(&PostParams::default(), &secret).await.unwrap();
    }
    let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let trust = json!({"metadata": {"name": "trust"}, "data": {"ca.crt": public}});
    let trust = serde_json::from_value(trust).unwrap();
    api.create(&PostParams::default(), &trust).await.unwrap();
}

/// Creates the children that 0.1.0 made, as it did. The claim of the data comes from the StatefulSet.
async fn create_children(world: &World, fixture: &str, uid: &str) {
    for mut object in documents(&format!("{fixture}.objects.yaml")) {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| object["kind"] == kind.to_string());
        let (kind, name) = (
            kind.unwrap(),
            object["metadata"]["name"].as_str().unwrap().to_owned(),
        );
        if name.starts_with("data-") {
            continue;
        }
        object["metadata"]["namespace"] = world.namespace.clone().into();
        if let Some(owner) = object["metadata"].get_mut("ownerReferences") {
            owner[0]["uid"] = uid.into();
        }
        let parameters = PatchParams::apply(MANAGER);
        let api = world.api(kind);
        api.patch(&name, &parameters, &Patch::Apply(object))
            .await
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }
}

/// A service as 0.1.0 left it, and its children.
async fn old_service(server: &Server, fixture: &str) -> (World, BTreeMap<ChildId, DynamicObject>) {
    let world = World::on(server, &format!("upgrade-{fixture}")).await;
    create_references(&world).await;
    let mut resource = documents(&format!("{fixture}.resource.yaml")).remove(0);
    resource["metadata"]["namespace"] = world.namespace.clone().into();
    let live: DynamicObject = serde_json::from_value(resource).unwrap();
    let live = world
        .services()
        .create(&PostParams::default(), &live)
        .await
        .unwrap();
    create_children(&world, fixture, &live.uid().unwrap()).await;
    let children = eventually("the former version's pods run", || async {
        let children = world.children("demo").await;
        let is_done = |(id, child): &(ChildId, DynamicObject)| match id.kind {
            Kind::Deployment => !child.data["status"]["readyReplicas"].is_null(),
            Kind::StatefulSet => child.data["status"]["readyReplicas"] == 1,
            Kind::Job => !child.data["status"]["conditions"].is_null(),
            _ => true,
        };
        children.iter().all(is_done).then_some(children)
    });
    let children = children.await.into_iter().collect();
    (world, children)
}

/// Whether an upgrade may replace an object: the migration is a new one, and accounts have names of their own since.
fn may_go(kind: Kind) -> bool {
    matches!(kind, Kind::Job | Kind::ServiceAccount)
}

/// Upgrades the operator, and compares what there is then with what there was before.
async fn upgrade((world, before): (World, BTreeMap<ChildId, DynamicObject>)) {
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    world.ready("demo").await;
    world.settle(&operator).await;
    let after: BTreeMap<_, _> = world.children("demo").await.into_iter().collect();
    for (id, child) in &before {
        let what = format!("{}: {id}", world.namespace);
        match after.get(id) {
            Some(now) => assert_eq!(now.uid(), child.uid(), "{what} was made anew"),
            None => assert!(may_go(id.kind), "{what} is gone"),
        }
    }
    let field = |children: &BTreeMap<ChildId, DynamicObject>, id: &ChildId, path: &str| {
        children
            .get(id)
            .map(|child| child.data.pointer(path).cloned())
    };
    let credentials = ChildId::new(Kind::Secret, "demo-credentials");
    let schedule = ChildId::new(Kind::CronJob, "demo-backup");
    for (id, path) in [
        (&credentials, "/data/owner-password"),
        (&credentials, "/data/app-password"),
        (&credentials, "/data/backup-password"),
        (&schedule, "/spec/schedule"),
        (&schedule, "/spec/timeZone"),
        (&schedule, "/spec/suspend"),
    ] {
        let what = format!("{}: {id} {path}", world.namespace);
        assert_eq!(field(&after, id, path), field(&before, id, path), "{what}");
    }
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_0_1_0_made_survives_the_upgrade() {
    let server = Server::start();
    go_back(&server).await;
    let fixtures = ["full", "external", "cloudnativepg"];
    let services = join_all(fixtures.map(|fixture| old_service(&server, fixture))).await;
    go_on(&server, &services[0].0).await;
    join_all(services.into_iter().map(upgrade)).await;
}
