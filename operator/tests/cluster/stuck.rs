//! What was wrong and has been corrected, with Kubernetes' own controllers.

use hello_operator::object::{child::ChildId, kind::Kind};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

use crate::{
    controllers::Controllers,
    kubelet::{containers, end, find, new_pod, report},
    server::Server,
    world::{Jobs, World, eventually},
};

/// Each mistake in the spec of a managed database, and what the kubelet or the scheduler then reports.
fn mistakes(pod: &Pod) -> Vec<(Value, Value)> {
    let waiting =
        |reason: &str| containers(pod, "Pending", &json!({"waiting": {"reason": reason}}));
    let mut crashed = waiting("CrashLoopBackOff");
    for container in crashed["containerStatuses"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        let ended = json!({"exitCode": 1, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z", "message": "unrecognized parameter"});
        container["lastState"] = json!({"terminated": ended});
    }
    let unscheduled = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}]});
    vec![
        (json!({"parameters": {"shared_buffers": "1 byte"}}), crashed),
        (
            json!({"image": "postgres:18.81"}),
            waiting("ImagePullBackOff"),
        ),
        (
            json!({"resources": {"requests": {"cpu": "999"}}}),
            unscheduled,
        ),
    ]
}

/// The StatefulSet's controller never replaces a pod that is not ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_servers_template_can_be_corrected() {
    let server = Server::start();
    let world = World::on(&server, "stuck").await;
    let _still = world.stand_still().await;
    let _controllers = Controllers::start(&server, &["statefulset"]);
    let operator = world.operator();
    let managed = |fields: &Value| json!({"database": {"managed": fields}});
    // The first mistake is there from the start, the others come while the server runs.
    let mut known = Vec::new();
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    for case in 0..3 {
        let template = Pod {
            spec: Some(Default::default()),
            ..Pod::default()
        };
        let (mistake, _) = mistakes(&template).swap_remove(case);
        world.apply("demo", managed(&mistake)).await;
        let pod = new_pod(&world, "database", &known).await;
        let (_, status) = mistakes(&pod).swap_remove(case);
        report(&world, &pod, status).await;
        eventually("the failure is reported", || async {
            let ready = world.condition("demo", "DatabaseReady", "False").await;
            let reason = ready["reason"].as_str().unwrap().to_owned();
            (reason != "DatabaseStarting").then_some(())
        })
        .await;
        world.settle(&operator).await;
        assert!(
            find(&world, &pod).await.is_some(),
            "a pod of the current template is left alone"
        );
        known.push(pod.uid().unwrap());

        world.apply("demo", managed(&json!({}))).await;
        let pod = new_pod(&world, "database", &known).await;
        report(&world, &pod, containers(&pod, "Running", &running)).await;
        world.condition("demo", "DatabaseReady", "True").await;
        known.push(pod.uid().unwrap());
    }
    // It recovers from a crash when the spec changes: that is not interrupted.
    let pod = new_pod(&world, "database", &known[..known.len() - 1]).await;
    let mut recovering = containers(&pod, "Running", &running);
    for container in recovering["containerStatuses"].as_array_mut().unwrap() {
        container["ready"] = false.into();
    }
    recovering["conditions"][0]["status"] = "False".into();
    report(&world, &pod, recovering).await;
    world
        .apply("demo", managed(&json!({"parameters": {"work_mem": "8MB"}})))
        .await;
    world.condition("demo", "DatabaseReady", "False").await;
    world.settle(&operator).await;
    assert!(
        find(&world, &pod).await.is_some(),
        "a server that recovers is left alone"
    );
    operator.stop().await;
}

