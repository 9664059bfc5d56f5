//! The resource that is reported on.

use hello_crds::HelloServiceStatus;
use kube::{ResourceExt, api::DynamicObject};

use crate::object::owner::Identity;

/// The resource that is reported on, as it was read. Its spec may not parse.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which resource it is.
    pub identity: Identity,
    /// The status that it has.
    pub status: Option<HelloServiceStatus>,
}

impl Subject {
    /// Reads it from metadata and status alone.
    #[must_use]
    pub fn from_object(object: &DynamicObject) -> Self {
        Self {
            identity: Identity {
                namespace: object.namespace().unwrap_or_default(),
                name: object.name_any(),
                uid: object.uid().unwrap_or_default(),
                generation: object.metadata.generation.unwrap_or_default(),
            },
            status: serde_json::from_value(object.data["status"].clone()).ok(),
        }
    }
}
