//! What the loop asks of whoever handles resources of one kind.

use crate::{controller::outcome::Outcome, object::key::Key};

/// Handles resources of one kind.
pub trait Reconcile: Send + Sync + 'static {
    /// Looks at a resource and does what is to be done. Every error ends in an outcome.
    fn reconcile(&self, key: &Key) -> impl Future<Output = Outcome> + Send;

    /// A look at what no watch reports, before a reconcile that nothing but time has made due. The outcome when there is
    /// nothing to do; `None`: reconcile.
    fn look(&self, key: &Key) -> impl Future<Output = Option<Outcome>> + Send {
        let _ = key;
        std::future::ready(None)
    }

    /// Reports that reconciling a resource panicked, with the message of the panic.
    fn report_panic(&self, key: &Key, message: &str) -> impl Future<Output = ()> + Send;
}
