//! What the spec wants of a volume, judged against what its claim has.

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cnpg_stand_in::CnpgStandIn,
    controllers::Controllers,
    data::make_class,
    kubelet::{new_pod, report},
    server::Server,
    world::{World, eventually},
};

fn claims() -> [ChildId; 2] {
    ["data-demo-db-0", "demo-backup"].map(|name| ChildId::new(Kind::PersistentVolumeClaim, name))
}

/// A service whose two volumes are both like this.
fn spec(volume: &Value) -> Value {
    json!({"database": {"managed": {"storage": volume}},
        "backup": {"schedule": "@daily", "destination": {"volume": volume}}})
}

fn sized(size: &str, class: &str) -> Value {
    spec(&json!({"size": size, "storageClassName": class}))
}

/// Gives each claim a volume of this size.
async fn bind(world: &World, size: &str) {
    let api = world.api(Kind::PersistentVolumeClaim);
    for claim in claims() {
        let live = world.get(&claim).await.unwrap();
        if live.data["spec"]["volumeName"].is_null() {
            let volume = Patch::Merge(json!({"spec": {"volumeName": "pv"}}));
            api.patch(&claim.name, &PatchParams::default(), &volume)
                .await
                .unwrap();
        }
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"]}});
        api.patch_status(&claim.name, &PatchParams::default(), &Patch::Merge(&bound))
            .await
            .unwrap();
    }
}

/// What each claim asks for.
async fn asked(world: &World) -> Vec<String> {
    let mut sizes = Vec::new();
    for claim in claims() {
        let live = world.get(&claim).await.unwrap();
        let size = &live.data["spec"]["resources"]["requests"]["storage"];
        sizes.push(size.as_str().unwrap().to_owned());
    }
    sizes
}

/// Waits until the service is ready, and these words are said about each claim.
async fn ready_with(world: &World, words: &str) {
    eventually(&format!("ready: {words}"), || async {
        let ready = world.condition("demo", "Ready", "True").await;
        let message = ready["message"].as_str()?;
        let said = claims()
            .iter()
            .all(|claim| message.contains(&format!("claim {} {words}", claim.name)));
        said.then_some(())
    })
    .await;
    world.condition("demo", "Degraded", "False").await;
}

