//! Restores, with the real controller of Jobs.

use hello_crds::HelloRestore;
use hello_operator::object::kind::Kind;
use k8s_openapi::api::{
    core::v1::{Pod, Secret},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    kubelet::{self, new_pod},
    refused::{allow, until_enforced},
    server::Server,
    world::{Operator, World, eventually},
};

/// A namespace with a service that has backups, and an operator.
async fn world(server: &Server, name: &str) -> (World, Operator) {
    let world = World::on(server, name).await;
    let operator = world.operator();
    let spec = json!({"backup": {"schedule": "@yearly"}});
    world.apply("demo", spec).await;
    world.ready("demo").await;
    (world, operator)
}

pub fn restores(world: &World) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<HelloRestore>(&());
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// Orders a restore, or gives the consent to the loss.
pub async fn order(world: &World, name: &str, consent: bool) {
    order_from(world, name, json!({"backup": "latest"}), consent).await;
}

/// Orders a restore of the backup in this place.
pub async fn order_from(world: &World, name: &str, source: Value, consent: bool) {
    let spec = json!({"service": {"name": "demo"}, "source": source, "acceptDataLoss": consent});
    let body = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::RESTORE_KIND,
        "metadata": {"name": name}, "spec": spec});
    let parameters = PatchParams::apply("test").force();
    let patch = Patch::Apply(body);
    restores(world)
        .patch(name, &parameters, &patch)
        .await
        .unwrap();
}

async fn annotate(world: &World, name: &str, key: &str, value: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    let parameters = PatchParams::default();
    restores(world)
        .patch(name, &parameters, &patch)
        .await
        .unwrap();
}

/// Waits for a phase with this reason, and returns the status.
pub async fn reached(world: &World, name: &str, phase: &str, reason: &str) -> Value {
    eventually(&format!("{name}: {phase}, {reason}"), || async {
        let live = restores(world).get_opt(name).await.unwrap()?;
        let status = live.data["status"].clone();
        let is = status["phase"] == phase && status["conditions"][0]["reason"] == reason;
        is.then_some(status)
    })
    .await
}

/// Waits until nothing is left of a restore.
pub async fn gone(world: &World, name: &str) {
    eventually(&format!("{name} is gone"), || async {
        let live = restores(world).get_opt(name).await.unwrap();
        live.is_none().then_some(())
    })
    .await;
}

/// The pod of the next step, which runs this.
pub async fn step(world: &World, known: &mut Vec<String>, command: &str) -> Pod {
    let pod = new_pod(world, "restore", known).await;
    known.push(pod.uid().unwrap());
    let container = &pod.spec.as_ref().unwrap().containers[0];
    assert_eq!(container.name, "restore");
    let arguments = container.args.clone().unwrap();
    assert_eq!(arguments[..2], ["restore", command], "{arguments:?}");
    pod
}

fn arguments(pod: &Pod) -> Vec<String> {
    let containers = &pod.spec.as_ref().unwrap().containers;
    containers[0].args.clone().unwrap()
}

/// Ends the pod of a step with this result.
pub async fn end(world: &World, pod: &Pod, code: i32, result: Value) {
    let mut result = result;
    result["time"] = "2026-01-01T00:00:00Z".into();
    kubelet::end(world, pod, code, &result.to_string()).await;
}

pub fn staged(added: i64) -> Value {
    json!({"reason": "Staged", "set": "hello-20260101T000000Z", "rows": 5,
        "loss": {"added": added, "changed": 0, "removed": 2, "since": "2026-01-01T00:00:00Z"}})
}

pub fn swapped() -> Value {
    json!({"reason": "Swapped", "previous": "hello_previous_1", "loss": {"added": 4, "changed": 0, "removed": 2}})
}

async fn is_held(world: &World, name: &str) -> bool {
    let live = restores(world).get(name).await.unwrap();
    !live.finalizers().is_empty()
}

