//! Calls about HelloRestores.

use hello_crds::HelloRestore;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;

use super::{Cluster, Objects, checked};
use crate::{
    error::Result,
    object::{names, owner::Identity},
};

impl Cluster {
    /// One HelloRestore as plain JSON: it may not parse.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn restore(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>> {
        let resource = ApiResource::erase::<HelloRestore>(&());
        self.named(&resource, namespace, &checked(name)?).await
    }

    /// Every HelloRestore of a namespace, as plain JSON.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn restores(&self, namespace: &str) -> Result<Vec<DynamicObject>> {
        let resource = ApiResource::erase::<HelloRestore>(&());
        let objects = Objects::new(&self.client, namespace, &resource)?;
        let what = || resource.kind.clone();
        let parameters = ListParams::default();
        let list = self.call("list", what, objects.list(&parameters));
        Ok(list.await?.items)
    }

    /// Makes the deletion of the HelloRestore with this UID wait for the operator, or not any more.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the resource is another one by now.
    pub async fn hold_restore(&self, identity: &Identity, hold: bool) -> Result<()> {
        let resource = ApiResource::erase::<HelloRestore>(&());
        let finalizers = match hold {
            true => vec![names::RESTORE_FINALIZER],
            false => vec![],
        };
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": identity.name, "uid": identity.uid, "finalizers": finalizers},
        });
        let objects = Objects::new(&self.client, &identity.namespace, &resource)?;
        let name = checked(&identity.name)?;
        let (parameters, patch) = (PatchParams::apply(names::MANAGER), Patch::Apply(body));
        let what = || format!("HelloRestore {name}");
        let call = objects.patch(&name, &parameters, &patch);
        self.call("hold", what, call).await.map(|_| ())
    }
}
