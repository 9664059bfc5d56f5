//! The only way to the API server: every call has a deadline, a class of error and a counter.

use std::{future::Future, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    error::{Error, Result},
    kubernetes::{
        empty_kinds::Census,
        fence::{Closed, Fence},
        optional_apis::{self, Absent},
    },
    object::{
        child::{ChildId, Desired},
        kind::Kind,
        names,
    },
    service::{dereference::references::Reference, plan::facts},
    telemetry::metrics::Metrics,
};

/// Longest time one call may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A connection to the cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    metrics: Arc<Metrics>,
    absent: Absent,
    census: Census,
}

impl Cluster {
    /// Uses `client` for every call; writes only while `fence` is open.
    #[must_use]
    pub fn new(client: Client, metrics: Arc<Metrics>, fence: Fence) -> Self {
        Self {
            client: fence.around(client),
            metrics,
            absent: Absent::default(),
            census: Census::default(),
        }
    }

    /// The client behind the fence, for what has calls of its own.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the watches are to keep up to date.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// What the watches share with those who need a kind that may be missing.
    #[must_use]
    pub fn absent(&self) -> &Absent {
        &self.absent
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    async fn call<T>(
        &self,
        verb: &'static str,
        what: impl FnOnce() -> String,
        future: impl Future<Output = kube::Result<T>>,
    ) -> Result<T> {
        let answer = tokio::time::timeout(DEADLINE, future).await;
        if matches!(&answer, Ok(Err(error)) if Closed::refused(error)) {
            let action = format!("{verb} {}", what());
            return Err(Error::NotLeader { action });
        }
        self.metrics.called(verb, matches!(answer, Ok(Ok(_))));
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(Error::Api {
                action: format!("{verb} {}", what()),
                source: Box::new(source),
            }),
            Err(_) => Err(Error::Deadline {
                action: format!("{verb} {}", what()),
                deadline: DEADLINE,
            }),
        }
    }

