//! Watches: they carry metadata only and report no more than "look at this resource again".
//!
//! Each kind has a watch and a back-off of its own, so one that fails delays no other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use hello_crds::HelloRestore;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Event},
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    kubernetes::{
        api::Cluster,
        empty_kinds::EmptyKinds,
        optional_apis::{self, Absent},
        own_writes::{OwnWrites, Version},
    },
    object::{key::Key, kind::Kind, names, object_name::ObjectName},
    telemetry::metrics::Metrics,
};

/// A change that concerns a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The resource.
    pub key: Key,
    /// The version of the object that changed; `None` when it cannot be one that this process has written.
    pub version: Option<Version>,
}

impl Change {
    /// A change that is not this process's own.
    #[must_use]
    pub fn foreign(key: Key) -> Self {
        Self { key, version: None }
    }
}

/// What a watch reports to the controller.
#[derive(Debug, PartialEq, Eq)]
pub enum Signal {
    /// Look at this resource.
    Changed(Change),
    /// The list of resources was read for the first time.
    Listed,
    /// A watch was interrupted: deletions may have been missed.
    Interrupted,
}

/// Longest delay before a broken watch is opened again.
const LONGEST_DELAY: Duration = Duration::from_secs(3);
const SHORTEST_DELAY: Duration = Duration::from_millis(200);

/// Below the idle time of common load balancers, which cut silent connections after four minutes.
const WATCH_SECONDS: u32 = 200;

/// Objects per page of a list: all kinds are listed at once when the operator starts, which is when it needs most memory.
const PAGE: u32 = 50;

/// Watches that run. They end when this is dropped.
#[derive(Debug)]
pub struct Watches {
    /// What they report.
    pub signals: mpsc::Receiver<Signal>,
    /// Their tasks, none of which ends while the signals are received.
    pub tasks: JoinSet<()>,
    /// What this process has written.
    pub own_writes: OwnWrites,
}

/// Starts a watch on the HelloServices, one on each kind of child, and one on the pods.
#[must_use]
pub fn start(
    resource: ApiResource,
    client: &Client,
    namespace: Option<&str>,
    metrics: &Arc<Metrics>,
    cluster: &Cluster,
) -> Watches {
    let selector = names::managed_selector();
    let mut sources = vec![(resource, None, Source::Resource(HashMap::new()))];
    for kind in Kind::ALL {
        let source = Source::Child(
            kind,
            cluster.empty_kinds().clone(),
            cluster.absent().clone(),
        );
        sources.push((kind.resource(), Some(selector.clone()), source));
    }
    let pods = ApiResource::erase::<Pod>(&());
    sources.push((pods, Some(selector), Source::Pod));
    watch(sources, client, namespace, metrics, cluster)
}

/// Starts a watch on the HelloRestores, and those on the Jobs of their steps and on the pods of these.
#[must_use]
pub fn start_restores(
    client: &Client,
    namespace: Option<&str>,
    metrics: &Arc<Metrics>,
    cluster: &Cluster,
) -> Watches {
    let restores = ApiResource::erase::<HelloRestore>(&());
    let mut sources = vec![(restores, None, Source::Resource(HashMap::new()))];
    for resource in [Kind::Job.resource(), ApiResource::erase::<Pod>(&())] {
        let selector = format!("{},{}", names::managed_selector(), names::RESTORE_LABEL);
        sources.push((resource, Some(selector), Source::Step));
    }
    watch(sources, client, namespace, metrics, cluster)
}

/// Starts a watch on each of these, on the objects that have these labels.
fn watch(
    sources: Vec<(ApiResource, Option<String>, Source)>,
    client: &Client,
    namespace: Option<&str>,
    metrics: &Arc<Metrics>,
    cluster: &Cluster,
) -> Watches {
    let (sender, signals) = mpsc::channel(256);
    let mut tasks = JoinSet::new();
    for (resource, selector, source) in sources {
        let config = watcher::Config::default()
            .timeout(WATCH_SECONDS)
            .page_size(PAGE);
        let config = match &selector {
            Some(selector) => config.labels(selector),
            None => config,
        };
        let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let (sender, metrics) = (sender.clone(), Arc::clone(metrics));
        tasks.spawn(run(api, config, source, sender, metrics));
    }
    Watches {
        signals,
        tasks,
        own_writes: cluster.own_writes().clone(),
    }
}

/// What a watched object is to the controller.
enum Source {
    /// The resource itself, with what was last seen of each: a change of its status alone is no news.
    Resource(HashMap<Key, u64>),
    /// A child of a resource. The watch also learns whether there are any, and whether there can be.
    Child(Kind, EmptyKinds, Absent),
    /// A pod of a resource.
    Pod,
    /// A Job of a restore, or a pod of one.
    Step,
}

impl Source {
    fn changed(&mut self, object: &PartialObjectMeta<DynamicObject>) -> Option<Change> {
        let key = self.key(object)?;
        match self {
            Self::Child(..) => Some(Change {
                key,
                version: Version::from_metadata(&object.metadata),
            }),
            Self::Pod | Self::Step => Some(Change::foreign(key)),
            Self::Resource(seen) => {
                let content = content(object);
                let news = seen.insert(key.clone(), content) != Some(content);
                news.then(|| Change::foreign(key))
            }
        }
    }

