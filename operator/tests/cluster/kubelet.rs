//! Acts as the kubelet of pods that Kubernetes' controllers, or a test, have made: there are no nodes.

use hello_operator::object::kind::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::world::{World, eventually};

fn pods(world: &World) -> Api<Pod> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

/// Waits for a pod of this part of the service that is none of these.
pub async fn new_pod(world: &World, part: &str, known: &[String]) -> Pod {
    let labels = ListParams::default().labels(&format!("app.kubernetes.io/component={part}"));
    eventually(&format!("a new pod of the {part}"), || async {
        let list = pods(world).list(&labels).await.unwrap();
        let mut new = list.items.into_iter().filter(|pod| {
            pod.metadata.deletion_timestamp.is_none() && !known.contains(&pod.uid().unwrap())
        });
        new.next()
    })
    .await
}

/// The pod as it is now.
pub async fn find(world: &World, pod: &Pod) -> Option<Pod> {
    let live = pods(world).get_opt(&pod.name_any()).await.unwrap();
    live.filter(|live| live.uid() == pod.uid())
}

/// Acts as the kubelet of a pod.
pub async fn report(world: &World, pod: &Pod, status: Value) {
    let patch = json!({"status": status});
    let (name, parameters) = (pod.name_any(), PatchParams::default());
    let (api, patch) = (pods(world), Patch::Merge(&patch));
    api.patch_status(&name, &parameters, &patch).await.unwrap();
}

/// Ends all containers of a pod with this code and what they have left to say.
pub async fn end(world: &World, pod: &Pod, code: i32, message: &str) {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let ended = json!({"terminated": {"exitCode": code, "message": message, "reason": "x",
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}});
    report(world, pod, containers(pod, phase, &ended)).await;
}

/// The same, and its Job does not try again.
pub async fn end_at_once(world: &World, pod: &Pod, code: i32, message: &str) {
    let job = &pod.labels()["batch.kubernetes.io/job-name"];
    let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
    let jobs = world.api(Kind::Job);
    jobs.patch(job, &PatchParams::default(), &once)
        .await
        .unwrap();
    end(world, pod, code, message).await;
}

/// Status of a pod whose containers are all in this state.
pub fn containers(pod: &Pod, phase: &str, state: &Value) -> Value {
    let ready = state.get("running").is_some();
    let condition =
        |type_: &str| json!({"type": type_, "status": if ready { "True" } else { "False" }});
    let names = pod.spec.as_ref().unwrap().containers.iter();
    let statuses: Vec<Value> = names
        .map(|container| {
            json!({"name": container.name, "image": container.image, "imageID": "", "ready": ready,
                "restartCount": 0, "state": state})
        })
        .collect();
    json!({"phase": phase, "containerStatuses": statuses,
        "conditions": [condition("Ready"), condition("ContainersReady")]})
}
