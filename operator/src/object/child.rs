//! The kinds of children, and one child as the pipeline's last steps see it: plain JSON.

use std::fmt;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{PersistentVolumeClaim, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, api::ApiResource};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::object::names;

/// Kind of a child. The order is the order of application: what pods mount comes before what makes pods.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are the API's own.
pub enum Kind {
    ServiceAccount,
    Secret,
    PersistentVolumeClaim,
    NetworkPolicy,
    Service,
    StatefulSet,
    Cluster,
    Job,
    Deployment,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
    Ingress,
    HTTPRoute,
    ServiceMonitor,
    CronJob,
}

impl Kind {
    /// Every kind, in the order of application.
    pub const ALL: [Self; 15] = [
        Self::ServiceAccount,
        Self::Secret,
        Self::PersistentVolumeClaim,
        Self::NetworkPolicy,
        Self::Service,
        Self::StatefulSet,
        Self::Cluster,
        Self::Job,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::Ingress,
        Self::HTTPRoute,
        Self::ServiceMonitor,
        Self::CronJob,
    ];

    /// Where the API serves this kind.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        match self {
            Self::ServiceAccount => of::<ServiceAccount>(),
            Self::Secret => of::<Secret>(),
            Self::PersistentVolumeClaim => of::<PersistentVolumeClaim>(),
            Self::NetworkPolicy => of::<NetworkPolicy>(),
            Self::Service => of::<Service>(),
            Self::StatefulSet => of::<StatefulSet>(),
            Self::Cluster => foreign("postgresql.cnpg.io", "v1", "Cluster", "clusters"),
            Self::Job => of::<Job>(),
            Self::Deployment => of::<Deployment>(),
            Self::PodDisruptionBudget => of::<PodDisruptionBudget>(),
            Self::HorizontalPodAutoscaler => of::<HorizontalPodAutoscaler>(),
            Self::Ingress => of::<Ingress>(),
            Self::HTTPRoute => {
                foreign("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
            }
            Self::ServiceMonitor => foreign(
                "monitoring.coreos.com",
                "v1",
                "ServiceMonitor",
                "servicemonitors",
            ),
            Self::CronJob => of::<CronJob>(),
        }
    }
}

/// A kind whose types are somebody else's.
fn foreign(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: format!("{group}/{version}"),
        kind: kind.into(),
        plural: plural.into(),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which child of a service.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChildId {
    /// Its kind.
    pub kind: Kind,
    /// Its name; the namespace is the service's.
    pub name: String,
}

impl ChildId {
    /// The child `name` of `kind`.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// When a child may be written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Gate {
    /// At once.
    Always,
    /// Only when it exists already: somebody else creates it.
    IfPresent,
    /// The migration: once the database is ready and no other migration exists.
    Migration,
    /// Only once the migration has succeeded.
    Migrated,
}

/// One wanted object.
#[derive(Clone, PartialEq)]
pub struct Desired {
    /// Which.
    pub id: ChildId,
    /// When it may be written.
    pub gate: Gate,
    /// The object as it is applied: type, metadata (with the hash annotation on what we create), and content.
    pub body: Value,
    /// Hash of the object without the annotation.
    pub hash: String,
}

impl fmt::Debug for Desired {
    /// Leaves the body out: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.hash)
    }
}

impl Desired {
    /// Turns a typed object into one that can be applied.
    ///
    /// # Errors
    /// When the object does not serialize, which would be a defect in `build`.
    pub fn new<K>(kind: Kind, gate: Gate, object: &K) -> Result<Self, serde_json::Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        Ok(Self::from_body(kind, gate, serde_json::to_value(object)?))
    }

    /// Turns a complete object, type and name included, into one that can be applied.
    #[must_use]
    pub fn from_body(kind: Kind, gate: Gate, mut body: Value) -> Self {
        let hash = hash(&body.to_string());
        // What somebody else creates is as it should be when our fields are: no write to mark it.
        if gate != Gate::IfPresent {
            body["metadata"]["annotations"][names::HASH_ANNOTATION] = hash.as_str().into();
        }
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        Self {
            id: ChildId::new(kind, name),
            gate,
            body,
            hash,
        }
    }
}

/// First 16 hexadecimal digits of SHA-256: enough to tell versions of one object apart.
#[must_use]
pub fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