    /// The resource that the object concerns.
    fn key(&self, object: &PartialObjectMeta<DynamicObject>) -> Option<Key> {
        let namespace = object.namespace()?;
        if let Self::Resource(_) = self {
            return Some(Key::new(&namespace, &object.name_any()));
        }
        // Anybody may set the label. No resource can have a name that is none.
        let name = match self {
            Self::Step => object.labels().get(names::RESTORE_LABEL)?,
            _ => names::instance_of(object.labels())?,
        };
        let name = ObjectName::parse(name)?;
        Some(Key::new(&namespace, name.as_str()))
    }

    fn deleted(&mut self, object: &PartialObjectMeta<DynamicObject>) -> Option<Change> {
        let key = self.key(object)?;
        if let Self::Resource(seen) = self {
            seen.remove(&key);
        }
        Some(Change::foreign(key))
    }

    /// The kind, when the error reports that the cluster does not serve it.
    fn absence(&self, error: &watcher::Error) -> Option<(&Absent, Kind)> {
        match self {
            Self::Child(kind, _, absent) if optional_apis::is_absence_of_watched(error) => {
                Some((absent, *kind))
            }
            _ => None,
        }
    }

    /// Records whether there is nothing of this kind.
    fn count(&self, empty: bool) {
        if let Self::Child(kind, empty_kinds, ..) = self {
            if empty {
                empty_kinds.mark_empty(*kind);
            } else {
                empty_kinds.mark_unknown(*kind);
            }
        }
    }
}

/// Everything about a resource that is worth a look when it changes.
fn content(object: &PartialObjectMeta<DynamicObject>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    object.metadata.generation.hash(&mut hasher);
    object.metadata.uid.hash(&mut hasher);
    object
        .metadata
        .deletion_timestamp
        .is_some()
        .hash(&mut hasher);
    object.annotations().hash(&mut hasher);
    // The one that is set again when somebody removes it.
    let held = |name: &String| name == names::SNAPSHOT_FINALIZER;
    object.finalizers().iter().any(held).hash(&mut hasher);
    hasher.finish()
}

async fn run(
    api: Api<PartialObjectMeta<DynamicObject>>,
    config: watcher::Config,
    mut source: Source,
    sender: mpsc::Sender<Signal>,
    metrics: Arc<Metrics>,
) {
    let mut events = std::pin::pin!(watcher::watcher(api, config));
    let mut delay = SHORTEST_DELAY;
    let mut listed = false;
    let mut empty = false;
    // A watch that reports nothing ends with the receiver too: its stream is one of the connection's few.
    while let Some(event) = tokio::select! {
        event = events.next() => event,
        () = sender.closed() => None,
    } {
        empty = match &event {
            Ok(Event::Init) => true,
            Ok(Event::InitDone | Event::Delete(_)) => empty,
            Ok(Event::InitApply(_) | Event::Apply(_)) | Err(_) => false,
        };
        source.count(empty && !matches!(event, Ok(Event::Init)));
        let signal = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                delay = SHORTEST_DELAY;
                source.changed(&object).map(Signal::Changed)
            }
            Ok(Event::Delete(object)) => source.deleted(&object).map(Signal::Changed),
            Ok(Event::Init) => None,
            Ok(Event::InitDone) => {
                delay = SHORTEST_DELAY;
                let first = !std::mem::replace(&mut listed, true);
                match (&source, first) {
                    (_, false) => Some(Signal::Interrupted),
                    (Source::Resource(_), true) => Some(Signal::Listed),
                    (Source::Child(..) | Source::Pod | Source::Step, true) => None,
                }
            }
            Err(error) => {
                if let Some((absent, kind)) = source.absence(&error) {
                    absent.mark_missing(kind, Instant::now());
                    absent.until_served(kind).await;
                } else {
                    metrics.watch_errors.inc();
                    tracing::warn!(%error, "watch interrupted");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
                None
            }
        };
        if let Some(signal) = signal
            && sender.send(signal).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_childs_change_is_at_a_version_and_its_deletion_is_not() {
        let labels = json!({names::INSTANCE_LABEL: "demo"});
        let metadata = json!({"name": "demo", "namespace": "ns", "uid": "u", "resourceVersion": "7", "labels": labels});
        let object: PartialObjectMeta<DynamicObject> =
            serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let key = Key::new("ns", "demo");
        let version = Version::from_metadata(&object.metadata);
        assert!(version.is_some());
        let child = Source::Child(Kind::Service, EmptyKinds::default(), Absent::default());
        for (mut source, version) in [
            (child, version),
            (Source::Pod, None),
            (Source::Resource(HashMap::new()), None),
        ] {
            let change = |version| {
                let key = key.clone();
                Some(Change { key, version })
            };
            assert_eq!(source.changed(&object), change(version));
            assert_eq!(source.deleted(&object), change(None));
        }
    }
}
