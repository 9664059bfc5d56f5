//! What exists for one service: plain data, as read from the API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

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
    /// What is wrong with objects that the spec names.
    pub unresolved: Vec<Problem>,
    /// What Kubernetes' controllers should have made and have not.
    pub due_pods: DuePods,
    /// Secrets of `spec.imagePullSecrets` that do not exist, when an image cannot be pulled.
    pub missing_pull_secrets: Vec<String>,
}

/// What is wrong with an object that the spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// It in words, which begin with the field.
    pub words: String,
    /// Whether nothing but the backups needs the object.
    pub of_backups: bool,
}

impl Problem {
    /// Of an object that the service needs.
    #[must_use]
    pub fn of_service(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            of_backups: false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// What Kubernetes' controllers should have made and have not: pods, Jobs of a schedule, volumes of claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuePods {
    /// Whether something comes within a moment, unless it is refused.
    pub awaited: bool,
    /// Why it does not come, by the object that waits, in the words of the API server or of the controller.
    pub refused: BTreeMap<ChildId, String>,
}
