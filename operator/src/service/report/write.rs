//! Writes a status when it differs from the one that the resource has, then logs it and publishes the transitions.

use hello_crds::{HelloService, HelloServiceStatus};
use kube::api::ApiResource;

use crate::{
    error::{Error, Result},
    kubernetes::api::{Cluster, status::StatusPatch},
    service::{
        plan::write_reason::WriteReason,
        report::{conditions::is_ready, events::Events, subject::Subject},
    },
};

/// Writes the new status, unless the resource has it already.
///
/// # Errors
/// When the API server refuses the status or does not answer.
pub async fn write(
    cluster: &Cluster,
    events: &Events,
    subject: &Subject,
    new: &HelloServiceStatus,
    patch: StatusPatch,
) -> Result<()> {
    let identity = &subject.identity;
    if subject.status.as_ref() == Some(new) {
        return Ok(());
    }
    let value = serde_json::to_value(new).map_err(|source| Error::Json {
        what: "status".into(),
        source,
    })?;
    cluster
        .write_status(
            &ApiResource::erase::<HelloService>(&()),
            &identity.namespace,
            &identity.name,
            &identity.uid,
            &value,
            patch,
        )
        .await?;
    tracing::info!(
        namespace = identity.namespace,
        name = identity.name,
        write = "status",
        kind = "HelloService",
        object = identity.name,
        ready = is_ready(new),
        reason = %WriteReason::StatusChanged,
        "applied"
    );
    events.transitions(subject, new);
    Ok(())
}
