//! Writes to the status of a resource.

use kube::api::{ApiResource, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Cluster, Objects, checked};
use crate::{error::Result, object::names};

/// How a status is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusPatch {
    /// Server-side apply, which also removes what is no longer reported.
    Apply,
    /// A merge patch, for a resource whose spec does not fit the schema: nothing can be applied to it.
    Merge,
}

impl Cluster {
    /// Writes the status of the resource with this UID.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the resource is another one by now.
    #[allow(clippy::too_many_arguments)] // Each is another part of one request.
    pub async fn write_status(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &Value,
        patch: StatusPatch,
    ) -> Result<()> {
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "uid": uid},
            "status": status,
        });
        let (parameters, patch) = match patch {
            StatusPatch::Apply => (
                PatchParams::apply(names::STATUS_MANAGER).force(),
                Patch::Apply(body),
            ),
            StatusPatch::Merge => (
                PatchParams {
                    field_manager: Some(names::STATUS_MANAGER.into()),
                    ..PatchParams::default()
                },
                Patch::Merge(body),
            ),
        };
        let objects = Objects::new(&self.client, namespace, resource)?;
        let target = checked(name)?;
        self.call(
            "status",
            || format!("{} {name}", resource.kind),
            objects.patch_status(&target, &parameters, &patch),
        )
        .await
        .map(|_| ())
    }
}
