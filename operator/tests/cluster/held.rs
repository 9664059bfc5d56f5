//! One child that cannot be written holds back exactly what leans on it.

use std::{collections::BTreeSet, time::Duration};

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    converge::everything,
    reference::make,
    world::{World, eventually},
};

/// Waits until the resource is not ready for this reason, and returns the message.
async fn reason(world: &World, name: &str, reason: &str) -> String {
    eventually(&format!("{name}: {reason}"), || async {
        let ready = world.condition(name, "Ready", "False").await;
        (ready["reason"] == reason).then(|| ready["message"].as_str().unwrap().to_owned())
    })
    .await
}

async fn kinds(world: &World, name: &str) -> BTreeSet<Kind> {
    let children = world.children(name).await;
    children.into_iter().map(|(id, _)| id.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leans_on_a_foreign_object_is_not_made() {
    let world = World::new("held").await;
    let pods = [
        Kind::StatefulSet,
        Kind::Job,
        Kind::Deployment,
        Kind::CronJob,
    ];
    let front = [Kind::Ingress, Kind::HTTPRoute, Kind::ServiceMonitor];
    let labels = json!({"app": "theirs"});
    let template = json!({"metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "theirs"}]}});
    let deployment = json!({"selector": {"matchLabels": labels}, "template": template});
    let cnpg = json!({"instances": 1, "storage": {"size": "1Gi"}});
    let cases = [
        (
            "account",
            Kind::ServiceAccount,
            "-app",
            Value::Null,
            &pods[..],
        ),
        (
            "service",
            Kind::Service,
            "",
            json!({"ports": [{"port": 1}]}),
            &front,
        ),
        (
            "scaled",
            Kind::Deployment,
            "",
            deployment,
            &[Kind::HorizontalPodAutoscaler],
        ),
        (
            "engine",
            Kind::Cluster,
            "-db",
            cnpg,
            &[Kind::Job, Kind::Deployment, Kind::CronJob],
        ),
    ];
    for (name, kind, suffix, spec, _) in &cases {
        let resource = kind.resource();
        let object = json!({"apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": format!("{name}{suffix}")}, "spec": spec});
        let object = serde_json::from_value(object).unwrap();
        let api = world.api(*kind);
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let operator = world.operator();
    for (name, kind, ..) in &cases {
        let mut spec = everything();
        if *kind == Kind::Cluster {
            spec["database"] = json!({"cloudNativePG": {}});
        }
        world.apply(name, spec).await;
    }
    for (name, kind, suffix, _, held) in &cases {
        let message = reason(&world, name, "Conflict").await;
        assert!(
            message.contains(&format!("{kind} {name}{suffix}")),
            "{message}"
        );
        let foreign = ChildId::new(*kind, format!("{name}{suffix}"));
        let of_database = *kind == Kind::Cluster;
        let expected: BTreeSet<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| !held.contains(kind) && *kind != foreign.kind)
            .filter(|kind| match kind {
                Kind::Cluster | Kind::HelloRestore => false,
                Kind::StatefulSet => !of_database,
                // The data's claim is made for the StatefulSet's pod; that of the backups is always there.
                _ => true,
            })
            .collect();
        let with_other = |mut kinds: BTreeSet<Kind>| {
            // The Service of the database is of the same kind as that of the application.
            if foreign.kind == Kind::Service {
                kinds.remove(&Kind::Service);
            }
            kinds
        };
        eventually(&format!("the rest of {name}"), || async {
            (with_other(kinds(&world, name).await) == expected).then_some(())
        })
        .await;
    }
    world.settle(&operator).await;
    let policies = world.children("engine").await;
    let cut_off = ChildId::new(Kind::NetworkPolicy, "engine-database");
    assert!(
        policies.iter().all(|(id, _)| *id != cut_off),
        "the foreign servers are cut off"
    );
    for (name, _, _, _, held) in &cases {
        assert!(
            kinds(&world, name)
                .await
                .is_disjoint(&held.iter().copied().collect()),
            "{name}"
        );
    }
    // When the name is free, everything is made.
    let account = world.api(Kind::ServiceAccount);
    account
        .delete("account-app", &DeleteParams::default())
        .await
        .unwrap();
    world.ready("account").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_address_holds_back_what_needs_it_and_changes_nothing_that_runs() {
    let world = World::new("no-address").await;
    let operator = world.operator();
    let spec = |replicas: i32| {
        json!({"replicas": replicas, "backup": {"schedule": "@daily"},
            "database": {"external": {"secretRef": {"name": "cloud"}}}})
    };
    world.apply("demo", spec(2)).await;
    let words = "spec.database.external.secretRef: Secret cloud does not exist";
    assert_eq!(reason(&world, "demo", "ReferenceMissing").await, words);
    world.settle(&operator).await;
    let made = kinds(&world, "demo").await;
    let expected = [
        Kind::ServiceAccount,
        Kind::PersistentVolumeClaim,
        Kind::Service,
        Kind::PodDisruptionBudget,
    ];
    assert_eq!(made, expected.into());
    let database = world.condition("demo", "DatabaseReady", "False").await;
    assert_eq!(database["reason"], "ReferenceMissing");

    let address = "postgres://me:secret@db.example.com:6543/hello";
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"uri": address}});
    make(&world, "cloud", secret).await;
    world.ready("demo").await;
    world.settle(&operator).await;

    // It goes away under a running service.
    let held = [
        ChildId::new(Kind::NetworkPolicy, "demo-app"),
        ChildId::new(Kind::CronJob, "demo-backup"),
    ];
    let mut before = Vec::new();
    for id in &held {
        before.push(world.get(id).await.unwrap());
    }
    let secrets = world.api(Kind::Secret);
    secrets
        .delete("cloud", &DeleteParams::default())
        .await
        .unwrap();
    world.apply("demo", spec(3)).await;
    assert_eq!(reason(&world, "demo", "ReferenceMissing").await, words);
    let app = ChildId::new(Kind::Deployment, "demo");
    eventually("the number of pods follows all the same", || async {
        (world.get(&app).await?.data["spec"]["replicas"] == 3).then_some(())
    })
    .await;
    world.settle(&operator).await;
    for (id, before) in held.iter().zip(before) {
        let live = world.get(id).await.unwrap();
        assert_eq!(
            live.metadata.resource_version, before.metadata.resource_version,
            "{id}"
        );
    }
    operator.stop().await;
}

/// A webhook for one kind in this namespace that never answers.
fn broken_webhook(namespace: &str) -> ValidatingWebhookConfiguration {
    serde_json::from_value(json!({
        "metadata": {"name": namespace},
        "webhooks": [{
            "name": "broken.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": ["policy"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["poddisruptionbudgets"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
        }],
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_webhook_for_one_kind_holds_up_nothing_else_and_is_reported_when_it_lasts() {
    let world = World::new("webhook").await;
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    let webhook = broken_webhook(&world.namespace);
    webhooks
        .create(&PostParams::default(), &webhook)
        .await
        .unwrap();
    let probe = json!({"metadata": {"name": "probe"}, "spec": {"selector": {}}});
    let probe = serde_json::from_value(probe).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let budgets = world.api(Kind::PodDisruptionBudget);
    eventually("the API server asks the webhook", || async {
        budgets.create(&dry_run, &probe).await.err().map(drop)
    })
    .await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    let without: BTreeSet<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| {
            !matches!(
                kind,
                Kind::PodDisruptionBudget | Kind::Cluster | Kind::HelloRestore
            )
        })
        .collect();
    eventually("everything else is there", || async {
        (kinds(&world, "demo").await == without).then_some(())
    })
    .await;
    // Not at once: the next try may succeed.
    let live = world.services().get("demo").await.unwrap();
    let conditions = live.data["status"]["conditions"].to_string();
    assert!(!conditions.contains("ApiServerFailing"), "{conditions}");
    world.pass_time(Duration::from_secs(30));
    let message = reason(&world, "demo", "ApiServerFailing").await;
    assert!(
        message.contains("PodDisruptionBudget demo") && message.contains("broken.example.com"),
        "{message}"
    );
    world.condition("demo", "Degraded", "True").await;
    webhooks
        .delete(&world.namespace, &DeleteParams::default())
        .await
        .unwrap();
    world.ready("demo").await;
    operator.stop().await;
}
