//! Writes that the API server refuses: reported, retried with back-off, and without effect on other objects.

use std::collections::{BTreeMap, BTreeSet};

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::{
    core::v1::ResourceQuota,
    rbac::v1::{Role, RoleBinding},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    converge::everything,
    data::bind,
    server::server,
    world::{World, eventually},
};

/// Waits until the condition has the reason `Refused`, and returns its message.
async fn refusal(world: &World, type_: &str) -> String {
    eventually(&format!("{type_} is refused"), || async {
        let condition = world.condition("demo", type_, "False").await;
        (condition["reason"] == "Refused")
            .then(|| condition["message"].as_str().unwrap().to_owned())
    })
    .await
}

/// Allows `count` objects of each of these kinds, and writes the status as the quota's controller would.
pub async fn allow(world: &World, kinds: &[Kind], count: &str) {
    let quotas: Api<ResourceQuota> = Api::namespaced(world.client.clone(), &world.namespace);
    let of_each = |count: &str| -> BTreeMap<String, String> {
        let resources = kinds.iter().map(|kind| kind.resource());
        let names = resources.map(|r| match r.group.as_str() {
            "" => format!("count/{}", r.plural),
            group => format!("count/{}.{group}", r.plural),
        });
        names.map(|name| (name, count.to_owned())).collect()
    };
    let body = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
        "spec": {"hard": of_each(count)},
        "status": {"hard": of_each(count), "used": of_each("0")}});
    let (parameters, patch) = (PatchParams::apply("test").force(), Patch::Apply(&body));
    quotas.patch("few", &parameters, &patch).await.unwrap();
    quotas
        .patch_status("few", &parameters, &patch)
        .await
        .unwrap();
}

/// The API server enforces a quota as soon as its own watch has seen it.
pub async fn until_enforced(world: &World, kind: Kind) {
    let object = json!({"metadata": {"name": "probe"}, "spec": {"ports": [{"port": 1}]}});
    let object = serde_json::from_value(object).unwrap();
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let api = world.api(kind);
    eventually("the quota is enforced", || async {
        let answer = api.create(&parameters, &object).await;
        matches!(answer, Err(kube::Error::Api(status)) if status.code == 403).then_some(())
    })
    .await;
}

