//! Calls about the deletion of a HelloService.

use hello_crds::HelloService;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ApiResource, Patch, PatchParams},
};
use serde_json::json;

use super::{Cluster, Objects, checked};
use crate::{
    error::Result,
    object::{names, owner::Identity},
};

impl Cluster {
    /// Gives the HelloService these finalizers, unless it is another version by now.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the resource has changed since it was read.
    pub async fn set_finalizers(
        &self,
        identity: &Identity,
        version: Option<&str>,
        finalizers: &[String],
    ) -> Result<()> {
        let resource = ApiResource::erase::<HelloService>(&());
        // A merge patch: whoever set a finalizer, such as a program that has restored the resource, it can be removed.
        let metadata =
            json!({"uid": identity.uid, "resourceVersion": version, "finalizers": finalizers});
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let parameters = PatchParams {
            field_manager: Some(names::MANAGER.into()),
            ..PatchParams::default()
        };
        let objects = Objects::new(&self.client, &identity.namespace, &resource)?;
        let name = checked(&identity.name)?;
        let what = || format!("HelloService {name}");
        let call = objects.patch(&name, &parameters, &patch);
        let object = self.call("hold", what, call).await?;
        self.own_writes.remember(&object.metadata);
        tracing::info!(
            namespace = identity.namespace,
            name = identity.name,
            write = "hold",
            kind = "HelloService",
            ?finalizers,
            "applied"
        );
        Ok(())
    }

    /// Whether a namespace is being deleted, with everything in it.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn is_terminating(&self, namespace: &str) -> Result<bool> {
        let name = checked(namespace)?;
        let api: Api<Namespace> = Api::all(self.client.clone());
        let what = || format!("Namespace {name}");
        match self.call("get", what, api.get_opt(name.as_str())).await {
            Ok(live) => Ok(live.is_none_or(|live| live.metadata.deletion_timestamp.is_some())),
            // An older role has no right to it. Creations fail in such a namespace, too.
            Err(error) if error.is_code(403) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