/// Waits until the service is ready, and nothing is said about claims.
async fn ready_as_wanted(world: &World) {
    eventually("ready as wanted", || async {
        let ready = world.condition("demo", "Ready", "True").await;
        (!ready["message"].as_str()?.contains("claim")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_growth_that_is_refused_can_be_taken_back() {
    let world = World::new("size-refused").await;
    let classes: Api<StorageClass> = Api::all(world.client.clone());
    let class = json!({"metadata": {"name": "stiff"}, "provisioner": "example.com/none"});
    let class = serde_json::from_value(class).unwrap();
    classes.create(&Default::default(), &class).await.unwrap();
    let operator = world.operator();
    world.apply("demo", sized("1Gi", "stiff")).await;
    world.ready("demo").await;
    bind(&world, "1Gi").await;
    world.apply("demo", sized("2Gi", "stiff")).await;
    let condition = world.condition("demo", "Degraded", "True").await;
    assert_eq!(condition["reason"], "Refused");
    world.apply("demo", sized("1Gi", "stiff")).await;
    ready_as_wanted(&world).await;
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_growth_that_has_not_happened_is_taken_back_as_far_as_kubernetes_lets() {
    let world = World::new("size-back").await;
    make_class(&world, "slow").await;
    let operator = world.operator();
    world.apply("demo", sized("1Gi", "slow")).await;
    world.ready("demo").await;
    bind(&world, "1Gi").await;
    for size in ["3Gi", "2Gi"] {
        world.apply("demo", sized(size, "slow")).await;
        ready_as_wanted(&world).await;
        assert_eq!(asked(&world).await, [size, size]);
    }
    world.apply("demo", sized("1Gi", "slow")).await;
    ready_with(&world, "has 1Gi and keeps asking for 2Gi").await;
    assert_eq!(asked(&world).await, ["2Gi", "2Gi"]);
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
    // The growth happens after all.
    bind(&world, "2Gi").await;
    let operator = world.operator();
    ready_with(&world, "keeps 2Gi: a volume cannot shrink").await;
    world.apply("demo", sized("2Gi", "slow")).await;
    ready_as_wanted(&world).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_resource_takes_a_larger_volume_of_another_class_as_it_is() {
    let world = World::new("size-kept").await;
    make_class(&world, "large").await;
    let operator = world.operator();
    world.apply("demo", sized("10Gi", "large")).await;
    world.ready("demo").await;
    bind(&world, "10Gi").await;
    world.delete_keeping("demo", 3).await;
    world.apply("demo", spec(&json!({"size": "1Gi"}))).await;
    ready_with(&world, "keeps 10Gi: a volume cannot shrink").await;
    world.apply("demo", sized("20Gi", "small")).await;
    ready_with(&world, "keeps storage class large").await;
    assert_eq!(asked(&world).await, ["20Gi", "20Gi"]);
    // The class of a volume is not asked of it again, whatever the spec says.
    world.apply("demo", spec(&json!({"size": "20Gi"}))).await;
    ready_as_wanted(&world).await;
    world.settle(&operator).await;
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_larger_size() {
    let world = World::new("size-cnpg").await;
    let _cnpg = CnpgStandIn::start(&world);
    let operator = world.operator();
    let spec = |size: &str| json!({"database": {"cloudNativePG": {"instances": 1, "storage": {"size": size}}}});
    let cluster = ChildId::new(Kind::Cluster, "demo-db");
    for (size, expected) in [("3Gi", "3Gi"), ("1Gi", "3Gi"), ("4Gi", "4Gi")] {
        world.apply("demo", spec(size)).await;
        world.ready("demo").await;
        let live = world.get(&cluster).await.unwrap();
        assert_eq!(live.data["spec"]["storage"]["size"], expected);
    }
    operator.stop().await;
    world.finds_nothing_to_write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_does_not_exist_can_be_corrected() {
    let server = Server::start();
    let world = World::on(&server, "class").await;
    make_class(&world, "right").await;
    let _no_stand_in = world.stand_still().await;
    let names = [
        "statefulset",
        "garbage-collector-controller",
        "persistentvolumeclaim-protection-controller",
    ];
    let _controllers = Controllers::start(&server, &names);
    let operator = world.operator();
    let data = |class: &str| json!({"database": {"managed": {"storage": {"size": "1Gi", "storageClassName": class}}}});
    world.apply("demo", data("wrong")).await;
    let pod = new_pod(&world, "database", &[]).await;
    let unscheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "pod has unbound immediate PersistentVolumeClaims"});
    report(&world, &pod, json!({"conditions": [unscheduled]})).await;
    let pending = async |words: &str| {
        eventually(words, || async {
            let condition = world.condition("demo", "DatabaseReady", "False").await;
            let message = condition["message"].as_str()?;
            (condition["reason"] == "VolumePending" && message.contains(words)).then_some(())
        })
        .await;
    };
    pending("(storage class wrong)").await;
    world.apply("demo", data("right")).await;
    pending("delete StatefulSet demo-db and the claim").await;
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(world.client.clone(), &world.namespace);
    let sets = world.api(Kind::StatefulSet);
    let delete = DeleteParams::background();
    sets.delete("demo-db", &delete).await.unwrap();
    claims.delete("data-demo-db-0", &delete).await.unwrap();
    eventually("a claim of the right class", || async {
        let claim = claims.get_opt("data-demo-db-0").await.unwrap()?;
        (claim.spec?.storage_class_name.as_deref() == Some("right")).then_some(())
    })
    .await;
    let next = new_pod(&world, "database", &[pod.uid().unwrap()]).await;
    assert_ne!(next.uid(), pod.uid());
    operator.stop().await;
}
