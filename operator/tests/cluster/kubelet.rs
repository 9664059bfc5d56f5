//! Acts as the kubelet of pods that Kubernetes' controllers, or a test, have made: there are no nodes.

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
