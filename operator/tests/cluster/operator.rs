//! Operators in this process.

use std::{sync::Arc, time::Duration};

use hello_crds::HelloService;
use hello_operator::{
    controller::{self, CONCURRENCY, Reconcile, WatchEnded, outcome::Outcome, watches},
    kubernetes::{api::Cluster, fence::Fence},
    object::key::Key,
    restore::Restores,
    service::{
        Clock, Context,
        external_secrets::ExternalSecrets,
        failures::Failures,
        report::events::Events,
        validate::{DefaultImages, Limits},
    },
    telemetry::{metrics::Metrics, probes::Health},
};
use kube::{Client, api::ApiResource};
use tokio::task::JoinSet;

/// Verbs of writes to children.
const CHILD_WRITES: [&str; 8] = [
    "create", "update", "scale", "release", "delete", "replace", "forget", "hold",
];

/// An operator in this process.
pub struct Operator {
    pub metrics: Arc<Metrics>,
    stop: tokio::sync::watch::Sender<bool>,
    tasks: JoinSet<Result<(), WatchEnded>>,
}

impl Operator {
    /// Stops as on SIGTERM.
    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        for ended in self.tasks.join_all().await {
            ended.unwrap();
        }
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

/// Starts an operator.
pub fn start(
    client: Client,
    fence: Fence,
    namespace: Option<&str>,
    clock: Clock,
    resync: Duration,
) -> Operator {
    start_with(client, fence, namespace, clock, resync, |context| context)
}

/// Starts an operator whose reconciler is built from the real context.
pub fn start_with<R: Reconcile>(
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
    let restores = watches::start_restores(&client, namespace, &metrics, &cluster);
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
    let mut tasks = JoinSet::new();
    tasks.spawn(controller::run(
        Arc::new(Restores(context.clone())),
        1,
        restores,
        Arc::clone(&metrics),
        Arc::new(Health::default()),
        stopped.clone(),
    ));
    tasks.spawn(controller::run(
        Arc::new(reconciler(context)),
        CONCURRENCY,
        watches,
        Arc::clone(&metrics),
        Arc::new(Health::default()),
        stopped,
    ));
    Operator {
        metrics,
        stop,
        tasks,
    }
}

/// The real reconciler with a defect: it panics at one resource.
pub struct Defective {
    pub context: Context,
    pub name: &'static str,
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
