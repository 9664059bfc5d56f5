//! One test's namespace, an operator for it, and a stand-in for the controllers and kubelets that a
//! bare API server does not have.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hello_operator::{
    api::Cluster,
    child::{ChildId, Kind},
    controller,
    events::Events,
    health::Health,
    lease::Fence,
    metrics::Metrics,
    reconcile::Context,
    validate::DefaultImages,
    watch,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use crate::server::server;

/// How migration Jobs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    Succeed,
    Fail,
    Hang,
}

/// A namespace with a life in it.
pub struct World {
    pub client: Client,
    pub namespace: String,
    pub jobs: Arc<Mutex<Jobs>>,
    alive: Arc<AtomicBool>,
    _stand_in: JoinHandle<()>,
}

/// An operator in this process.
pub struct Operator {
    pub metrics: Arc<Metrics>,
    stop: tokio::sync::watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Operator {
    /// Stops as on SIGTERM.
    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }

    /// Writes to the API server so far, events excepted.
    pub fn writes(&self) -> u64 {
        self.calls(&["create", "update", "scale", "delete", "status"])
    }

    /// The same without the status of the resource, which also tells what others cause.
    pub fn writes_to_children(&self) -> u64 {
        self.calls(&["create", "update", "scale", "delete"])
    }

    /// Calls with one of these verbs, refused ones included.
    pub fn calls(&self, verbs: &[&str]) -> u64 {
        self.sum("hello_operator_api_calls_total", |labels| {
            verbs
                .iter()
                .any(|verb| labels.contains(&format!("verb=\"{verb}\"")))
        })
    }

    /// Reconciles so far.
    pub fn reconciles(&self) -> u64 {
        self.sum("hello_operator_reconciles_total", |_| true)
    }

