//! What exists for one service: plain data, as read from the API server.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, Secret};

use crate::object::{child::ChildId, kind::Kind, live::LiveObjects};

/// What exists for one service.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Objects with the service's labels, and others under a wanted name.
    pub children: LiveObjects,
    /// Names that were looked up in vain.
    pub absent: BTreeSet<ChildId>,
    /// Pods with the service's labels.
    pub pods: Vec<Pod>,
    /// Kinds that the cluster does not serve.
    pub missing: BTreeSet<Kind>,
    /// The Secret that the spec of the database names.
    pub database_secret: Option<Secret>,
    /// What is wrong with objects that the spec names, in words.
    pub unresolved: Vec<String>,
    /// Pods that are due and do not exist.
    pub due_pods: DuePods,
}

/// Pods that are due and do not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuePods {
    /// Whether an owner has no pod yet.
    pub awaited: bool,
    /// Why the API server refuses the pods of these owners, in its words.
    pub refused: BTreeMap<ChildId, String>,
}
