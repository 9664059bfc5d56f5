//! Every version that a resource has had, as a watch reports them.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
};
use tokio::task::JoinHandle;

use crate::world::{World, eventually};

/// Repeats a request while the API server is busy with a definition that has just been installed.
async fn answered<T, F: Future<Output = kube::Result<T>>>(ask: impl Fn() -> F) -> T {
    eventually("an answer of the watch cache", || async {
        match ask().await {
            Err(kube::Error::Api(status)) if status.code == 429 => None,
            answer => Some(answer.unwrap()),
        }
    })
    .await
}

/// Watches again where a watch ended: the API server ends it when a definition changes.
async fn collect(api: Api<DynamicObject>, mut from: String, sink: Arc<Mutex<Vec<DynamicObject>>>) {
    loop {
        let parameters = WatchParams::default().timeout(290);
        let mut events = std::pin::pin!(answered(|| api.watch(&parameters, &from)).await);
        while let Some(event) = events.next().await {
            match event.unwrap() {
                WatchEvent::Added(object)
                | WatchEvent::Modified(object)
                | WatchEvent::Deleted(object) => {
                    from = object.resource_version().unwrap();
                    sink.lock().unwrap().push(object);
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => panic!("{status:?}"),
            }
        }
    }
}

/// Versions of the resources of one namespace; collecting ends when this is dropped.
pub struct History {
    versions: Arc<Mutex<Vec<DynamicObject>>>,
    task: JoinHandle<()>,
}

impl History {
    /// Collects from now on.
    pub async fn start(world: &World) -> Self {
        let api = world.services();
        let everything = ListParams::default();
        let list = answered(|| api.list(&everything)).await;
        let start = list.metadata.resource_version.unwrap();
        let versions = Arc::new(Mutex::new(list.items));
        let task = tokio::spawn(collect(api, start, Arc::clone(&versions)));
        Self { versions, task }
    }

    /// All versions so far.
    pub fn versions(&self) -> Vec<DynamicObject> {
        self.versions.lock().unwrap().clone()
    }

    /// Takes the versions so far, once the present one is among them.
    pub async fn take(&self, world: &World, name: &str) -> Vec<DynamicObject> {
        let now = world.services().get(name).await.unwrap().resource_version();
        eventually("the watch has reported it", || async {
            let versions = self.versions();
            let caught_up = versions.iter().any(|one| one.resource_version() == now);
            caught_up.then_some(())
        })
        .await;
        std::mem::take(&mut self.versions.lock().unwrap())
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}
