//! A stand-in for CloudNativePG's operator.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hello_operator::object::kind::Kind;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::world::World;

/// CloudNativePG's operator, as far as ours depends on it: it writes the status of every `Cluster`.
pub struct CnpgStandIn {
    /// Fields that differ from the status of a healthy cluster.
    twist: Arc<Mutex<Value>>,
    task: JoinHandle<()>,
}

impl CnpgStandIn {
    pub fn start(world: &World) -> Self {
        let twist = Arc::new(Mutex::new(json!({})));
        let clusters = world.api(Kind::Cluster);
        let task = tokio::spawn(report(clusters, Arc::clone(&twist)));
        Self { twist, task }
    }

    /// From now on these fields of the status differ from those of a healthy cluster.
    pub fn twist(&self, twist: Value) {
        *self.twist.lock().unwrap() = twist;
    }
}

impl Drop for CnpgStandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn report(clusters: Api<DynamicObject>, twist: Arc<Mutex<Value>>) {
    loop {
        let items = match clusters.list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(_) => vec![],
        };
        for item in items {
            let status = status(&item, twist.lock().unwrap().clone());
            if item.data.get("status") != Some(&status) {
                let patch = json!([{"op": "add", "path": "/status", "value": status}]);
                let patch: Patch<Value> = Patch::Json(serde_json::from_value(patch).unwrap());
                let name = item.name_any();
                // One that was deleted meanwhile is no error.
                let _ = clusters
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await;
            }
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

fn status(cluster: &DynamicObject, twist: Value) -> Value {
    let name = cluster.name_any();
    let instances = cluster.data["spec"]["instances"].as_i64().unwrap();
    let pods: Vec<String> = (1..=instances).map(|n| format!("{name}-{n}")).collect();
    // A switchover that was ordered is carried out at once.
    let live = &cluster.data["status"];
    let field = match live["phase"] == "Switchover in progress" {
        true => "targetPrimary",
        false => "currentPrimary",
    };
    let primary = pods.iter().find(|pod| live[field] == ***pod);
    let primary = primary.unwrap_or(&pods[0]);
    let mut status = json!({
        "phase": "Cluster in healthy state", "readyInstances": instances, "instances": instances,
        "currentPrimary": primary, "targetPrimary": primary, "instancesStatus": {"healthy": pods},
        "conditions": [{"type": "Ready", "status": "True", "reason": "ClusterIsReady", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    for (field, value) in twist.as_object().unwrap() {
        status[field] = value.clone();
    }
    status
}
