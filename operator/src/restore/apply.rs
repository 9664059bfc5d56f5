//! Step 5: carries out what was decided. Nothing is decided here.

use crate::{
    error::Result,
    kubernetes::api::Cluster,
    object::{
        child::{ChildId, Desired},
        kind::Kind,
    },
    restore::{children, dereference::Seen, plan::planner::Next, validate::Order},
};

/// Makes the write of a plan. `job`: that of the step that is started.
///
/// # Errors
/// When the API server refuses it or does not answer.
pub async fn apply(
    cluster: &Cluster,
    order: &Order,
    next: Next,
    job: Option<&Desired>,
    seen: &Seen,
) -> Result<()> {
    let identity = &order.identity;
    let namespace = &identity.namespace;
    match (next, job) {
        (Next::Nothing, _) | (Next::Start(_), None) => return Ok(()),
        (Next::Hold, _) => cluster.hold_restore(identity, true).await?,
        (Next::Release, _) => cluster.hold_restore(identity, false).await?,
        (Next::Start(_), Some(job)) => {
            cluster.create(job, namespace).await?;
        }
        (Next::Remove(step), _) => {
            let id = ChildId::new(Kind::Job, children::name(order, step));
            let uid = seen.jobs.get(&step).cloned().unwrap_or_default();
            cluster.delete(&id, namespace, &uid).await?;
        }
    }
    tracing::info!(namespace, name = identity.name, write = ?next, "applied to a restore");
    Ok(())
}
