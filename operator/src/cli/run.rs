//! The long-running operator.

use std::{
    error::Error,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use hello_crds::HelloService;
use kube::{Client, api::ApiResource};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use crate::{
    controller::{self, CONCURRENCY, WatchEnded, watches},
    kubernetes::{api::Cluster, connection, fence::Fence, reviews},
    leadership::{lease::Elector, watchdog::Watchdog},
    restore::Restores,
    service::{
        Context, RESYNC,
        external_secrets::ExternalSecrets,
        failures::Failures,
        report::events::Events,
        validate::{DefaultImages, Limits},
    },
    telemetry::{
        logging::{self, LogFormat},
        metrics::Metrics,
        probes::{self, Health},
    },
};

/// Settings of the long-running operator.
#[derive(Debug)]
pub struct Options {
    /// Images for resources that name none.
    pub images: DefaultImages,
    /// What resources may contain.
    pub limits: Limits,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Address of health and metrics.
    pub listen: SocketAddr,
    /// Whether metrics name each resource.
    pub metrics_names: bool,
    /// Whether only accounts with the right to get them may read the metrics.
    pub metrics_access: bool,
    /// Log filter.
    pub log_level: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Name of this pod.
    pub pod_name: Option<String>,
    /// Namespace of this pod, where its Lease is; without one there is no election.
    pub pod_namespace: Option<String>,
}

/// An error that ends the process.
type Fatal = Box<dyn Error + Send + Sync>;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When there is no cluster to talk to, the address cannot be bound, a setting is wrong, another process leads, or a part
/// of the operator ended by itself: a process that is half alive would miss changes.
pub fn run(options: Options) -> Result<(), Box<dyn Error>> {
    logging::start(&options.log_level, options.log_format)
        .map_err(|error| format!("--log-level {:?}: {error}", options.log_level))?;
    // Two threads: reconciles wait for the API server most of their time.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    // Nothing of it is used after a panic, which ends the process like any other error.
    let operate = AssertUnwindSafe(|| runtime.block_on(operate(options)));
    let ended = catch_unwind(operate).map_err(|_| "the operator panicked")?;
    ended.map_err(|error| -> Box<dyn Error> { error })
}

/// Waits for a lease, leads, and hands over.
async fn operate(options: Options) -> Result<(), Fatal> {
    let mut stop = StopSignals::new()?;
    let metrics = Arc::<Metrics>::default();
    if !options.metrics_names {
        metrics.conditions.leave_out_names();
    }
    let health = [(); 2].map(|()| Arc::new(Health::default()));
    let client = connection::infer().await?;
    let access = options
        .metrics_access
        .then(|| reviews::access(client.clone()));
    let (served, known) = (health.to_vec(), Arc::clone(&metrics));
    let mut probes = probes::serve(options.listen, served, known, access)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let mut elector = elector(&client, &options)?;
    if let Some(elector) = &mut elector {
        let standby = |on| health.iter().for_each(|health| health.standby(on));
        standby(true);
        tokio::select! {
            () = elector.acquire() => standby(false),
            () = stop.received() => return Ok(()),
            _ = &mut probes => return Err(PROBES_ENDED.into()),
        }
    }
    metrics.leader.set(1);
    let fence = elector.as_ref().map_or_else(Fence::open, Elector::fence);
    let (stop_controller, stopped) = tokio::sync::watch::channel(false);
    let mut controllers = start(
        options,
        client,
        fence,
        Arc::clone(&metrics),
        health,
        stopped,
    );
    let mut hold = Box::pin(hold(elector.as_mut(), &metrics));
    tokio::select! {
        () = stop.received() => {}
        () = &mut hold => return Err(REPLACED.into()),
        Some(ended) = controllers.join_next() => return Err(why(ended)),
        _ = &mut probes => return Err(PROBES_ENDED.into()),
    }
    tracing::info!("stopping");
    stop_controller.send(true)?;
    drop(hold);
    // Before the reconciles end, which write nothing from here on: the next leader completes what they leave.
    if let Some(elector) = &mut elector {
        elector.release().await;
    }
    while let Some(ended) = controllers.join_next().await {
        ended??;
    }
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The candidate for the Lease; none without the namespace of this pod.
fn elector(client: &Client, options: &Options) -> Result<Option<Elector>, Fatal> {
    let Some(namespace) = options.pod_namespace.as_deref() else {
        return Ok(None);
    };
    let identity = identity(options.pod_name.as_deref());
    let elector = Elector::new(client.clone(), namespace, identity);
    Ok(Some(elector.with(Watchdog::new()?)))
}

/// Restores that are reconciled at once: of two restores of one service, the second one sees what the first one has begun.
const RESTORES: usize = 1;

/// Starts the controllers of HelloServices and of HelloRestores.
fn start(
    options: Options,
    client: Client,
    fence: Fence,
    metrics: Arc<Metrics>,
    [of_services, of_restores]: [Arc<Health>; 2],
    stopped: tokio::sync::watch::Receiver<bool>,
) -> JoinSet<Result<(), WatchEnded>> {
    let cluster = Cluster::new(client.clone(), Arc::clone(&metrics), fence);
    let namespace = options.namespace.as_deref();
    tracing::info!(namespace = namespace.unwrap_or("(all)"), "started");
    let resource = ApiResource::erase::<HelloService>(&());
    let services = watches::start(resource, &client, namespace, &metrics, &cluster);
    let restores = watches::start_restores(&client, namespace, &metrics, &cluster);
    let context = Context {
        events: Events::new(&cluster, options.pod_name),
        cluster,
        images: options.images,
        limits: options.limits,
        external_secrets: ExternalSecrets::default(),
        clock: Arc::new(jiff::Timestamp::now),
        resync: RESYNC,
        metrics: Arc::clone(&metrics),
        failures: Failures::default(),
    };
    let mut controllers = JoinSet::new();
    controllers.spawn(controller::run(
        Arc::new(Restores(context.clone())),
        RESTORES,
        restores,
        Arc::clone(&metrics),
        of_restores,
        stopped.clone(),
    ));
    controllers.spawn(controller::run(
        Arc::new(context),
        CONCURRENCY,
        services,
        metrics,
        of_services,
        stopped,
    ));
    controllers
}

/// Why the controller ended without a signal.
fn why(ended: Result<Result<(), WatchEnded>, tokio::task::JoinError>) -> Fatal {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) | Err(_) => "the controller ended by itself".into(),
    }
}

/// Why a process ends that cannot be probed any more.
const PROBES_ENDED: &str = "the probes ended by themselves";

/// Why a process ends that was the leader; it starts again as a candidate.
const REPLACED: &str = "another process is the leader";

/// Holds the lease, and gets it back after an outage, until another process has it.
async fn hold(elector: Option<&mut Elector>, metrics: &Metrics) {
    let Some(elector) = elector else {
        return std::future::pending().await;
    };
    loop {
        elector.keep().await;
        metrics.leader.set(0);
        if !elector.regain().await {
            return;
        }
        metrics.leader.set(1);
        tracing::info!("leading again");
    }
}

/// A name that no other process has, also not an earlier one of the same pod.
fn identity(pod: Option<&str>) -> String {
    let mut bytes = [0_u8; 8];
    // Without random numbers the pod's name alone has to do.
    let _ = getrandom::fill(&mut bytes);
    format!(
        "{}_{:016x}",
        pod.unwrap_or("hello-operator"),
        u64::from_le_bytes(bytes)
    )
}
