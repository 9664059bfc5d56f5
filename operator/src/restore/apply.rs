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

/// Makes the write of a plan. `children`: what the step that is started needs, its Job last.
///
/// # Errors
/// When the API server refuses it or does not answer.
pub async fn apply(
    cluster: &Cluster,
    order: &Order,
    next: Next,
    children: &[Desired],
    seen: &Seen,
) -> Result<()> {
    let identity = &order.identity;
    let namespace = &identity.namespace;
    match next {
        Next::Nothing => return Ok(()),
        Next::Start(_) if children.is_empty() => return Ok(()),
        Next::Hold => cluster.hold_restore(identity, true).await?,
        Next::Release => cluster.hold_restore(identity, false).await?,
        Next::Start(_) => {
            for child in children {
                cluster.create(child, namespace).await?;
            }
        }
        Next::Remove(step) => {
            let id = ChildId::new(Kind::Job, children::name(order, step));
            let uid = seen.jobs.get(&step).cloned().unwrap_or_default();
            cluster.delete(&id, namespace, &uid).await?;
        }
    }
    tracing::info!(namespace, name = identity.name, write = ?next, "applied to a restore");
    Ok(())
}
