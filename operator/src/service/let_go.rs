//! A resource whose deletion waits for a last backup, in a namespace that is being deleted.

use kube::{ResourceExt, api::DynamicObject};

use crate::{
    error::Result,
    kubernetes::api::Cluster,
    object::{names::SNAPSHOT_FINALIZER, owner::Identity},
};

/// Whether the deletion of a resource waits, or would wait, for the operator.
pub fn is_held(live: &DynamicObject) -> bool {
    let mut finalizers = live.finalizers().iter();
    finalizers.any(|name| name == SNAPSHOT_FINALIZER)
}

/// Lets it go: nothing can be created there, and the data and the volume of the backups go with the namespace. That does not
/// depend on the spec, which may not be valid. `false`: there is no such namespace, or no deletion.
pub async fn with_its_namespace(
    cluster: &Cluster,
    live: &DynamicObject,
    identity: &Identity,
) -> Result<bool> {
    if live.metadata.deletion_timestamp.is_none()
        || !cluster.is_terminating(&identity.namespace).await?
    {
        return Ok(false);
    }
    let others = live.finalizers().iter();
    let others = others.filter(|name| *name != SNAPSHOT_FINALIZER).cloned();
    let others: Vec<String> = others.collect();
    let version = live.metadata.resource_version.as_deref();
    cluster.set_finalizers(identity, version, &others).await?;
    Ok(true)
}
