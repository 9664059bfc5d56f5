//! The frame around every scenario: a namespace of its own, a deadline, a dump when it fails, and clean-up in any case.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::dump;

/// Longer than any scenario takes, so that one that hangs still says where.
const SCENARIO_LIMIT: Duration = Duration::from_secs(420);
/// The same on a cluster with Kubernetes' own waiting times: scaling in alone takes five minutes there.
const EXISTING_LIMIT: Duration = Duration::from_secs(1200);
/// The label by which `e2e/run` finds what an aborted run left behind.
pub const LABEL: &str = "hello.internal/e2e";

/// A running scenario.
#[derive(Clone)]
pub struct Scenario {
    /// The scenario's name.
    pub name: &'static str,
    /// Its own namespace.
    pub namespace: String,
    /// The cluster.
    pub cluster: Cluster,
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    figures: Mutex<Vec<String>>,
    undo: Mutex<Vec<(String, BoxFuture<'static, Result<()>>)>>,
}

/// How many scenarios run beside one another: most of their time is waiting, but each begins with a new database, and
/// more of them would make one another's writes late.
const BESIDE: u32 = 4;
/// Who has the cluster: some scenarios that stay in their namespaces, or one that takes nodes or the operator away, or
/// measures. First come, first served.
static CLUSTER: Semaphore = Semaphore::const_new(BESIDE as usize);
/// After it every test has asked for the cluster: `e2e/run` starts them all at once.
const ALL_HAVE_ASKED: Duration = Duration::from_secs(2);

/// Runs a scenario that stays in its namespace, beside others of its kind: in a fresh namespace, under the restricted
/// Pod Security standard. Whatever happens, what it deferred is undone and the namespace deleted; when it fails, the
/// state that explains it is dumped first.
///
/// # Errors
/// What the scenario returned, also when it panicked or ran out of time.
pub async fn with_namespace(
    name: &'static str,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    let _shared = CLUSTER.acquire().await?;
    run(name, Duration::ZERO, body).await
}

/// As [`with_namespace`], with the cluster to itself: for scenarios that disturb others, or that measure. They come after
/// those that run side by side: one in the middle would make the others wait for the longest of them.
///
/// # Errors
/// As [`with_namespace`].
pub async fn alone(
    name: &'static str,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    alone_longer(name, Duration::ZERO, body).await
}

/// As [`alone`], for a scenario that may take `more` than others.
///
/// # Errors
/// As [`with_namespace`].
pub async fn alone_longer(
    name: &'static str,
    more: Duration,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    sleep(ALL_HAVE_ASKED).await;
    let _exclusive = CLUSTER.acquire_many(BESIDE).await?;
    run(name, more, body).await
}

/// As [`alone`], after all the others: for what looks back at the whole run.
///
/// # Errors
/// As [`with_namespace`].
pub async fn last(
    name: &'static str,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    sleep(ALL_HAVE_ASKED).await;
    alone(name, body).await
}

async fn run(
    name: &'static str,
    more: Duration,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    let scenario = Scenario::start(name).await?;
    scenario.note("start");
    let limit = if scenario.cluster.is_existing() {
        EXISTING_LIMIT
    } else {
        SCENARIO_LIMIT
    } + more;
    let result = match AssertUnwindSafe(timeout(limit, body(&scenario)))
        .catch_unwind()
        .await
    {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(anyhow!("the scenario was not over after {limit:?}")),
        Err(panic) => Err(anyhow!("panicked: {}", panic_text(panic.as_ref()))),
    };
    if let Err(error) = &result {
        scenario.note(&format!("FAILED: {error:#}"));
        let tail = dump::write(&scenario, &output_folder().join(name)).await;
        let _ = writeln!(std::io::stderr(), "{tail}");
    }
    let undone = scenario.finish().await;
    let result = result.and(undone);
    scenario.record(result.is_ok())?;
    result
}

/// Reports a scenario that cannot be shown on this cluster: by name, with the reason, never silently.
///
/// # Errors
/// When the result cannot be written down.
pub fn not_applicable(name: &'static str, reason: &str) -> Result<()> {
    let _ = writeln!(
        std::io::stderr(),
        "[{name}] NOT RUN on this cluster: {reason}"
    );
    append_result(&format!("{name}\tnot run\t0.0\t{reason}"))
}

impl Scenario {
    async fn start(name: &'static str) -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let unique = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 100_000_000;
        let namespace = format!("e2e-{}-{unique}", name.replace('_', "-"));
        let object: Namespace = serde_json::from_value(json!({
            "metadata": {"name": namespace, "labels": {
                LABEL: "true",
                "pod-security.kubernetes.io/enforce": "restricted",
            }},
        }))?;
        Api::all(cluster.client.clone())
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot create namespace {namespace}"))?;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            figures: Mutex::new(Vec::new()),
            undo: Mutex::new(Vec::new()),
        });
        Ok(Self {
            name,
            namespace,
            cluster,
            shared,
        })
    }

    /// The API of a kind in the scenario's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Prints one line of progress with the time since the scenario began.
    pub fn note(&self, text: &str) {
        // Past the test runner's capture, so that a person sees the run move.
        let seconds = self.shared.began.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "[{}] {seconds:6.1} s  {text}", self.name);
    }

    /// Prints a measured figure and keeps it for the table at the end of the run.
    pub fn figure(&self, text: String) {
        self.note(&text);
        self.shared
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }

    /// Undoes a fault at the end of the scenario, also when it fails in the middle. The last one goes first.
    pub fn defer(&self, what: &str, undo: impl Future<Output = Result<()>> + Send + 'static) {
        let mut all = self
            .shared
            .undo
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push((what.to_owned(), undo.boxed()));
    }

    async fn finish(&self) -> Result<()> {
        let mut problems = Vec::new();
        loop {
            let next = self
                .shared
                .undo
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let Some((what, undo)) = next else { break };
            match timeout(Duration::from_secs(60), undo).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => problems.push(format!("{what}: {error:#}")),
                Err(_) => problems.push(format!("{what}: not done after a minute")),
            }
        }
        if std::env::var_os("HELLO_E2E_KEEP").is_none() {
            let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
            if let Err(error) = namespaces
                .delete(&self.namespace, &DeleteParams::default())
                .await
            {
                problems.push(format!("deleting namespace {}: {error}", self.namespace));
            }
        }
        if !problems.is_empty() {
            bail!("clean-up failed: {}", problems.join("; "));
        }
        Ok(())
    }

    fn record(&self, ok: bool) -> Result<()> {
        let seconds = self.shared.began.elapsed().as_secs_f64();
        let figures = self
            .shared
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join(" | ");
        let result = if ok { "ok" } else { "FAILED" };
        self.note(result);
        append_result(&format!("{}\t{result}\t{seconds:.1}\t{figures}", self.name))
    }
}

/// Where dumps and the table of results go: `HELLO_E2E_OUT`, or a folder of the temporary directory.
pub fn output_folder() -> PathBuf {
    std::env::var_os("HELLO_E2E_OUT")
        .map_or_else(|| std::env::temp_dir().join("hello-e2e"), PathBuf::from)
}

fn append_result(line: &str) -> Result<()> {
    let folder = output_folder();
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("results.tsv");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)?;
    writeln!(file, "{line}").with_context(|| format!("cannot write {}", path.display()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_panic_is_kept() {
        let panic = std::panic::catch_unwind(|| panic!("at {}", 7)).unwrap_err();
        assert_eq!(panic_text(panic.as_ref()), "at 7");
        let panic = std::panic::catch_unwind(|| panic!("plain")).unwrap_err();
        assert_eq!(panic_text(panic.as_ref()), "plain");
    }
}