/// Undoes the restore and drops what was restored. What was written since the swap is asked about, too.
async fn is_undone(world: &World, known: &mut Vec<String>) {
    annotate(world, "back", "hello.internal/undo", "true").await;
    let pod = step(world, known, "undo").await;
    let refused = json!({"reason": "LossNotAccepted", "message": "1 row", "loss": {"added": 1, "changed": 0, "removed": 0}});
    end(world, &pod, 65, refused).await;
    let status = reached(world, "back", "Completed", "LossNotAccepted").await;
    let words = status["conditions"][0]["message"].as_str().unwrap();
    assert!(words.contains("1 row"), "{words}");
    annotate(world, "back", "hello.internal/undo", "accept-data-loss").await;
    let pod = step(world, known, "undo").await;
    let undone = json!({"reason": "Undone"});
    end(world, &pod, 0, undone).await;
    let status = reached(world, "back", "Undone", "Undone").await;
    assert_eq!(status["previous"], "hello_restore_1");
    annotate(world, "back", "hello.internal/drop-previous", "true").await;
    let pod = step(world, known, "discard").await;
    end(world, &pod, 0, json!({"reason": "Discarded"})).await;
    eventually("what was restored is gone", || async {
        let live = restores(world).get("back").await.unwrap();
        live.data["status"]["previous"].is_null().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_asks_before_it_loses_rows_and_can_be_undone() {
    let server = Server::start();
    let (world, operator) = world(&server, "restored").await;
    let _controllers = Controllers::start(&server, &["job"]);
    let mut known = Vec::new();

    order(&world, "back", false).await;
    let pod = step(&world, &mut known, "stage").await;
    let uid = restores(&world).get("back").await.unwrap().uid().unwrap();
    for wanted in [&*uid, "/backups", "latest", "/scratch"] {
        assert!(arguments(&pod).contains(&wanted.to_owned()), "{wanted}");
    }
    reached(&world, "back", "Staging", "Staging").await;
    assert!(is_held(&world, "back").await);
    end(&world, &pod, 0, staged(3)).await;
    let status = reached(&world, "back", "WaitingForConsent", "WaitingForConsent").await;
    assert_eq!(status["backup"], "hello-20260101T000000Z");
    assert_eq!(status["loss"]["added"], 3);
    assert_eq!(status["conditions"][1]["status"], "True", "it is stalled");
    let words = status["conditions"][0]["message"].as_str().unwrap();
    assert!(words.contains("3 added"), "{words}");
    world.settle(&operator).await;
    world.ready("demo").await;

    // The operator does not remember anything.
    operator.stop().await;
    let operator = world.operator();
    order(&world, "back", true).await;
    let pod = step(&world, &mut known, "swap").await;
    assert!(arguments(&pod).contains(&"--accept-data-loss".to_owned()));
    end(&world, &pod, 0, swapped()).await;
    let status = reached(&world, "back", "Completed", "Completed").await;
    assert_eq!(status["previous"], "hello_previous_1");
    assert_eq!(status["loss"]["added"], 4, "as it was counted afterwards");
    assert_eq!(status["conditions"][0]["status"], "True");
    eventually("it is not held", || async {
        (!is_held(&world, "back").await).then_some(())
    })
    .await;

    is_undone(&world, &mut known).await;
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_waits_for_its_turn_and_leaves_nothing_when_it_is_deleted() {
    let server = Server::start();
    let (world, operator) = world(&server, "queued").await;
    let _controllers = Controllers::start(&server, &["job"]);
    let mut known = Vec::new();
    order(&world, "first", false).await;
    let pod = step(&world, &mut known, "stage").await;
    order(&world, "second", false).await;
    let status = reached(&world, "second", "Pending", "Queued").await;
    let words = status["conditions"][0]["message"].as_str().unwrap();
    assert!(words.ends_with("first"), "{words}");
    assert!(!is_held(&world, "second").await);
    end(&world, &pod, 0, staged(3)).await;
    reached(&world, "first", "WaitingForConsent", "WaitingForConsent").await;

    // What was staged goes first.
    let delete = DeleteParams::default();
    restores(&world).delete("first", &delete).await.unwrap();
    let pod = step(&world, &mut known, "discard").await;
    assert!(is_held(&world, "first").await);
    end(&world, &pod, 0, json!({"reason": "Discarded"})).await;
    gone(&world, "first").await;

    // The words of a foreign image are not repeated, and a failure is an end.
    let pod = step(&world, &mut known, "stage").await;
    let failed = json!({"reason": "Mismatch", "message": "users differ"});
    end(&world, &pod, 65, failed).await;
    let status = reached(&world, "second", "Failed", "Mismatch").await;
    assert!(status.to_string().contains("users differ"));

    // A restore that was begun does not outlive its service, and its own deletion does not wait for it.
    order(&world, "third", false).await;
    step(&world, &mut known, "stage").await;
    world.services().delete("demo", &delete).await.unwrap();
    reached(&world, "third", "Failed", "ServiceReplaced").await;
    restores(&world).delete("third", &delete).await.unwrap();
    gone(&world, "third").await;
    order(&world, "fourth", false).await;
    reached(&world, "fourth", "Pending", "ServiceMissing").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_another_service_is_restored_from_its_bucket() {
    let server = Server::start();
    let (world, operator) = world(&server, "clone").await;
    let _controllers = Controllers::start(&server, &["job"]);
    let mut known = Vec::new();
    let s3 = json!({"bucket": "company", "prefix": "shop/hello", "endpoint": "https://s3.example.com:9000",
        "caSecretRef": {"name": "store-ca"}, "credentialsSecretRef": {"name": "store-key"}});
    let source = json!({"backup": "latest", "destination": {"s3": s3}});
    order_from(&world, "back", source, false).await;
    let status = reached(&world, "back", "Pending", "SourceInvalid").await;
    let words = status["conditions"][0]["message"].as_str().unwrap();
    let missing = "spec.source.destination.s3.caSecretRef: Secret store-ca does not exist";
    assert!(words.ends_with(missing), "{words}");
    assert!(!is_held(&world, "back").await);

    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store-ca"}, "stringData": {"ca.crt": "x"}});
    // Its Job is refused at first.
    let kinds = [Kind::Service, Kind::Job];
    allow(&world, &kinds, "0").await;
    until_enforced(&world, Kind::Service).await;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let secret = serde_json::from_value(secret).unwrap();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let policies: Api<NetworkPolicy> = Api::namespaced(world.client.clone(), &world.namespace);
    let own = ListParams::default().labels("hello.internal/restore=back");
    reached(&world, "back", "Staging", "JobRefused").await;
    let policy = policies.list(&own).await.unwrap().items.pop().unwrap();
    assert_eq!(policy.owner_references()[0].kind, "HelloRestore");
    // The next try finds the policy there.
    allow(&world, &kinds, "100").await;
    let pod = step(&world, &mut known, "stage").await;
    let arguments = arguments(&pod).join(" ");
    assert!(
        arguments.contains("--s3-bucket company --s3-prefix shop/hello"),
        "{arguments}"
    );
    let selector = policy.spec.unwrap().pod_selector.unwrap();
    for (label, value) in selector.match_labels.unwrap() {
        assert_eq!(pod.labels().get(&label), Some(&value));
    }
    end(&world, &pod, 0, staged(0)).await;
    let pod = step(&world, &mut known, "swap").await;
    end(&world, &pod, 0, swapped()).await;
    reached(&world, "back", "Completed", "Completed").await;
    // The policy is none of the service's children.
    world.settle(&operator).await;
    assert_eq!(policies.list(&own).await.unwrap().items.len(), 1);
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_is_staged_once_there_is_what_opens_it() {
    let server = Server::start();
    let (world, operator) = world(&server, "sealed").await;
    let _controllers = Controllers::start(&server, &["job"]);
    let source = json!({"backup": "latest", "identitySecretRef": {"name": "age"}});
    order_from(&world, "back", source, false).await;
    let status = reached(&world, "back", "Pending", "SourceInvalid").await;
    let words = status["conditions"][0]["message"].as_str().unwrap();
    let missing = "spec.source.identitySecretRef: Secret age does not exist";
    assert!(words.ends_with(missing), "{words}");
    let secret = json!({"metadata": {"name": "age"}, "stringData": {"identity": "x"}});
    let secret = serde_json::from_value(secret).unwrap();
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let created = secrets.create(&PostParams::default(), &secret).await;
    created.unwrap();
    let pod = step(&world, &mut Vec::new(), "stage").await;
    let arguments = arguments(&pod).join(" ");
    let option = "--identity-file /etc/hello/identity/identity";
    assert!(arguments.contains(option), "{arguments}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_does_not_change_and_a_consent_is_not_taken_back() {
    let world = World::new("orders").await;
    order(&world, "back", true).await;
    let patch = async |spec: Value| {
        let patch = Patch::Merge(json!({"spec": spec}));
        let (restores, parameters) = (restores(&world), PatchParams::default());
        let answer = restores.patch("back", &parameters, &patch).await;
        answer.map_err(|error| error.to_string())
    };
    for (spec, field) in [
        (json!({"service": {"name": "other"}}), "service and source"),
        (
            json!({"source": {"backup": "hello-20260101T000000Z"}}),
            "service and source",
        ),
        (json!({"acceptDataLoss": false}), "spec.acceptDataLoss"),
        (json!({"source": {"backup": "../x"}}), "spec.source.backup"),
        (
            json!({"source": {"destination": {"s3": {"bucket": "company"}}}}),
            "service and source",
        ),
        (
            json!({"source": {"identitySecretRef": {"name": "key"}}}),
            "service and source",
        ),
        (
            json!({"source": {"identitySecretRef": {"name": "Key"}}}),
            "spec.source.identitySecretRef.name",
        ),
        (
            json!({"source": {"destination": {"s3": {"bucket": "Company"}}}}),
            "spec.source.destination.s3.bucket",
        ),
        (
            json!({"source": {"destination": {"volume": {"size": "1Gi"}}}}),
            "spec.source.destination.volume.claimName",
        ),
        (
            json!({"source": {"destination": {}}}),
            "set exactly one of s3 and volume",
        ),
        (
            json!({"source": {"destination": {"s3": {"bucket": "company", "endpoint": "https://s3:0"}}}}),
            "spec.source.destination.s3.endpoint",
        ),
        (
            json!({"source": {"destination": {"s3": {"bucket": "company", "caSecretRef": {"name": "a"}, "caConfigMapRef": {"name": "a"}}}}}),
            "set caSecretRef or caConfigMapRef, not both",
        ),
    ] {
        let refusal = patch(spec.clone()).await.unwrap_err();
        assert!(refusal.contains(field), "{spec}: {refusal}");
    }
    let all = restores(&world).list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 1);
}
