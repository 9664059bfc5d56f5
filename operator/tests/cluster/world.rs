//! A namespace for one test with a stand-in for the controllers, and operators for it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use hello_crds::HelloService;
use hello_operator::{
    kubernetes::{fence::Fence, optional_apis::is_absence},
    object::{child::ChildId, kind::Kind, names},
    service::{Clock, RESYNC},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::OwnedMutexGuard, task::JoinHandle, time::Instant};

use crate::{
    input::resource,
    operator::{Defective, start, start_with},
    rounds::Rounds,
    server::{Server, server},
    stand_in::StandIn,
};
pub use crate::{operator::Operator, stand_in::Jobs};

/// A namespace with a stand-in for the controllers.
pub struct World {
    pub client: Client,
    pub namespace: String,
    pub jobs: Arc<Mutex<Jobs>>,
    /// Seconds by which the operators' clock is ahead.
    ahead: Arc<AtomicI64>,
    rounds: Arc<Rounds>,
    stand_in: JoinHandle<()>,
}

/// The spec without backups, unless it says something about them.
pub fn quiet(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec["backup"].is_null() {
        spec["backup"] = json!({"enabled": false});
    }
    spec
}

impl World {
    /// A fresh namespace named after the test.
    pub async fn new(name: &str) -> Self {
        Self::on(server(), name).await
    }

    /// The same on a server of its own.
    pub async fn on(server: &Server, name: &str) -> Self {
        let client = server.client();
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let jobs = Arc::new(Mutex::new(Jobs::Succeed));
        let rounds = Arc::<Rounds>::default();
        let stand_in = StandIn::new(client.clone(), Arc::clone(&jobs));
        let acting = Arc::clone(&rounds).act(stand_in, client.clone(), name.to_owned());
        Self {
            client,
            namespace: name.to_owned(),
            jobs,
            ahead: Arc::default(),
            rounds,
            stand_in: tokio::spawn(acting),
        }
    }

    /// Stops the stand-in, so that nothing gets ready, until the result is dropped.
    pub async fn stand_still(&self) -> OwnedMutexGuard<()> {
        self.rounds.hold().await
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
        start(client, fence, Some(&self.namespace), self.clock(), RESYNC)
    }

    /// Starts an operator that reconciles settled resources again after this time.
    pub fn resyncing_operator(&self, resync: Duration) -> Operator {
        let (client, namespace) = (self.client.clone(), Some(&*self.namespace));
        start(client, Fence::open(), namespace, self.clock(), resync)
    }

    /// Starts an operator for all namespaces; only on a server that no other test uses.
    pub fn cluster_operator(&self) -> Operator {
        start(
            self.client.clone(),
            Fence::open(),
            None,
            self.clock(),
            RESYNC,
        )
    }

    /// Starts an operator that panics in each reconcile of this resource.
    pub fn defective_operator(&self, name: &'static str) -> Operator {
        let (client, namespace) = (self.client.clone(), Some(&*self.namespace));
        let defective = |context| Defective { context, name };
        start_with(
            client,
            Fence::open(),
            namespace,
            self.clock(),
            RESYNC,
            defective,
        )
    }

