//! What needs a cluster: the long-running operator, and the difference to a cluster.

use std::{error::Error, io::IsTerminal, net::SocketAddr, path::Path, sync::Arc};

use kube::{Client, Config, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{LogFormat, manifest},
    controller::{self, watches},
    kubernetes::{api::Cluster, connection, fence::Fence},
    leadership::{lease::Elector, watchdog::Watchdog},
    object::child::ChildId,
    service::{
        Context, RESYNC, children, dereference,
        plan::{Presence, facts, plan},
        report::events::Events,
        validate::{self, DefaultImages},
    },
    telemetry::{
        metrics::Metrics,
        probes::{self, Health},
    },
};

/// Settings of the long-running operator.
#[derive(Debug)]
pub struct Options {
    /// Images for resources that name none.
    pub images: DefaultImages,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Address of health and metrics.
    pub listen: SocketAddr,
    /// Log filter.
    pub log_level: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Name of this pod.
    pub pod_name: Option<String>,
    /// Namespace of this pod, where its Lease is; without one there is no election.
    pub pod_namespace: Option<String>,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When there is no cluster to talk to, the address cannot be bound, or a setting is wrong.
pub fn run(options: Options) -> Outcome<()> {
    log(&options)?;
    // Two threads: reconciles wait for the API server most of their time.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(operate(options))
}

fn log(options: &Options) -> Outcome<()> {
    let filter = EnvFilter::try_new(&options.log_level)
        .map_err(|error| format!("--log-level {:?}: {error}", options.log_level))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people, not for files.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn operate(options: Options) -> Outcome<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    probes::serve(options.listen, Arc::clone(&health), Arc::clone(&metrics))
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let client = client().await?;
    let mut elector = match options.pod_namespace.as_deref() {
        None => None,
        Some(namespace) => {
            let identity = identity(options.pod_name.as_deref());
            let elector = Elector::new(client.clone(), namespace, identity);
            Some(elector.with(Watchdog::new()?))
        }
    };
    if let Some(elector) = &mut elector {
        health.standby(true);
        tokio::select! {
            () = elector.acquire() => health.standby(false),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
    metrics.leader.set(1);
    let fence = elector.as_ref().map_or_else(Fence::open, Elector::fence);
    let cluster = Cluster::new(client.clone(), Arc::clone(&metrics), fence);
    let context = Context {
        events: Events::new(&cluster, options.pod_name.clone()),
        cluster,
        images: options.images,
        clock: Arc::new(jiff::Timestamp::now),
        resync: RESYNC,
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tracing::info!(
        namespace = options.namespace.as_deref().unwrap_or("(all)"),
        "started"
    );
    let signals = watches::start(
        &client,
        options.namespace.as_deref(),
        &metrics,
        &context.cluster,
    );
    let run = controller::run(context, signals, Arc::clone(&metrics), health, stopped);
    let mut controller = tokio::spawn(run);
    let mut hold = Box::pin(hold(elector.as_mut(), &metrics));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = &mut hold => return Err(REPLACED.into()),
        _ = &mut controller => return Err("the controller ended by itself".into()),
    }
    tracing::info!("stopping");
    stop.send(true)?;
    drop(hold);
    // Before the passes end, which write nothing from here on: the next leader takes up what they leave.
    if let Some(elector) = &mut elector {
        elector.release().await;
    }
    controller.await?;
    tracing::info!("stopped");
    Ok(())
}

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

async fn client() -> Outcome<Client> {
    connection::connect(Config::infer().await?).map_err(|error| -> Box<dyn Error> { error })
}

/// How the cluster differs from what the HelloServices in a file lead to; empty when it does not.
///
/// # Errors
/// When the file is not usable or the cluster does not answer.
pub fn diff(file: &Path, images: &DefaultImages) -> Outcome<String> {
    let services = manifest::read(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = client().await?;
        let cluster = Cluster::new(client, Arc::new(Metrics::default()), Fence::closed());
        let mut text = String::new();
        for service in services {
            text.push_str(&diff_one(&cluster, service, images).await?);
        }
        Ok(text)
    })
}

async fn diff_one(
    cluster: &Cluster,
    mut service: hello_crds::HelloService,
    images: &DefaultImages,
) -> Outcome<String> {
    let namespace = service.namespace().unwrap_or_else(|| "default".into());
    // The live one says which objects are its own.
    let live = cluster.service(&namespace, &service.name_any()).await?;
    service.metadata.namespace = Some(namespace.clone());
    service.metadata.uid = live.and_then(|live| live.uid());
    let validated = validate::validate(&service, images)?;
    let now = jiff::Timestamp::now();
    let (mut observed, inputs) = dereference::read(cluster, &validated, now).await?;
    let prepared = children::build(&validated, &inputs).prepare()?;
    let ids: Vec<ChildId> = prepared
        .children
        .iter()
        .map(|child| child.id.clone())
        .collect();
    dereference::find_unlabelled(cluster, &validated, ids.iter(), &mut observed).await?;
    let facts = facts::facts(&validated, &prepared, &observed);
    let plan = plan(&facts::wanted(&prepared), &facts);
    let mut text = String::new();
    for id in &ids {
        let word = match facts.present.get(id) {
            None => "missing",
            Some(Presence::Drifted) => "differs",
            Some(Presence::Foreign) => "foreign",
            Some(Presence::Deleting | Presence::Predecessor) => "leaving",
            Some(Presence::Settled) => continue,
        };
        text.push_str(&format!("{word:8} {namespace}/{id}\n"));
    }
    for action in plan.actions {
        text.push_str(&format!("next     {action}\n"));
    }
    Ok(text)
}