async fn kinds(world: &World) -> BTreeSet<Kind> {
    let children = world.children("demo").await;
    children.into_iter().map(|(id, _)| id.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_reported_holds_up_nothing_else_and_can_be_raised() {
    let world = World::new("quota").await;
    let refused = [Kind::Service, Kind::Job, Kind::CronJob];
    allow(&world, &refused, "0").await;
    until_enforced(&world, Kind::Service).await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    let message = refusal(&world, "Ready").await;
    assert!(
        message.contains("Service demo") && message.contains("exceeded quota"),
        "{message}"
    );
    let message = refusal(&world, "Migrated").await;
    assert!(message.contains("exceeded quota"), "{message}");
    world.condition("demo", "Degraded", "True").await;
    let without: BTreeSet<Kind> = Kind::ALL
        .into_iter()
        // The Deployment waits for the Job, and this database has no Cluster and no first backup.
        .filter(|kind| !refused.contains(kind))
        .filter(|kind| !matches!(kind, Kind::Deployment | Kind::Cluster | Kind::HelloRestore))
        .collect();
    eventually("everything else is there", || async {
        (kinds(&world).await == without).then_some(())
    })
    .await;
    let before = operator.reconciles();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let tries = operator.reconciles() - before;
    assert!(tries <= 3, "{tries} tries in 3 s");

    allow(&world, &refused, "100").await;
    world.ready("demo").await;
    operator.stop().await;
}

/// Pods would start with values that are not stored.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_runs_is_made_without_its_secrets() {
    let world = World::new("quota-secrets").await;
    allow(&world, &[Kind::Secret], "0").await;
    until_enforced(&world, Kind::Secret).await;
    let operator = world.operator();
    world.apply("demo", everything()).await;
    let message = refusal(&world, "Ready").await;
    assert!(message.contains("Secret demo-ca"), "{message}");
    let running = [
        Kind::StatefulSet,
        Kind::Job,
        Kind::Deployment,
        Kind::CronJob,
    ];
    let without: BTreeSet<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| !running.contains(kind))
        .filter(|kind| !matches!(kind, Kind::Secret | Kind::Cluster | Kind::HelloRestore))
        .collect();
    eventually("the rest is there", || async {
        (kinds(&world).await == without).then_some(())
    })
    .await;
    allow(&world, &[Kind::Secret], "100").await;
    world.ready("demo").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_may_not_grow_is_reported_and_holds_up_nothing_else() {
    let world = World::new("rigid").await;
    let classes: Api<StorageClass> = Api::all(world.client.clone());
    let class = json!({"metadata": {"name": "rigid"}, "provisioner": "example.com/none"});
    let class = serde_json::from_value(class).unwrap();
    classes
        .create(&PostParams::default(), &class)
        .await
        .unwrap();
    let spec = |data: &str, backups: &str, image: &str| {
        let volume = |size: &str| json!({"size": size, "storageClassName": "rigid"});
        json!({"image": image, "database": {"managed": {"storage": volume(data)}},
            "backup": {"schedule": "@daily", "destination": {"volume": volume(backups)}}})
    };
    let claims = ["data-demo-db-0", "demo-backup"]
        .map(|name| ChildId::new(Kind::PersistentVolumeClaim, name));
    let operator = world.operator();
    world.apply("demo", spec("2Gi", "2Gi", "hello-app:1")).await;
    world.ready("demo").await;
    for claim in &claims {
        bind(&world, claim).await;
    }
    // First one claim, then both; each together with a new version. The service serves without its backups.
    for (data, backups, image, claim, type_) in [
        ("2Gi", "3Gi", "hello-app:2", &claims[1], "BackupVerified"),
        ("3Gi", "3Gi", "hello-app:3", &claims[0], "Ready"),
    ] {
        world.apply("demo", spec(data, backups, image)).await;
        let message = refusal(&world, type_).await;
        assert!(
            message.contains(&claim.name) && message.contains("must support resize"),
            "{message}"
        );
        eventually("the new version runs", || async {
            let live = world.get(&ChildId::new(Kind::Deployment, "demo")).await?;
            (live.data["spec"]["template"]["spec"]["containers"][0]["image"] == image).then_some(())
        })
        .await;
        if type_ == "BackupVerified" {
            world.ready("demo").await;
        }
    }
    let elastic = Patch::Merge(json!({"allowVolumeExpansion": true}));
    classes
        .patch("rigid", &PatchParams::default(), &elastic)
        .await
        .unwrap();
    world.ready("demo").await;
    for claim in &claims {
        let live = world.get(claim).await.unwrap();
        let size = &live.data["spec"]["resources"]["requests"]["storage"];
        assert_eq!(size, "3Gi", "{claim}");
    }
    operator.stop().await;
}

const ACCOUNT: &str = "system:serviceaccount:elsewhere:limited";

/// Grants the rights of the manifests in the world's namespace, with only these verbs on disruption budgets.
async fn grant(world: &World, verbs: &[&str]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rules = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document).unwrap();
        rules.extend(value["rules"].as_array().cloned().unwrap_or_default());
    }
    let budgets = json!("poddisruptionbudgets");
    for rule in &mut rules {
        let resources = rule["resources"].as_array_mut().unwrap();
        resources.retain(|resource| *resource != budgets);
    }
    rules.retain(|rule| rule["resources"] != json!([]));
    if !verbs.is_empty() {
        rules.push(json!({"apiGroups": ["policy"], "resources": [budgets], "verbs": verbs}));
    }
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "limited"}, "rules": rules});
    let roles: Api<Role> = Api::namespaced(world.client.clone(), &world.namespace);
    let parameters = PatchParams::apply("test").force();
    roles
        .patch("limited", &parameters, &Patch::Apply(&role))
        .await
        .unwrap();
}

/// A client with the rights of the role, and no others.
async fn limited(world: &World) -> Client {
    let binding = json!({"metadata": {"name": "limited"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "elsewhere", "name": "limited"}]});
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), &world.namespace);
    bindings
        .create(
            &PostParams::default(),
            &serde_json::from_value(binding).unwrap(),
        )
        .await
        .unwrap();
    let mut config = server().config(&server().url);
    config.auth_info.impersonate = Some(ACCOUNT.into());
    hello_operator::kubernetes::connection::connect(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_noticed_when_it_is_granted() {
    let world = World::new("limited").await;
    grant(&world, &[]).await;
    let operator = world.operator_through(limited(&world).await);
    world.apply("demo", json!({})).await;
    let names = |message: &str, verb: &str| {
        message.contains(ACCOUNT)
            && message.contains(&format!("cannot {verb} resource \"poddisruptionbudgets\""))
    };
    // A first pass does not look for one.
    eventually("the right to read is named", || async {
        let message = refusal(&world, "Ready").await;
        names(&message, "list").then_some(())
    })
    .await;

    grant(&world, &["get", "list", "watch"]).await;
    eventually("the right to write is named", || async {
        let message = refusal(&world, "Ready").await;
        names(&message, "patch").then_some(())
    })
    .await;
    let app = ChildId::new(Kind::Deployment, "demo");
    eventually("the app runs all the same", || world.get(&app)).await;

    grant(
        &world,
        &["get", "list", "watch", "create", "patch", "delete"],
    )
    .await;
    world.ready("demo").await;
    operator.stop().await;
}
