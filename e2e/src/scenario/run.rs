//! The frame around every scenario: a namespace of its own, a deadline, a dump when it fails, and clean-up in any case.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource};
use serde_json::json;
use tokio::time::timeout;

use super::results;
use crate::cluster::{Cluster, dump};

/// Longer than any scenario takes, so that one that hangs still reports where.
const SCENARIO_LIMIT: Duration = Duration::from_secs(420);
/// The same on a cluster with Kubernetes' own waiting times: scaling in alone takes five minutes there.
const EXISTING_LIMIT: Duration = Duration::from_secs(1200);
/// The label of all that a scenario creates outside its namespace: `e2e/run` removes what an aborted run has left.
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
    /// All its namespaces, the first one included.
    namespaces: Mutex<Vec<String>>,
    figures: Mutex<Vec<String>>,
    deferred: Mutex<Vec<(String, BoxFuture<'static, Result<()>>)>>,
}

/// Runs a scenario: in a fresh namespace, under the restricted Pod Security standard. Whatever happens, what it deferred is
/// done and its namespaces deleted; when it fails, the state that explains it is dumped first.
///
/// What runs beside it, `e2e/run` decides by the folder that the scenario is in.
///
/// # Errors
/// What the scenario returned, also when it panicked or ran out of time.
pub async fn run(
    name: &'static str,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    run_longer(name, Duration::ZERO, body).await
}

/// As [`run`], for a scenario that may take `more` than others.
///
/// # Errors
/// As [`run`].
pub async fn run_longer(
    name: &'static str,
    more: Duration,
    body: impl AsyncFnOnce(&Scenario) -> Result<()>,
) -> Result<()> {
    let scenario = Scenario::start(name).await?;
    scenario.progress("start");
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
        scenario.progress(&format!("FAILED: {error:#}"));
        scenario.dump().await;
    }
    let cleaned_up = scenario.clean_up().await;
    let result = result.and(cleaned_up);
    scenario.record(result.is_ok())?;
    result
}

impl Scenario {
    async fn start(name: &'static str) -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let unique = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 100_000_000;
        let namespace = format!("e2e-{}-{unique}", name.replace('_', "-"));
        create_namespace(&cluster, &namespace).await?;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            namespaces: Mutex::new(vec![namespace.clone()]),
            figures: Mutex::new(Vec::new()),
            deferred: Mutex::new(Vec::new()),
        });
        Ok(Self {
            name,
            namespace,
            cluster,
            shared,
        })
    }

    /// The same scenario in another namespace of its own, whose name ends with `end`.
    ///
    /// # Errors
    /// When the namespace cannot be created.
    pub async fn in_another_namespace(&self, end: &str) -> Result<Self> {
        let mut other = self.clone();
        other.namespace = format!("{}-{end}", self.namespace);
        locked(&self.shared.namespaces).push(other.namespace.clone());
        create_namespace(&self.cluster, &other.namespace).await?;
        Ok(other)
    }

    /// The API of a kind in the scenario's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Prints one line of progress with the time since the scenario began.
    pub fn progress(&self, text: &str) {
        // Past the test runner's capture, so that a person sees the run move.
        let seconds = self.shared.began.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "[{}] {seconds:6.1} s  {text}", self.name);
    }

    /// Prints a measured figure and keeps it for the table at the end of the run.
    pub fn figure(&self, text: String) {
        self.progress(&text);
        locked(&self.shared.figures).push(text);
    }

    /// Runs `action` at the end of the scenario, also when it fails in the middle: to repair a fault that it caused. The
    /// last one deferred runs first.
    pub fn defer(&self, what: &str, action: impl Future<Output = Result<()>> + Send + 'static) {
        locked(&self.shared.deferred).push((what.to_owned(), action.boxed()));
    }

    /// Writes the state of each namespace into a folder of its own, and prints what explains most.
    async fn dump(&self) {
        let namespaces = locked(&self.shared.namespaces).clone();
        for namespace in namespaces {
            let mut folder = results::output_folder().join(self.name);
            if namespace != self.namespace {
                folder.push(&namespace);
            }
            let tail = dump::write(self.name, &namespace, &folder).await;
            let _ = writeln!(std::io::stderr(), "{tail}");
        }
    }

    async fn clean_up(&self) -> Result<()> {
        let mut problems = Vec::new();
        loop {
            let next = locked(&self.shared.deferred).pop();
            let Some((what, action)) = next else { break };
            match timeout(Duration::from_secs(60), action).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => problems.push(format!("{what}: {error:#}")),
                Err(_) => problems.push(format!("{what}: not done after a minute")),
            }
        }
        if std::env::var_os("HELLO_E2E_KEEP").is_none() {
            let namespaces = locked(&self.shared.namespaces).clone();
            for namespace in namespaces {
                if let Err(error) = delete_namespace(&self.cluster, &namespace).await {
                    problems.push(format!("deleting namespace {namespace}: {error}"));
                }
            }
        }
        if !problems.is_empty() {
            bail!("clean-up failed: {}", problems.join("; "));
        }
        Ok(())
    }

    fn record(&self, ok: bool) -> Result<()> {
        let seconds = self.shared.began.elapsed().as_secs_f64();
        let figures = locked(&self.shared.figures).join(" | ");
        let result = if ok { "ok" } else { "FAILED" };
        self.progress(result);
        results::append(&format!("{}\t{result}\t{seconds:.1}\t{figures}", self.name))
    }
}

async fn create_namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let object: Namespace = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            LABEL: "true",
            "pod-security.kubernetes.io/enforce": "restricted",
        }},
    }))?;
    Api::all(cluster.client.clone())
        .create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("cannot create namespace {name}"))?;
    Ok(())
}

/// Deletes a namespace, unless the scenario has done it.
async fn delete_namespace(cluster: &Cluster, name: &str) -> kube::Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    match namespaces.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// What a panic of another task has left is still of use.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
