//! Stands in for the controllers and kubelets that a bare API server does not have.

use std::sync::{Arc, Mutex};

use futures::{StreamExt, stream};
use hello_operator::object::kind::Kind;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// How migration Jobs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    Succeed,
    Fail,
    /// The Jobs of this resource fail, and the others succeed.
    FailFor(&'static str),
    /// They give up for a reason that may pass.
    Interrupt,
    Hang,
}

/// The controllers, as far as the operator depends on them.
#[derive(Clone)]
pub struct StandIn {
    client: Client,
    jobs: Arc<Mutex<Jobs>>,
}

impl StandIn {
    /// Kinds whose controllers are replaced.
    pub const KINDS: [Kind; 4] = [
        Kind::StatefulSet,
        Kind::Job,
        Kind::Deployment,
        Kind::Service,
    ];

    pub fn new(client: Client, jobs: Arc<Mutex<Jobs>>) -> Self {
        Self { client, jobs }
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Acts once on every object in a namespace.
    pub async fn round(&self, namespace: &str) {
        let claims = items(&self.api(Kind::PersistentVolumeClaim, namespace)).await;
        let claims: Vec<String> = claims.iter().map(ResourceExt::name_any).collect();
        for kind in Self::KINDS {
            let items = items(&self.api(kind, namespace)).await.into_iter();
            let busy = items.filter(|item| !runs(kind, item, &claims));
            stream::iter(busy)
                .for_each_concurrent(8, |item| async move { self.act(kind, &item).await })
                .await;
        }
    }

    /// Acts on an object as the controller of its kind would.
    pub async fn act(&self, kind: Kind, object: &DynamicObject) {
        let namespace = object.namespace().unwrap();
        let api = self.api(kind, &namespace);
        match kind {
            Kind::StatefulSet => {
                let claims = self.api(Kind::PersistentVolumeClaim, &namespace);
                run_database(&api, &claims, object).await;
            }
            Kind::Job => {
                let ending = *self.jobs.lock().unwrap();
                run_job(&api, object, ending).await;
            }
            Kind::Service => balance(&api, object).await,
            _ => run_deployment(&api, object).await,
        }
    }

    /// Deletes objects whose owner does not exist.
    pub async fn collect_garbage(&self, namespace: &str) {
        let resource = ApiResource::erase::<hello_crds::HelloService>(&());
        let services: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let Ok(owners) = services.list(&ListParams::default()).await else {
            return;
        };
        let owners: Vec<String> = owners.items.iter().filter_map(ResourceExt::uid).collect();
        for kind in Kind::ALL {
            let api = self.api(kind, namespace);
            for item in items(&api).await {
                let orphaned = item
                    .owner_references()
                    .iter()
                    .any(|owner| owner.kind == "HelloService" && !owners.contains(&owner.uid));
                if orphaned && item.metadata.deletion_timestamp.is_none() {
                    let _ = api
                        .delete(&item.name_any(), &DeleteParams::background())
                        .await;
                }
            }
        }
    }
}

async fn items(api: &Api<DynamicObject>) -> Vec<DynamicObject> {
    api.list(&ListParams::default())
        .await
        .map(|list| list.items)
        .unwrap_or_default()
}

/// Sets a status when it differs. An object that was deleted meanwhile is no error.
async fn set_status(api: &Api<DynamicObject>, object: &DynamicObject, status: Value) {
    if object.data["status"] != status {
        let patch = json!({"status": status});
        let _ = api
            .patch_status(
                &object.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await;
    }
}

/// Whether this is a database that is complete; another way to know would cost a request.
fn runs(kind: Kind, object: &DynamicObject, claims: &[String]) -> bool {
    let status = &object.data["status"];
    kind == Kind::StatefulSet
        && status["readyReplicas"] == 1
        && status["observedGeneration"].as_i64() == object.metadata.generation
        && claims.contains(&data_claim(object))
}

fn data_claim(set: &DynamicObject) -> String {
    let template = &set.data["spec"]["volumeClaimTemplates"][0]["metadata"]["name"];
    format!("{}-{}-0", template.as_str().unwrap(), set.name_any())
}

async fn run_database(sets: &Api<DynamicObject>, claims: &Api<DynamicObject>, set: &DynamicObject) {
    let name = data_claim(set);
    if set.metadata.deletion_timestamp.is_none()
        && claims.get_opt(&name).await.unwrap_or_default().is_none()
    {
        let template = &set.data["spec"]["volumeClaimTemplates"][0];
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"]},
            "spec": template["spec"]});
        let _ = claims
            .create(
                &PostParams::default(),
                &serde_json::from_value(claim).unwrap(),
            )
            .await;
    }
    own_claim(claims, &name, set).await;
    let generation = set.metadata.generation;
    let status = json!({"observedGeneration": generation, "replicas": 1, "readyReplicas": 1,
        "updatedReplicas": 1, "currentRevision": "r", "updateRevision": "r",
        "availableReplicas": 1, "collisionCount": 0});
    set_status(sets, set, status).await;
}

/// Makes the StatefulSet the owner of its claim, or not, as it asks for.
async fn own_claim(claims: &Api<DynamicObject>, name: &str, set: &DynamicObject) {
    let Ok(Some(claim)) = claims.get_opt(name).await else {
        return;
    };
    let when = &set.data["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
    let owners = match when == "Delete" {
        true => json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name_any(),
            "uid": set.uid(), "controller": true, "blockOwnerDeletion": true}]),
        false => json!([]),
    };
    let owned = !claim.owner_references().is_empty();
    if owned == (when == "Delete") {
        return;
    }
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
    let _ = claims.patch(name, &PatchParams::default(), &patch).await;
}

async fn run_job(jobs: &Api<DynamicObject>, job: &DynamicObject, ending: Jobs) {
    if job.metadata.deletion_timestamp.is_some() {
        // The garbage collector, once the pods are gone.
        let patch = json!({"metadata": {"finalizers": null}});
        let _ = jobs
            .patch(
                &job.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await;
        return;
    }
    let component = job.labels().get("app.kubernetes.io/component");
    let migrates = component.is_some_and(|component| component == "migration");
    if !migrates || !job.data["status"]["conditions"].is_null() {
        return;
    }
    let fails = match ending {
        Jobs::Hang => return,
        Jobs::Succeed => false,
        Jobs::Fail | Jobs::Interrupt => true,
        Jobs::FailFor(instance) => job.labels()["app.kubernetes.io/instance"] == instance,
    };
    let now = "2026-01-01T00:00:00Z";
    let reason = match ending {
        Jobs::Interrupt => "BackoffLimitExceeded",
        _ => "PodFailurePolicy",
    };
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": reason, "lastTransitionTime": now});
    let status = if fails {
        json!({"startTime": now, "failed": 2,
            "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0,
            "conditions": [condition("FailureTarget"), condition("Failed")]})
    } else {
        json!({"startTime": now, "completionTime": now, "succeeded": 1,
            "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]})
    };
    set_status(jobs, job, status).await;
}

/// Gives a load balancer its address.
async fn balance(services: &Api<DynamicObject>, service: &DynamicObject) {
    if service.data["spec"]["type"] == "LoadBalancer" {
        let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
        set_status(services, service, status).await;
    }
}

async fn run_deployment(deployments: &Api<DynamicObject>, deployment: &DynamicObject) {
    let replicas = deployment.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let mut status = json!({"observedGeneration": deployment.metadata.generation});
    for count in [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ] {
        status[count] = replicas.into();
    }
    set_status(deployments, deployment, status).await;
}
