//! Writes to the status of a resource.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::Cluster;
use crate::{error::Result, object::names};

impl Cluster {
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
        let resource = ApiResource::erase::<hello_crds::HelloService>(&());
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

/// A resource with this status, and only that.
fn status_of(name: &str, uid: &str, status: &Value) -> Value {
    let resource = ApiResource::erase::<hello_crds::HelloService>(&());
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "uid": uid},
        "status": status,
    })
}
