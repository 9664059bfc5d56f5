//! A pod to act on.

/// A pod exactly as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version: when it has changed since, it is left alone.
    pub resource_version: String,
}