    fn clock(&self) -> Clock {
        let ahead = Arc::clone(&self.ahead);
        Arc::new(move || {
            jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead.load(Ordering::Relaxed))
        })
    }

    /// Advances the clock of the operators of this world.
    pub fn pass_time(&self, time: Duration) {
        let seconds = i64::try_from(time.as_secs()).unwrap();
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn set_jobs(&self, jobs: Jobs) {
        *self.jobs.lock().unwrap() = jobs;
        self.rounds.ask();
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    pub fn services(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<HelloService>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Creates or changes the resource `name`, as `kubectl apply` does.
    /// A spec without a word about backups has none: tests of the default apply it [exactly](Self::apply_exactly).
    pub async fn apply(&self, name: &str, spec: Value) -> DynamicObject {
        self.apply_exactly(name, &quiet(&spec)).await
    }

    /// Applies this spec as it is.
    pub async fn apply_exactly(&self, name: &str, spec: &Value) -> DynamicObject {
        let parameters = PatchParams::apply("test").force();
        self.services()
            .patch(name, &parameters, &Patch::Apply(resource(name, spec)))
            .await
            .unwrap()
    }

    /// What the API server says to the resource, without keeping it.
    pub async fn try_out(&self, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
        let parameters = PatchParams {
            dry_run: true,
            ..PatchParams::apply("test").force()
        };
        let body = Patch::Apply(resource(name, spec));
        self.services().patch(name, &parameters, &body).await
    }

    /// Deletes the resource, and waits until no more than these children are left.
    pub async fn delete_keeping(&self, name: &str, kept: usize) {
        let services = self.services();
        services
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        eventually("the rest is gone", || async {
            (self.children(name).await.len() == kept).then_some(())
        })
        .await;
    }

    pub async fn get(&self, id: &ChildId) -> Option<DynamicObject> {
        self.api(id.kind).get_opt(&id.name).await.unwrap()
    }

    /// Waits until the condition of the resource has this status, for its current generation.
    pub async fn condition(&self, name: &str, type_: &str, status: &str) -> Value {
        eventually(&format!("{name} {type_}={status}"), || {
            self.find_condition(name, type_, status)
        })
        .await
    }

    async fn find_condition(&self, name: &str, type_: &str, status: &str) -> Option<Value> {
        let live = self.services().get_opt(name).await.unwrap()?;
        let conditions = live.data["status"]["conditions"].as_array()?;
        conditions
            .iter()
            .find(|c| c["type"] == type_ && c["status"] == status)
            .filter(|c| c["observedGeneration"].as_i64() == live.metadata.generation)
            .cloned()
    }

    /// Whether the resource is ready now.
    pub async fn is_ready(&self, name: &str) -> bool {
        self.find_condition(name, "Ready", "True").await.is_some()
    }

    pub async fn ready(&self, name: &str) {
        self.condition(name, "Ready", "True").await;
    }

    /// Every child of the resource with our labels.
    pub async fn children(&self, instance: &str) -> Vec<(ChildId, DynamicObject)> {
        let labels = ListParams::default().labels(&names::instance_selector(instance));
        let list = async |kind: Kind| {
            let items = match self.api(kind).list(&labels).await {
                Err(error) if kind.provider().is_some() && is_absence(&error) => vec![],
                items => items.unwrap().items,
            };
            let id = |item: &DynamicObject| ChildId::new(kind, item.name_any());
            let items = items.into_iter().map(|item| (id(&item), item));
            items.collect::<Vec<_>>()
        };
        let lists = join_all(Kind::ALL.into_iter().map(list)).await;
        lists.into_iter().flatten().collect()
    }

    /// Asserts that a new operator makes a pass over the resource and writes nothing.
    pub async fn finds_nothing_to_write(&self) {
        let operator = self.operator();
        eventually("a pass over the resource", || async {
            (operator.reconciles() > 0).then_some(())
        })
        .await;
        self.settle(&operator).await;
        assert_eq!(operator.writes(), 0);
        operator.stop().await;
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
        self.stand_in.abort();
    }
}

/// Longest time to wait for anything, also on a busy machine; where time matters, a test has a limit of its own.
const LIMIT: Duration = Duration::from_secs(60);

/// Asserts that something took no longer than it may on a machine without other work; on a busy one, as much longer as
/// processes share a core. What it excludes, such as an interval of minutes, is longer still.
pub fn assert_within(limit: Duration, since: std::time::Instant, what: &str) {
    let took = since.elapsed();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    let limit = limit.mul_f64((load / cores as f64).max(1.0));
    assert!(took < limit, "{what}: {took:?}, at most {limit:?}");
}

/// Asks until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