    /// One resource as plain JSON: it may not parse.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>> {
        let resource = kube::api::ApiResource::erase::<hello_crds::HelloService>(&());
        let api = Api::namespaced_with(self.client.clone(), namespace, &resource);
        self.call("get", || format!("HelloService {name}"), api.get_opt(name))
            .await
    }

    /// All objects of a kind with our labels and these; `None` when the cluster does not serve the kind.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        selector: &str,
    ) -> Result<Option<Vec<DynamicObject>>> {
        if self.absent.lately(kind, Instant::now()) {
            return Ok(None);
        }
        if self.census.is_empty(kind) {
            return Ok(Some(Vec::new()));
        }
        let api = self.api(kind, namespace);
        let parameters = ListParams::default().labels(selector);
        let list = async {
            match api.list(&parameters).await {
                Err(error) if kind.provider().is_some() && optional_apis::is_absence(&error) => {
                    self.absent.note(kind, Instant::now());
                    Ok(None)
                }
                Ok(list) => {
                    self.absent.served(kind);
                    Ok(Some(list.items))
                }
                Err(error) => Err(error),
            }
        };
        self.call("list", || kind.to_string(), list).await
    }

    /// All pods with these labels.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let parameters = ListParams::default().labels(selector);
        let list = self
            .call("list", || "Pod".into(), api.list(&parameters))
            .await?;
        Ok(list.items)
    }

    /// One object, when it exists.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn get(&self, id: &ChildId, namespace: &str) -> Result<Option<DynamicObject>> {
        let api = self.api(id.kind, namespace);
        self.call("get", || id.to_string(), api.get_opt(&id.name))
            .await
    }

    /// What a spec names, when it exists.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn named(
        &self,
        reference: &Reference,
        namespace: &str,
    ) -> Result<Option<DynamicObject>> {
        let resource = reference.source.resource();
        let api = Api::namespaced_with(self.client.clone(), namespace, &resource);
        self.call(
            "get",
            || reference.to_string(),
            api.get_opt(&reference.name),
        )
        .await
    }

    /// Creates an object. Not forced: should another one of that name appear in between, its
    /// fields differ and the API server answers with a conflict.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer.
    pub async fn create(&self, desired: &Desired, namespace: &str) -> Result<DynamicObject> {
        let api = self.api(desired.id.kind, namespace);
        let parameters = PatchParams::apply(names::MANAGER);
        let patch = Patch::Apply(&desired.body);
        self.call(
            "create",
            || desired.id.to_string(),
            api.patch(&desired.id.name, &parameters, &patch),
        )
        .await
    }

    /// Brings the object with this UID to what is desired.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn update(
        &self,
        desired: &Desired,
        namespace: &str,
        uid: &str,
    ) -> Result<DynamicObject> {
        let api = self.api(desired.id.kind, namespace);
        let mut body = desired.body.clone();
        body["metadata"]["uid"] = uid.into();
        let parameters = PatchParams::apply(names::MANAGER).force();
        self.call(
            "update",
            || desired.id.to_string(),
            api.patch(&desired.id.name, &parameters, &Patch::Apply(&body)),
        )
        .await
    }

    /// Sets the replicas of the object with this UID, and nothing else of it.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn scale(
        &self,
        id: &ChildId,
        namespace: &str,
        uid: &str,
        replicas: i32,
    ) -> Result<DynamicObject> {
        let resource = id.kind.resource();
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": id.name, "uid": uid},
            "spec": {"replicas": replicas},
        });
        let parameters = PatchParams::apply(names::SCALE_MANAGER).force();
        let api = self.api(id.kind, namespace);
        self.call(
            "scale",
            || id.to_string(),
            api.patch(&id.name, &parameters, &Patch::Apply(&body)),
        )
        .await
    }

    /// Gives up our hold of the replicas of the object with this UID. Were the field left out of an
    /// apply instead, the API server would take its value away too.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn release_replicas(
        &self,
        id: &ChildId,
        namespace: &str,
        uid: &str,
    ) -> Result<DynamicObject> {
        let api = self.api(id.kind, namespace);
        let what = || id.to_string();
        let live = self.call("get", what, api.get(&id.name)).await?;
        let patch = serde_json::from_value(without_replicas(&live, uid)).map_err(|source| {
            let what = id.to_string();
            Error::Json { what, source }
        })?;
        let (parameters, patch) = (PatchParams::default(), Patch::Json::<()>(patch));
        self.call("release", what, api.patch(&id.name, &parameters, &patch))
            .await
    }

    /// Deletes the object with this UID. Its kind decides whether its pods are gone before it is.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer. That it is gone already is no error.
    pub async fn delete(&self, id: &ChildId, namespace: &str, uid: &str) -> Result<()> {
        let parameters = DeleteParams {
            propagation_policy: Some(id.kind.row().deletion.clone()),
            preconditions: Some(Preconditions {
                uid: Some(uid.into()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.api(id.kind, namespace);
        let answer = self
            .call(
                "delete",
                || id.to_string(),
                api.delete(&id.name, &parameters),
            )
            .await;
        match answer {
            Err(error) if error.is_code(404) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Writes the status.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer.
    pub async fn patch_status(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &Value,
    ) -> Result<()> {
        let patch = Patch::Apply(status_of(name, uid, status));
        let parameters = PatchParams::apply(names::STATUS_MANAGER).force();
        self.write_status(namespace, name, &parameters, &patch)
            .await
    }

    /// Writes the status of a resource whose spec does not fit the schema, to which nothing can be applied.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer.
    pub async fn merge_status(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &Value,
    ) -> Result<()> {
        let patch = Patch::Merge(status_of(name, uid, status));
        let parameters = PatchParams {
            field_manager: Some(names::STATUS_MANAGER.into()),
            ..PatchParams::default()
        };
        self.write_status(namespace, name, &parameters, &patch)
            .await
    }

    async fn write_status(
        &self,
        namespace: &str,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<Value>,
    ) -> Result<()> {
        let resource = kube::api::ApiResource::erase::<hello_crds::HelloService>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        self.call(
            "status",
            || format!("HelloService {name}"),
            api.patch_status(name, parameters, patch),
        )
        .await
        .map(|_| ())
    }
}

/// A JSON patch that takes the replicas out of the fields that are ours, and leaves their value.
fn without_replicas(live: &DynamicObject, uid: &str) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
    let entries = live.managed_fields().iter().enumerate();
    // From the last one on: what is removed moves only those behind it.
    for (index, entry) in entries
        .rev()
        .filter(|(_, entry)| facts::holds_replicas(entry))
    {
        let path = format!("/metadata/managedFields/{index}");
        let field = match entry.manager.as_deref() {
            Some(names::MANAGER) => format!("{path}/fieldsV1/f:spec/f:replicas"),
            // It holds nothing else.
            Some(names::SCALE_MANAGER) => path.clone(),
            _ => continue,
        };
        patch
            .push(json!({"op": "test", "path": format!("{path}/manager"), "value": entry.manager}));
        patch.push(json!({"op": "remove", "path": field}));
    }
    patch.into()
}

/// A resource with this status, and only that.
fn status_of(name: &str, uid: &str, status: &Value) -> Value {
    let resource = kube::api::ApiResource::erase::<hello_crds::HelloService>(&());
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "uid": uid},
        "status": status,
    })
}
