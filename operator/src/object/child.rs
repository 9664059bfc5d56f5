//! One child of a service, as the last steps see it: plain JSON.

use std::fmt;

use kube::Resource;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::object::{
    kind::{Gate, Kind},
    names::{self, Component},
};

/// Identifies a child of a service.
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

/// One wanted object.
#[derive(Clone, PartialEq)]
pub struct Desired {
    /// Kind and name.
    pub id: ChildId,
    /// When it may be written.
    pub gate: Gate,
    /// The object as it is applied: type, metadata (with the hash annotation, unless another controller creates it), and content.
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
    /// When the object does not serialize, which is a defect.
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
        // An object of another controller is settled when our fields are: the annotation alone must not cause a write.
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

    /// The part of the service that it belongs to.
    #[must_use]
    pub fn part(&self) -> Option<Component> {
        let label = self.body["metadata"]["labels"][names::COMPONENT_LABEL].as_str()?;
        Component::from_value(label)
    }

    /// Whether it is there for the backups alone.
    #[must_use]
    pub fn is_of_backups(&self) -> bool {
        self.part().is_some_and(Component::is_of_backups)
    }
}

/// First 16 hexadecimal digits of SHA-256: enough to distinguish versions of one object.
#[must_use]
pub fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
