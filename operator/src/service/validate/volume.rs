//! Persistent volumes.

use super::resources::quantity;
use crate::{error::Result, object::quantity::Quantity};

/// A persistent volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Its place in the spec.
    pub field: &'static str,
    /// Its size in bytes.
    pub size: Quantity,
    /// Its StorageClass, when given.
    pub storage_class: Option<String>,
}

impl Volume {
    pub(super) fn parse(field: &'static str, given: &hello_crds::Volume) -> Result<Self> {
        Ok(Self {
            field,
            size: quantity(&format!("{field}.size"), &given.size)?,
            storage_class: given.storage_class_name.clone(),
        })
    }
}