async fn migrated(world: &World, reason: &str, words: &str) {
    eventually(&format!("{reason}: {words}"), || async {
        let live = world.services().get("demo").await.unwrap();
        let conditions = live.data["status"]["conditions"].as_array()?;
        let migrated = conditions.iter().find(|c| c["type"] == "Migrated")?;
        let message = migrated["message"].as_str()?;
        (migrated["reason"] == reason && message.contains(words)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_migration_decides_whether_it_is_tried_again() {
    let server = Server::start();
    let world = World::on(&server, "exit-codes").await;
    // The Jobs have their real controller.
    world.set_jobs(Jobs::Hang);
    let _controllers = Controllers::start(&server, &["job"]);
    let operator = world.operator();
    let mut known = Vec::new();
    let next = async |known: &mut Vec<String>| {
        let pod = new_pod(&world, "migration", known).await;
        known.push(pod.uid().unwrap());
        pod
    };
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    // The database is away; then the node is drained; then it works.
    let pod = next(&mut known).await;
    end(
        &world,
        &pod,
        69,
        "error: the database could not be reached within 60s: refused",
    )
    .await;
    migrated(&world, "DatabaseUnreachable", "could not be reached").await;
    let pod = next(&mut known).await;
    let mut evicted = containers(&pod, "Failed", &json!({"terminated": {"exitCode": 137}}));
    let disrupted =
        json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"});
    evicted["conditions"]
        .as_array_mut()
        .unwrap()
        .push(disrupted);
    report(&world, &pod, evicted).await;
    let pod = next(&mut known).await;
    end(
        &world,
        &pod,
        0,
        "the schema is at version 9000, newer than this program's 3",
    )
    .await;
    migrated(&world, "MigrationSucceeded", "version 9000").await;
    world.ready("demo").await;
    // A statement that fails is final.
    world.apply("demo", json!({"image": "hello-app:2"})).await;
    let pod = next(&mut known).await;
    end(
        &world,
        &pod,
        65,
        "error: while executing migration 4: no such column",
    )
    .await;
    migrated(&world, "MigrationFailed", "no such column").await;
    world.settle(&operator).await;
    let jobs = world.children("demo").await.into_iter();
    assert_eq!(jobs.filter(|(id, _)| id.kind == Kind::Job).count(), 1);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_gave_up_for_a_passing_reason_follows_when_that_is_gone() {
    let world = World::new("interrupted").await;
    world.set_jobs(Jobs::Interrupt);
    let operator = world.operator();
    world.apply("demo", json!({})).await;
    migrated(&world, "MigrationRetrying", "").await;
    world.set_jobs(Jobs::Succeed);
    world.ready("demo").await;
    operator.stop().await;
}

async fn jobs(world: &World) -> Vec<String> {
    let children = world.children("demo").await.into_iter();
    let jobs = children.filter(|(id, _)| id.kind == Kind::Job);
    jobs.map(|(id, _)| id.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_that_is_deleted_is_not_run_again_until_another_one_has_begun() {
    let world = World::new("job-deleted").await;
    let operator = world.operator();
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    world.ready("demo").await;
    let delete = async || {
        let job = jobs(&world).await.remove(0);
        let api = world.api(Kind::Job);
        api.delete(&job, &DeleteParams::background()).await.unwrap();
        eventually("the Job is gone", || async {
            jobs(&world).await.is_empty().then_some(())
        })
        .await;
        world.settle(&operator).await;
        job
    };
    let first = delete().await;
    assert!(jobs(&world).await.is_empty(), "it was run again");
    world.ready("demo").await;
    world.finds_nothing_to_write().await;
    // The other image is migrated and not rolled out: from then on the schema is not the one that was recorded.
    world.set_jobs(Jobs::Fail);
    world.apply("demo", json!({"image": "hello-app:2"})).await;
    migrated(&world, "MigrationFailed", "").await;
    world.set_jobs(Jobs::Succeed);
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    eventually("the first migration runs again", || async {
        (jobs(&world).await == [first.clone()]).then_some(())
    })
    .await;
    world.ready("demo").await;
    let app = world
        .get(&ChildId::new(Kind::Deployment, "demo"))
        .await
        .unwrap();
    assert_eq!(app.annotations()["hello.internal/migration"], first);
    operator.stop().await;
}

/// What is missing to pull the image is not among the inputs that name the Job.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_cannot_start_is_replaced_when_its_template_changes() {
    let world = World::new("job-replaced").await;
    world.set_jobs(Jobs::Hang);
    let operator = world.operator();
    world.apply("demo", json!({"image": "hello-app:1"})).await;
    let job = |uid: Option<String>| {
        let world = &world;
        async move {
            let children = world.children("demo").await.into_iter();
            let mut jobs = children.filter(|(id, live)| id.kind == Kind::Job && live.uid() != uid);
            jobs.next().map(|(_, live)| live)
        }
    };
    let first = eventually("a Job", || job(None)).await;
    let spec = json!({"image": "hello-app:1", "imagePullSecrets": [{"name": "registry"}]});
    world.apply("demo", spec).await;
    let second = eventually("another Job", || job(first.uid())).await;
    assert_eq!(first.name_any(), second.name_any());
    let secrets = &second.data["spec"]["template"]["spec"]["imagePullSecrets"];
    assert_eq!(secrets[0]["name"], "registry");
    operator.stop().await;
}

/// The schedule's controller starts no run beside another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_cannot_start_makes_way_for_a_corrected_one() {
    let world = World::new("backup-stuck").await;
    let operator = world.operator();
    let spec = |image: &str| json!({"image": image, "backup": {"schedule": "@yearly"}, "database": {"managed": {"image": "postgres:18"}}});
    world.apply("demo", spec("hello-app:wrong")).await;
    world.ready("demo").await;
    world.set_jobs(Jobs::Hang);
    let schedule = world
        .get(&ChildId::new(Kind::CronJob, "demo-backup"))
        .await
        .unwrap();
    let template = &schedule.data["spec"]["jobTemplate"];
    let runs = world.api(Kind::Job);
    for (name, annotations) in [
        ("demo-backup-1", json!({})),
        (
            "demo-backup-2",
            json!({"cronjob.kubernetes.io/instantiate": "manual"}),
        ),
    ] {
        let run = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"], "metadata": {
            "name": name, "labels": template["metadata"]["labels"], "annotations": annotations,
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "demo-backup",
                "uid": schedule.uid(), "controller": true}]}});
        let run = serde_json::from_value(run).unwrap();
        runs.create(&Default::default(), &run).await.unwrap();
    }
    world.settle(&operator).await;
    assert!(runs.get_opt("demo-backup-1").await.unwrap().is_some());
    world.set_jobs(Jobs::Succeed);
    world.apply("demo", spec("hello-app:right")).await;
    eventually("the run is deleted", || async {
        runs.get_opt("demo-backup-1")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    world.ready("demo").await;
    assert!(runs.get_opt("demo-backup-2").await.unwrap().is_some());
    operator.stop().await;
}
