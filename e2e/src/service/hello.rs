//! One `HelloService` under test and its children.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hello_crds::HelloService;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, ValidationDirective};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::http::{Connections, Failure, Http};
use crate::cluster::wait::{self, Seen, poll};
use crate::scenario::Scenario;

/// The field manager of the scenarios, as `kubectl` would be a person's.
const MANAGER: &str = "hello-e2e";
/// From nothing to Ready, with images present; generous, since the time itself is measured and printed.
pub const READY_LIMIT: Duration = Duration::from_secs(120);

/// A `HelloService` in the scenario's namespace.
#[derive(Clone)]
pub struct Hello {
    /// Its name.
    pub name: String,
    scenario: Scenario,
}

impl Hello {
    /// Names a resource that may or may not exist.
    pub fn named(scenario: &Scenario, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            scenario: scenario.clone(),
        }
    }

    /// Applies a resource with this spec, on a NodePort unless the spec asks for something else.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply(scenario: &Scenario, name: &str, spec: Value) -> Result<Self> {
        let mut whole = json!({"expose": {"service": {"type": "NodePort"}}});
        // By default they would start in the night, also while scenarios run that measure or count.
        if spec["backup"].is_null() {
            whole["backup"] = json!({"enabled": false});
        }
        json_merge(&mut whole, spec);
        let hello = Self::named(scenario, name);
        hello.apply_exactly(whole).await?;
        Ok(hello)
    }

    /// Applies this spec as it is, as `kubectl apply --server-side` does, unknown fields refused.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply_exactly(&self, spec: Value) -> Result<HelloService, kube::Error> {
        let object = json!({
            "apiVersion": HelloService::api_version(&()),
            "kind": HelloService::kind(&()),
            "metadata": {"name": self.name},
            "spec": spec,
        });
        let mut params = PatchParams::apply(MANAGER).force();
        params.field_validation = Some(ValidationDirective::Strict);
        self.api()
            .patch(&self.name, &params, &Patch::Apply(object))
            .await
    }

    /// Changes the spec by a merge patch.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change(&self, spec: Value) -> Result<HelloService> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..Default::default()
        };
        Ok(self.api().patch(&self.name, &params, &patch).await?)
    }

    /// Deletes the resource and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after a minute.
    pub async fn delete(&self) -> Result<()> {
        self.api()
            .delete(&self.name, &DeleteParams::default())
            .await?;
        wait::gone(&self.api(), &self.name, Duration::from_secs(60)).await
    }

    /// The resource as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self) -> Result<HelloService> {
        Ok(self.api().get(&self.name).await?)
    }

    /// The typed API of the resource's namespace.
    pub fn api(&self) -> Api<HelloService> {
        self.scenario.api()
    }

    /// Waits for `Ready=True` of the current generation.
    ///
    /// # Errors
    /// When it does not come within `limit`; the message shows every condition.
    pub async fn ready(&self, limit: Duration) -> Result<HelloService> {
        self.condition("Ready", limit, |condition| condition.status == "True")
            .await
    }

    /// Waits until the condition `kind` is about the current generation and `wanted`.
    ///
    /// # Errors
    /// When that does not come within `limit`; the message shows every condition.
    pub async fn condition(
        &self,
        kind: &str,
        limit: Duration,
        wanted: impl Fn(&Condition) -> bool,
    ) -> Result<HelloService> {
        let what = format!("condition {kind} of {} as wanted", self.name);
        wait::watch(&self.api(), &self.name, &what, limit, |object| {
            let Some(object) = object else {
                return Seen::NotYet("no such resource".to_owned());
            };
            let current = conditions(&object).iter().find(|condition| {
                condition.type_ == kind
                    && condition.observed_generation == object.metadata.generation
            });
            if current.is_some_and(&wanted) {
                Seen::Done(object)
            } else {
                Seen::NotYet(describe(&object))
            }
        })
        .await
    }

    /// Waits until the resource is Ready and its NodePort takes connections: each node's proxy learns of the pods on its
    /// own, a moment later than the operator. Returns the time from the one to the other.
    ///
    /// # Errors
    /// When it is not Ready within [`READY_LIMIT`], or not reachable within 15 s after that.
    pub async fn serving(&self) -> Result<Duration> {
        self.ready(READY_LIMIT).await?;
        let ready = Instant::now();
        let http = self.http().await?;
        poll(
            "the NodePort to take connections",
            Duration::from_secs(15),
            async || {
                Ok(match http.get("nobody").await {
                    Err(failure @ Failure::NotSent(_)) => Seen::NotYet(failure.to_string()),
                    _ => Seen::Done(ready.elapsed()),
                })
            },
        )
        .await
    }

    /// The URL of the Service's NodePort.
    ///
    /// # Errors
    /// When the Service has none.
    pub async fn url(&self) -> Result<String> {
        let service: Service = self.child(&self.name).await?;
        let port = service
            .spec
            .and_then(|spec| spec.ports)
            .and_then(|ports| ports.first().and_then(|port| port.node_port))
            .with_context(|| format!("Service {} has no NodePort", self.name))?;
        Ok(self.scenario.cluster.node_port_url(port))
    }

    /// A client of the Service's NodePort with fresh connections.
    ///
    /// # Errors
    /// As [`Hello::url`].
    pub async fn http(&self) -> Result<Http> {
        Ok(Http::new(&self.url().await?, Connections::Fresh))
    }

    /// One child by its full name.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn child<K>(&self, name: &str) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = self.scenario.api();
        api.get(name)
            .await
            .with_context(|| format!("no {} {name}", K::kind(&())))
    }

    /// The app's Deployment.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn deployment(&self) -> Result<Deployment> {
        self.child(&self.name).await
    }

    /// The name of the database's only pod.
    pub fn database_pod(&self) -> String {
        format!("{}-db-0", self.name)
    }

    /// The image that the database runs.
    ///
    /// # Errors
    /// When there is no StatefulSet.
    pub async fn postgres_image(&self) -> Result<String> {
        let set: StatefulSet = self.child(&format!("{}-db", self.name)).await?;
        set.spec
            .and_then(|spec| spec.template.spec)
            .and_then(|spec| {
                spec.containers
                    .into_iter()
                    .find_map(|container| container.image)
            })
            .context("the database has no image")
    }

    /// The pods of one component (`app`, `database`, `migration`, `backup`), those being deleted included.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods(&self, component: &str) -> Result<Vec<Pod>> {
        let pods = self
            .scenario
            .api::<Pod>()
            .list(&self.labelled(component))
            .await?;
        Ok(pods.items)
    }

    /// Every container of the app and the database, with how often it was started again.
    ///
    /// # Errors
    /// When the pods cannot be listed.
    pub async fn starts(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for component in ["app", "database"] {
            for pod in self.pods(component).await? {
                let pod_id = pod.metadata.uid.unwrap_or_default();
                let containers = pod.status.and_then(|status| status.container_statuses);
                for container in containers.unwrap_or_default() {
                    let (name, count) = (container.name, container.restart_count);
                    all.push(format!("{pod_id} {name} {count}"));
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// No container came, went or was started again since [`Hello::starts`] returned `before`.
    ///
    /// # Errors
    /// When one did.
    pub async fn ensure_not_started_again(&self, before: &[String]) -> Result<()> {
        let after = self.starts().await?;
        ensure!(
            before == after,
            "containers and their starts were {before:?} and are {after:?}"
        );
        Ok(())
    }

    /// The migration Jobs, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn migrations(&self) -> Result<Vec<Job>> {
        let mut jobs = self
            .scenario
            .api::<Job>()
            .list(&self.labelled("migration"))
            .await?
            .items;
        jobs.sort_by_key(|job| job.metadata.creation_timestamp.clone());
        Ok(jobs)
    }

    fn labelled(&self, component: &str) -> ListParams {
        ListParams::default().labels(&format!(
            "app.kubernetes.io/instance={},app.kubernetes.io/component={component}",
            self.name
        ))
    }
}

/// The conditions in the status.
pub fn conditions(object: &HelloService) -> &[Condition] {
    object
        .status
        .as_ref()
        .map_or(&[], |status| &status.conditions)
}

/// All conditions on one line, for messages.
pub fn describe(object: &HelloService) -> String {
    let shown: Vec<String> = conditions(object)
        .iter()
        .map(|condition| {
            format!(
                "{}={} {}: {}",
                condition.type_, condition.status, condition.reason, condition.message
            )
        })
        .collect();
    format!(
        "generation {:?}, {}",
        object.meta().generation,
        shown.join("; ")
    )
}

/// Merges `from` into `into`, objects by key, everything else replaced.
fn json_merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                json_merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_what_is_not_named() {
        let mut into = json!({"expose": {"service": {"type": "NodePort"}}});
        json_merge(
            &mut into,
            json!({"replicas": 1, "expose": {"service": {"port": 81}}}),
        );
        assert_eq!(
            into,
            json!({"replicas": 1, "expose": {"service": {"type": "NodePort", "port": 81}}})
        );
    }
}
