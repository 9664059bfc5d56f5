//! The component that limits what the operator's account may write, on an API server that evaluates it.

use hello_operator::{
    kubernetes::connection::connect,
    object::{child::ChildId, kind::Kind},
};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Pod,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    edits::furnished_on,
    field_bases::{base, other_base},
    field_changes::free_port,
    forbidden::{forbidden_in_pods, forbidden_objects, object, workload},
    rights::{ACCOUNT, stuck_pod},
    server::Server,
    snapshot,
    world::eventually,
};

/// Creates every object of one kind in a file of the manifests.
async fn install<K>(client: &Client, file: &str, kind: &str)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let path = format!("{}/../manifests/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let objects = documents.map(|document| Value::deserialize(document).unwrap());
    for object in objects.filter(|object| object["kind"] == kind) {
        let object: K = serde_json::from_value(object).unwrap();
        let api: Api<K> = Api::all(client.clone());
        api.create(&PostParams::default(), &object).await.unwrap();
    }
}

/// A server with the operator's rights and the policy, once that is in effect.
async fn limited_server() -> Server {
    let server = Server::start();
    let client = server.client();
    install::<ClusterRole>(&client, "base/rbac.yaml", "ClusterRole").await;
    install::<ClusterRoleBinding>(&client, "base/rbac.yaml", "ClusterRoleBinding").await;
    const POLICY: &str = "components/admission/policy.yaml";
    install::<ValidatingAdmissionPolicy>(&client, POLICY, "ValidatingAdmissionPolicy").await;
    let binding = "ValidatingAdmissionPolicyBinding";
    install::<ValidatingAdmissionPolicyBinding>(&client, POLICY, binding).await;
    let limited = as_operator(&server);
    eventually("the policy is in effect", || async {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe"}});
        let answer = create(&limited, "default", Kind::Secret, &secret, true).await;
        answer
            .err()
            .map(|message| assert!(message.contains("labels"), "{message}"))
    })
    .await;
    server
}

/// A client with the operator's account.
fn as_operator(server: &Server) -> Client {
    let mut config = server.config(&server.url);
    config.auth_info.impersonate = Some(ACCOUNT.into());
    connect(config).unwrap()
}

/// The message of a refused creation.
async fn create(
    client: &Client,
    namespace: &str,
    kind: Kind,
    object: &Value,
    dry_run: bool,
) -> Result<(), String> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind.resource());
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let object = serde_json::from_value(object.clone()).unwrap();
    let answer = api.create(&parameters, &object).await;
    answer.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_admits_all_that_the_operator_does() {
    let server = limited_server().await;
    let world = furnished_on(&server, "limited").await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator_through(as_operator(&server));
    let mut spec = base(free_port());
    world.apply("demo", spec.clone()).await;
    world.apply("engine", other_base(free_port())).await;
    world.ready("demo").await;
    world.ready("engine").await;
    stuck_pod(&world).await;
    // Objects are changed, deleted and restored.
    spec["image"] = "hello-app:2".into();
    spec["networkPolicy"] = json!({"enabled": false});
    for part in ["autoscaling", "expose", "monitoring", "backup"] {
        spec.as_object_mut().unwrap().remove(part);
    }
    world.apply("demo", spec).await;
    world.ready("demo").await;
    let account = ChildId::new(Kind::ServiceAccount, "demo-app");
    let no_labels = Patch::Merge(json!({"metadata": {"labels": null}}));
    let api = world.api(account.kind);
    let parameters = PatchParams::default();
    api.patch(&account.name, &parameters, &no_labels)
        .await
        .unwrap();
    eventually("its labels are back", || async {
        let labels = world.get(&account).await?.metadata.labels?;
        (!labels.is_empty()).then_some(())
    })
    .await;
    // A deletion that waits, and does not wait any more.
    let snapshot = json!({"deletionPolicy": "Snapshot", "backup": {"schedule": "@yearly"}});
    world.apply("going", snapshot).await;
    world.ready("going").await;
    snapshot::delete(&world, "going", DeleteParams::background()).await;
    snapshot::waits(&world, "going", "SnapshotPending", "is being made").await;
    let delete = json!({"spec": {"deletionPolicy": "Delete"}});
    snapshot::patch(&world, "going", delete).await;
    snapshot::gone(&world, "going").await;
    // What is retained loses its owner.
    let parameters = DeleteParams::default();
    world.services().delete("demo", &parameters).await.unwrap();
    let credentials = ChildId::new(Kind::Secret, "demo-credentials");
    eventually("the credentials have no owner", || async {
        let live = world.get(&credentials).await.unwrap();
        live.metadata
            .owner_references
            .is_none_or(|owners| owners.is_empty())
            .then_some(())
    })
    .await;
    let log = server.audit_log();
    let answers: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|answer: &Value| answer["impersonatedUser"]["username"] == ACCOUNT)
        .collect();
    assert!(answers.len() > 100, "{} answers", answers.len());
    let refused = answers
        .iter()
        .find(|answer| answer["responseStatus"]["code"] == 403);
    assert_eq!(refused, None);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_refuses_all_else_in_its_words() {
    let server = limited_server().await;
    let client = as_operator(&server);
    for kind in [
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::Job,
        Kind::CronJob,
    ] {
        let plain = workload(kind, "", &Value::Null);
        create(&client, "default", kind, &plain, true)
            .await
            .unwrap();
        for (place, value, words) in forbidden_in_pods() {
            let object = workload(kind, place, &value);
            let answer = create(&client, "default", kind, &object, true).await;
            let message = answer.expect_err(&format!("{kind} with {place}: {value}"));
            assert!(message.contains(words), "{kind} {place} {value}: {message}");
        }
    }
    for (namespace, kind, object, words) in forbidden_objects() {
        let answer = create(&client, namespace, kind, &object, true).await;
        let message = answer.expect_err(&object.to_string());
        assert!(message.contains(words), "{object}: {message}");
        // Nobody else is concerned.
        let answer = create(&server.client(), namespace, kind, &object, true).await;
        assert_eq!(answer, Ok(()), "{object}");
    }
    others_objects(&server, &client).await;
    only_finalizers(&server, &client).await;
}

