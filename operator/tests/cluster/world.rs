//! A namespace for one test with a stand-in for the controllers, and operators for it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use hello_crds::HelloService;
use hello_operator::{
    controller::{self, Reconcile, WatchEnded, outcome::Outcome, watches},
    kubernetes::{api::Cluster, fence::Fence, optional_apis::is_absence},
    object::{child::ChildId, key::Key, kind::Kind},
    service::{
        Clock, Context, RESYNC,
        external_secrets::ExternalSecrets,
        failures::Failures,
        report::events::Events,
        validate::{DefaultImages, Limits},
    },
    telemetry::{metrics::Metrics, probes::Health},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::OwnedMutexGuard, task::JoinHandle, time::Instant};

pub use crate::stand_in::Jobs;
use crate::{
    server::{Server, server},
    stand_in::StandIn,
};

/// Verbs of writes to children.
const CHILD_WRITES: [&str; 7] = [
    "create", "update", "scale", "release", "delete", "replace", "forget",
];

/// A namespace with a stand-in for the controllers.
pub struct World {
    pub client: Client,
    pub namespace: String,
    pub jobs: Arc<Mutex<Jobs>>,
    /// Seconds by which the operators' clock is ahead.
    ahead: Arc<AtomicI64>,
    rounds: Arc<Rounds>,
    _stand_in: JoinHandle<()>,
}

/// The rounds of the stand-in for the controllers.
#[derive(Default)]
struct Rounds {
    over: AtomicBool,
    /// Held during a round.
    round: Arc<tokio::sync::Mutex<()>>,
}

/// An operator in this process.
pub struct Operator {
    pub metrics: Arc<Metrics>,
    stop: tokio::sync::watch::Sender<bool>,
    task: JoinHandle<Result<(), WatchEnded>>,
}

impl Operator {
    /// Stops as on SIGTERM.
    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// Writes to the API server so far, events excepted.
    pub fn writes(&self) -> u64 {
        self.calls(&[&CHILD_WRITES[..], &["status"]].concat())
    }

    /// The same without the status of the resource, which also reports what other clients cause.
    pub fn writes_to_children(&self) -> u64 {
        self.calls(&CHILD_WRITES)
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
        let stand_in = tokio::spawn(run_stand_in(
            StandIn::new(client.clone(), Arc::clone(&jobs)),
            name.to_owned(),
            Arc::clone(&rounds),
        ));
        Self {
            client,
            namespace: name.to_owned(),
            jobs,
            ahead: Arc::default(),
            rounds,
            _stand_in: stand_in,
        }
    }

    /// Stops the stand-in, so that nothing gets ready, until the result is dropped.
    pub async fn stand_still(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.rounds.round).lock_owned().await
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
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    pub fn services(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<HelloService>(&());
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
        let mut children = Vec::new();
        let labels = ListParams::default().labels(&format!(
            "app.kubernetes.io/managed-by=hello-operator,app.kubernetes.io/instance={instance}"
        ));
        for kind in Kind::ALL {
            let items = match self.api(kind).list(&labels).await {
                Err(error) if kind.provider().is_some() && is_absence(&error) => continue,
                items => items.unwrap(),
            };
            for item in items {
                children.push((ChildId::new(kind, item.name_any()), item));
            }
        }
        children
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
        self.rounds.over.store(true, Ordering::Relaxed);
    }
}

/// Longest time to wait for anything, also on a busy machine; where time matters, a test has a limit of its own.
const LIMIT: Duration = Duration::from_secs(60);

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

/// Acts as the controllers would in one namespace, again and again.
async fn run_stand_in(stand_in: StandIn, namespace: String, rounds: Arc<Rounds>) {
    for round in 0_u32.. {
        if rounds.over.load(Ordering::Relaxed) {
            return;
        }
        let working = rounds.round.lock().await;
        stand_in.round(&namespace).await;
        // This lists every object, so it runs less often.
        if round % 5 == 0 {
            stand_in.collect_garbage(&namespace).await;
        }
        drop(working);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

fn start(
    client: Client,
    fence: Fence,
    namespace: Option<&str>,
    clock: Clock,
    resync: Duration,
) -> Operator {
    start_with(client, fence, namespace, clock, resync, |context| context)
}

/// Starts an operator whose reconciler is built from the real context.
fn start_with<R: Reconcile>(
    client: Client,
    fence: Fence,
    namespace: Option<&str>,
    clock: Clock,
    resync: Duration,
    reconciler: impl FnOnce(Context) -> R,
) -> Operator {
    let metrics = Arc::new(Metrics::default());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let cluster = Cluster::new(client.clone(), Arc::clone(&metrics), fence);
    let resource = ApiResource::erase::<HelloService>(&());
    let watches = watches::start(resource, &client, namespace, &metrics, &cluster);
    let context = Context {
        events: Events::new(&cluster, None),
        cluster,
        limits: Limits::default(),
        external_secrets: ExternalSecrets::default(),
        images: DefaultImages {
            app: "hello-app:1".into(),
            postgres: "postgres:18".into(),
        },
        clock,
        resync,
        metrics: Arc::clone(&metrics),
        failures: Failures::default(),
    };
    let task = tokio::spawn(controller::run(
        Arc::new(reconciler(context)),
        watches,
        Arc::clone(&metrics),
        Arc::new(Health::default()),
        stopped,
    ));
    Operator {
        metrics,
        stop,
        task,
    }
}

/// The real reconciler with a defect: it panics at one resource.
struct Defective {
    context: Context,
    name: &'static str,
}

impl Reconcile for Defective {
    async fn reconcile(&self, key: &Key) -> Outcome {
        assert!(*key.name != *self.name, "planted defect");
        self.context.reconcile(key).await
    }

    async fn look(&self, key: &Key) -> Option<Outcome> {
        self.context.look(key).await
    }

    async fn report_panic(&self, key: &Key, message: &str) {
        self.context.report_panic(key, message).await;
    }
}
