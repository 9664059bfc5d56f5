//! The only way to the API server: every call has a deadline, a class of error and a counter.

mod holds;
mod objects;
mod restores;
pub mod status;
mod writes;

use std::{future::Future, sync::Arc};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use tokio::time::Instant;

use self::objects::{Objects, checked};
use crate::{
    error::{Error, Result},
    kubernetes::{
        connection::DEADLINE,
        empty_kinds::EmptyKinds,
        fence::{Closed, Fence},
        optional_apis::{self, Absent},
        own_writes::OwnWrites,
        taken_names::TakenNames,
    },
    object::{child::ChildId, kind::Kind, object_name::ObjectName},
    telemetry::metrics::Metrics,
};

/// Events that are read of one object. Clients repeat an event instead of writing another one, so there are few.
const EVENTS: u32 = 100;

/// A connection to the cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    metrics: Arc<Metrics>,
    absent: Absent,
    empty_kinds: EmptyKinds,
    own_writes: OwnWrites,
    taken_names: TakenNames,
}

impl Cluster {
    /// Uses `client` for every call; writes only while `fence` is open.
    #[must_use]
    pub fn new(client: Client, metrics: Arc<Metrics>, fence: Fence) -> Self {
        Self {
            client: fence.around(client),
            metrics,
            absent: Absent::default(),
            empty_kinds: EmptyKinds::default(),
            own_writes: OwnWrites::default(),
            taken_names: TakenNames::default(),
        }
    }

    /// The client behind the fence, for what has calls of its own.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The kinds without objects, which the watches keep up to date.
    #[must_use]
    pub fn empty_kinds(&self) -> &EmptyKinds {
        &self.empty_kinds
    }

    /// The kinds that the cluster does not serve, shared with the watches.
    #[must_use]
    pub fn absent(&self) -> &Absent {
        &self.absent
    }

    /// What was written last, from which the watches know their own news.
    #[must_use]
    pub fn own_writes(&self) -> &OwnWrites {
        &self.own_writes
    }

    /// The resources for which a creation found an object that is there.
    #[must_use]
    pub fn taken_names(&self) -> &TakenNames {
        &self.taken_names
    }

    fn objects(&self, kind: Kind, namespace: &str) -> Result<Objects> {
        Objects::new(&self.client, namespace, &kind.resource())
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
        let resource = ApiResource::erase::<hello_crds::HelloService>(&());
        self.named(&resource, namespace, &checked(name)?).await
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
        if self.absent.was_missing_recently(kind, Instant::now()) {
            return Ok(None);
        }
        if self.empty_kinds.contains(kind) {
            return Ok(Some(Vec::new()));
        }
        let objects = self.objects(kind, namespace)?;
        let parameters = ListParams::default().labels(selector);
        let list = async {
            match objects.list(&parameters).await {
                Err(error) if kind.provider().is_some() && optional_apis::is_absence(&error) => {
                    self.absent.mark_missing(kind, Instant::now());
                    Ok(None)
                }
                Ok(list) => {
                    self.absent.mark_served(kind);
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
        let pods = Objects::<Pod>::typed(&self.client, namespace)?;
        let parameters = ListParams::default().labels(selector);
        let list = self
            .call("list", || "Pod".into(), pods.list(&parameters))
            .await?;
        Ok(list.items)
    }

    /// Events about the object with this UID that have this reason; `None`: any.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events_about(
        &self,
        namespace: &str,
        uid: &str,
        reason: Option<&str>,
    ) -> Result<Vec<Event>> {
        let events = Objects::<Event>::typed(&self.client, namespace)?;
        let mut fields = format!("involvedObject.uid={uid}");
        if let Some(reason) = reason {
            fields.push_str(",reason=");
            fields.push_str(reason);
        }
        let parameters = ListParams::default().fields(&fields).limit(EVENTS);
        let list = self
            .call("list", || "Event".into(), events.list(&parameters))
            .await?;
        Ok(list.items)
    }

    /// One child, when it exists. It is listed by its name, which needs no right beside the one that every pass needs.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn get(&self, id: &ChildId, namespace: &str) -> Result<Option<DynamicObject>> {
        let (name, objects) = (checked(&id.name)?, self.objects(id.kind, namespace)?);
        let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
        let list = self.call("get", || id.to_string(), objects.list(&parameters));
        Ok(list.await?.items.pop())
    }

    /// The version of a Secret, without its content; `None` when there is none.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn secret_version(
        &self,
        namespace: &str,
        name: &ObjectName,
    ) -> Result<Option<String>> {
        let secrets = self.objects(Kind::Secret, namespace)?;
        let what = || format!("Secret {name}");
        let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
        let list = self.call("get", what, secrets.list_metadata(&parameters));
        let secret = list.await?.items.pop();
        Ok(secret.and_then(|secret| secret.metadata.resource_version))
    }

    /// One object that the spec names, or the resource itself, when it exists.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn named(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &ObjectName,
    ) -> Result<Option<DynamicObject>> {
        let objects = Objects::new(&self.client, namespace, resource)?;
        let what = || format!("{} {name}", resource.kind);
        self.call("get", what, objects.get_opt(name)).await
    }
}

#[cfg(test)]
mod tests;