/// Of a HelloService, the finalizers are changed and nothing else.
async fn only_finalizers(server: &Server, client: &Client) {
    let resource = ApiResource::erase::<hello_crds::HelloService>(&());
    let api = |client: Client| -> Api<DynamicObject> {
        Api::namespaced_with(client, "default", &resource)
    };
    let service = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": "demo"}, "spec": {}});
    let service = serde_json::from_value(service).unwrap();
    let administrator = api(server.client());
    let parameters = PostParams::default();
    administrator.create(&parameters, &service).await.unwrap();
    let limited = api(client.clone());
    for (change, allowed) in [
        (
            json!({"metadata": {"finalizers": ["hello.internal/snapshot"]}}),
            true,
        ),
        (json!({"metadata": {"finalizers": null}}), true),
        (json!({"metadata": {"labels": {"a": "b"}}}), false),
        (json!({"metadata": {"annotations": {"a": "b"}}}), false),
        (json!({"spec": {"image": "other"}}), false),
    ] {
        let patch = Patch::Merge(&change);
        let answer = limited.patch("demo", &PatchParams::default(), &patch).await;
        match allowed {
            true => drop(answer.unwrap()),
            false => {
                let message = answer.unwrap_err().to_string();
                let words = "changes only the finalizers of a HelloService";
                assert!(message.contains(words), "{change}: {message}");
            }
        }
    }
}

/// Objects of others are neither changed nor deleted, also not by giving them the operator's labels.
async fn others_objects(server: &Server, client: &Client) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}});
    let administrator = server.client();
    create(&administrator, "default", Kind::Secret, &secret, false)
        .await
        .unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "theirs"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let pods: Api<Pod> = Api::namespaced(administrator, "default");
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    const WORDS: &str = "changes and deletes only what has the operator's label";
    let secrets: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &Kind::Secret.resource());
    let labelled = object("Secret", json!({}));
    let labels = Patch::Merge(json!({"metadata": {"labels": labelled["metadata"]["labels"]}}));
    let parameters = PatchParams::default();
    let changed = secrets.patch("theirs", &parameters, &labels).await;
    let message = changed.unwrap_err().to_string();
    assert!(message.contains(WORDS), "{message}");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let deleted = pods.delete("theirs", &DeleteParams::default()).await;
    let message = deleted.unwrap_err().to_string();
    assert!(message.contains(WORDS), "{message}");
}
