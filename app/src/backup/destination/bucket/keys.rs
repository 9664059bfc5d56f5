//! The keys of a store.

use crate::secret::Secret;

/// What a request is signed with.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The access key's ID.
    pub id: Secret,
    /// The access key.
    pub secret: Secret,
    /// Without which temporary keys are not accepted.
    pub token: Option<Secret>,
}
