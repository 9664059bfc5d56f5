//! The server of a managed database as it is.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PodTemplateSpec};

use crate::{
    object::{data_version::DataVersion, live::LiveObjects, names},
    service::validate::Validated,
};

/// The server of a managed database that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveServer {
    /// The version of its data.
    pub version: DataVersion,
    /// What its pod is made from.
    pub template: PodTemplateSpec,
}

impl LiveServer {
    /// `None` when there is none of this service.
    #[must_use]
    pub fn read(service: &Validated, live: &LiveObjects) -> Option<Self> {
        let set = live.typed::<StatefulSet>(&names::database(&service.identity.name))?;
        let mut owners = set.metadata.owner_references.iter().flatten();
        let uid = &service.identity.uid;
        if !owners.any(|owner| owner.controller == Some(true) && owner.uid == *uid) {
            return None;
        }
        Some(Self {
            version: DataVersion::from_stateful_set(set)?,
            template: set.spec.as_ref()?.template.clone(),
        })
    }
}
