//! Noisy neighbours: resources that can never converge, each for another reason, among a hundred good ones.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hello_operator::object::kind::Kind;
use k8s_openapi::{
    api::admissionregistration::v1::ValidatingWebhookConfiguration,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    injector::{Faults, Mode},
    reference::make,
    server::Server,
    world::{Jobs, World, eventually},
};

const GOOD: usize = 100;

/// Longest time until a hundred resources are ready.
const LIMIT: Duration = Duration::from_secs(180);

/// How long the passes over the bad ones are counted.
const WINDOW: Duration = Duration::from_secs(12);

/// Largest ratio of the good ones' time among bad ones to their time alone: work for more resources, and noise.
const RATIO: f64 = 1.3;

/// Few children: only the number of resources matters.
fn good() -> Value {
    json!({"networkPolicy": {"enabled": false}, "database": {"external": {"secretRef": {"name": "database"}}}})
}

/// Makes the API server fail whenever the database of this resource is written.
async fn refuse_database_of(world: &World, instance: &str) {
    let body = json!({"metadata": {"name": "broken"}, "webhooks": [{
        "name": "broken.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
        "failurePolicy": "Fail", "clientConfig": {"url": "https://127.0.0.1:1/"},
        "objectSelector": {"matchLabels": {"app.kubernetes.io/instance": instance}},
        "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["statefulsets"]}],
    }]});
    let api: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    let body = serde_json::from_value(body).unwrap();
    api.create(&PostParams::default(), &body).await.unwrap();
}

fn definitions(world: &World) -> Api<CustomResourceDefinition> {
    Api::all(world.client.clone())
}

const DEFINITION: &str = "helloservices.hello.internal";

/// Replaces the schema, so that the API server accepts any resource, or restores it.
async fn set_schema(world: &World, schema: &Value) {
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]);
    let patch: Patch<Value> = Patch::Json(serde_json::from_value(patch).unwrap());
    definitions(world)
        .patch(DEFINITION, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn schema(world: &World) -> Value {
    let definition = definitions(world).get(DEFINITION).await.unwrap();
    let schema = definition.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// Whether the API server accepts a resource whose spec is invalid.
async fn takes_nonsense(world: &World, name: &str, dry_run: bool) -> bool {
    let body = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
        "metadata": {"name": name}, "spec": {"config": "none"}});
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let body = serde_json::from_value(body).unwrap();
    world.services().create(&parameters, &body).await.is_ok()
}

/// Creates a resource that the present schema would refuse, as an older schema allowed it.
async fn make_nonsense(world: &World, name: &str) {
    let strict = schema(world).await;
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    set_schema(world, &any).await;
    eventually("nonsense is stored", || async {
        takes_nonsense(world, name, false).await.then_some(())
    })
    .await;
    set_schema(world, &strict).await;
    eventually("nonsense is refused", || async {
        (!takes_nonsense(world, "other", true).await).then_some(())
    })
    .await;
}

/// Waits until the good resources are ready, and returns how long the last one took.
async fn all_ready(world: &World, start: Instant) -> Duration {
    let services = world.services();
    loop {
        let list = services.list(&ListParams::default()).await.unwrap();
        let ready: BTreeSet<String> = list
            .items
            .iter()
            .filter(|service| {
                let conditions = service.data["status"]["conditions"].as_array();
                let is_ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
                conditions.is_some_and(|conditions| conditions.iter().any(is_ready))
            })
            .map(ResourceExt::name_any)
            .collect();
        if ready.len() >= GOOD {
            assert!(ready.iter().all(|name| name.starts_with("good-")));
            return start.elapsed();
        }
        let count = ready.len();
        assert!(start.elapsed() < LIMIT, "{count} of {GOOD} are ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn reason(world: &World, name: &str, wanted: &str) -> String {
    eventually(&format!("{name} is not ready: {wanted}"), || async {
        let condition = world.condition(name, "Ready", "False").await;
        let message = condition["message"].as_str().unwrap().to_owned();
        (condition["reason"] == wanted).then_some(message)
    })
    .await
}

/// Creates one resource for each cause that the operator cannot remove, the noisy ones first.
async fn make_bad(world: &World) {
    make_nonsense(world, "bad-nonsense").await;
    refuse_database_of(world, "bad-refused").await;
    world.set_jobs(Jobs::FailFor("bad-failing"));
    let taken = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30999}]}});
    let services = world.api(Kind::Service);
    let taken = serde_json::from_value(taken).unwrap();
    services
        .create(&PostParams::default(), &taken)
        .await
        .unwrap();
    let port = json!({"expose": {"service": {"type": "NodePort", "nodePort": 30999}}});
    world.apply("bad-refused", json!({})).await;
    world.apply("bad-failing", good()).await;
    world.apply("bad-port", port).await;
    let wrong = json!({"config": {"timeZone": "Mars/Olympus"}});
    world.apply("bad-wrong", wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_that_never_converge_are_not_noticed_by_a_hundred_others() {
    let server = Server::bare();
    let noisy = World::on(&server, "noisy").await;
    let quiet = World::on(&server, "quiet").await;
    for world in [&noisy, &quiet] {
        let uri = "postgres://owner:pw@db.example.com/hello";
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"uri": uri}});
        make(world, "database", secret).await;
    }
    make_bad(&noisy).await;
    let requests = Faults::new(Mode::Calm);
    let among_bad = noisy.operator_through(requests.client_for(&server));
    let alone = quiet.operator_through(Faults::new(Mode::Calm).client_for(&server));
    let start = Instant::now();
    for index in 0..GOOD {
        let name = format!("good-{index}");
        tokio::join!(noisy.apply(&name, good()), quiet.apply(&name, good()));
    }
    let (took, took_alone) = tokio::join!(all_ready(&noisy, start), all_ready(&quiet, start));
    let limit = took_alone.mul_f64(RATIO) + Duration::from_secs(1);
    assert!(
        took < limit,
        "{took:?} among bad ones, {took_alone:?} alone"
    );

    let message = reason(&noisy, "bad-nonsense", "InvalidSpec").await;
    assert!(message.contains("string \"none\""), "{message}");
    let message = reason(&noisy, "bad-wrong", "InvalidSpec").await;
    assert!(message.contains("spec.config.timeZone"), "{message}");
    reason(&noisy, "bad-failing", "MigrationFailed").await;
    let message = reason(&noisy, "bad-port", "Refused").await;
    assert!(message.contains("30999"), "{message}");

    // They are retried with back-off, and cause no other calls.
    let bad = || (requests.about("bad-", false), requests.about("bad-", true));
    let before = bad();
    tokio::time::sleep(WINDOW).await;
    let after = bad();
    let (calls, writes) = (after.0 - before.0, after.1 - before.1);
    // Each of the five is retried twice at most; about 36 calls for each pass.
    let passes = 5 * 2;
    assert!(calls <= passes * 36, "{calls} calls in {WINDOW:?}");
    assert!(writes <= passes, "{writes} writes in {WINDOW:?}");
    // Those that are refused are tried again within 20 seconds.
    eventually("a refused one is tried again", || async {
        (bad().0 > before.0).then_some(())
    })
    .await;
    among_bad.stop().await;
    alone.stop().await;
}