    fn sum(&self, metric: &str, wanted: impl Fn(&str) -> bool) -> u64 {
        self.metrics
            .render()
            .lines()
            .filter(|line| line.starts_with(&format!("{metric}{{")))
            .filter(|line| wanted(line))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

impl World {
    /// A fresh namespace named after the test.
    pub async fn new(name: &str) -> Self {
        let client = server().client();
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let jobs = Arc::new(Mutex::new(Jobs::Succeed));
        let alive = Arc::new(AtomicBool::new(true));
        let stand_in = tokio::spawn(stand_in(
            client.clone(),
            name.to_owned(),
            Arc::clone(&jobs),
            Arc::clone(&alive),
        ));
        Self {
            client,
            namespace: name.to_owned(),
            jobs,
            alive,
            _stand_in: stand_in,
        }
    }

    /// Starts an operator for this namespace.
    pub fn operator(&self) -> Operator {
        self.operator_through(self.client.clone())
    }

    /// Starts an operator that reaches the API server through this client.
    pub fn operator_through(&self, client: Client) -> Operator {
        self.fenced_operator(client, Fence::open())
    }

    /// Starts an operator that writes only while this fence is open.
    pub fn fenced_operator(&self, client: Client, fence: Fence) -> Operator {
        let metrics = Arc::new(Metrics::default());
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let context = Context {
            cluster: Cluster::new(client.clone(), Arc::clone(&metrics), fence),
            events: Events::new(client.clone(), None),
            images: DefaultImages {
                app: "hello-app:1".into(),
                postgres: "postgres:18".into(),
            },
        };
        let signals = watch::start(&client, Some(&self.namespace), &metrics);
        let health = Arc::new(Health::default());
        let task = tokio::spawn(controller::run(
            context,
            signals,
            Arc::clone(&metrics),
            health,
            stopped,
        ));
        Operator {
            metrics,
            stop,
            task,
        }
    }

    pub fn set_jobs(&self, jobs: Jobs) {
        *self.jobs.lock().unwrap() = jobs;
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    pub fn services(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<hello_crds::HelloService>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Creates or changes the resource `name`, as `kubectl apply` does.
    pub async fn apply(&self, name: &str, spec: Value) -> DynamicObject {
        let body = json!({"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": name}, "spec": spec});
        let parameters = PatchParams::apply("test").force();
        self.services()
            .patch(name, &parameters, &Patch::Apply(&body))
            .await
            .unwrap()
    }

    pub async fn get(&self, id: &ChildId) -> Option<DynamicObject> {
        self.api(id.kind).get_opt(&id.name).await.unwrap()
    }

    /// Waits until the condition of the resource has this status, for its current generation.
    pub async fn condition(&self, name: &str, type_: &str, status: &str) -> Value {
        let api = self.services();
        eventually(&format!("{name} {type_}={status}"), || async {
            let live = api.get_opt(name).await.unwrap()?;
            let conditions = live.data["status"]["conditions"].as_array()?;
            conditions
                .iter()
                .find(|c| c["type"] == type_ && c["status"] == status)
                .filter(|c| c["observedGeneration"].as_i64() == live.metadata.generation)
                .cloned()
        })
        .await
    }

    pub async fn ready(&self, name: &str) {
        self.condition(name, "Ready", "True").await;
    }

    /// Every child of the resource with our labels.
    pub async fn children(&self, instance: &str) -> Vec<(ChildId, DynamicObject)> {
        let mut children = Vec::new();
        let labels = ListParams::default().labels(&format!(
            "app.kubernetes.io/managed-by=hello-operator,app.kubernetes.io/instance={instance}"
        ));
        for kind in Kind::ALL {
            for item in self.api(kind).list(&labels).await.unwrap() {
                children.push((ChildId::new(kind, item.name_any()), item));
            }
        }
        children
    }

    /// Waits until nothing has been written for a while.
    pub async fn settle(&self, operator: &Operator) {
        let mut before = (operator.writes(), operator.reconciles());
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let now = (operator.writes(), operator.reconciles());
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Relaxed);
    }
}

/// Longest time that anything may take in these tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Does what controllers and kubelets would do, over and over.
async fn stand_in(
    client: Client,
    namespace: String,
    jobs: Arc<Mutex<Jobs>>,
    alive: Arc<AtomicBool>,
) {
    let api = |kind: Kind| -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), &namespace, &kind.resource())
    };
    while alive.load(Ordering::Relaxed) {
        let ending = *jobs.lock().unwrap();
        for item in items(&api(Kind::StatefulSet)).await {
            run_database(
                &api(Kind::StatefulSet),
                &api(Kind::PersistentVolumeClaim),
                &item,
            )
            .await;
        }
        for item in items(&api(Kind::Job)).await {
            run_job(&api(Kind::Job), &item, ending).await;
        }
        for item in items(&api(Kind::Deployment)).await {
            run_deployment(&api(Kind::Deployment), &item).await;
        }
        collect_garbage(&client, &namespace).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

async fn items(api: &Api<DynamicObject>) -> Vec<DynamicObject> {
    api.list(&ListParams::default())
        .await
        .map(|list| list.items)
        .unwrap_or_default()
}

/// Sets a status when it differs. An object that is gone by now is no error.
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

async fn run_database(sets: &Api<DynamicObject>, claims: &Api<DynamicObject>, set: &DynamicObject) {
    let name = format!("data-{}-0", set.name_any());
    if set.metadata.deletion_timestamp.is_none()
        && claims.get_opt(&name).await.unwrap_or_default().is_none()
    {
        let template = &set.data["spec"]["volumeClaimTemplates"][0];
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": template["metadata"]["labels"]}, "spec": template["spec"]});
        let _ = claims
            .create(
                &PostParams::default(),
                &serde_json::from_value(claim).unwrap(),
            )
            .await;
    }
    let generation = set.metadata.generation;
    let status = json!({"observedGeneration": generation, "replicas": 1, "readyReplicas": 1,
        "updatedReplicas": 1, "currentRevision": "r", "updateRevision": "r",
        "availableReplicas": 1, "collisionCount": 0});
    set_status(sets, set, status).await;
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
    if !job.data["status"]["conditions"].is_null() {
        return;
    }
    let now = "2026-01-01T00:00:00Z";
    let condition =
        |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": now});
    let status = match ending {
        Jobs::Hang => return,
        Jobs::Succeed => json!({"startTime": now, "completionTime": now, "succeeded": 1,
            "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]}),
        Jobs::Fail => json!({"startTime": now, "failed": 2,
            "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0,
            "conditions": [condition("FailureTarget"), condition("Failed")]}),
    };
    set_status(jobs, job, status).await;
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

/// Deletes what has an owner that is gone.
async fn collect_garbage(client: &Client, namespace: &str) {
    let resource = ApiResource::erase::<hello_crds::HelloService>(&());
    let services: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let Ok(owners) = services.list(&ListParams::default()).await else {
        return;
    };
    let owners: Vec<String> = owners.items.iter().filter_map(ResourceExt::uid).collect();
    for kind in Kind::ALL {
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &kind.resource());
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
