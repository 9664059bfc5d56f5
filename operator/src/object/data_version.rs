//! The versions of the data of a managed database.

use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;

/// A version of the data. Each has a claim of its own; `None` is the version of the first claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataVersion(pub Option<String>);

impl DataVersion {
    /// The version with this name of its volume in the pod of the server; `None` when it is that of no version.
    #[must_use]
    pub fn from_volume(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(VOLUME)?;
        match rest.strip_prefix('-') {
            None => rest.is_empty().then_some(Self(None)),
            Some(version) => Some(Self(Some(version.to_owned()))),
        }
    }

    /// The version that the server of a StatefulSet has.
    #[must_use]
    pub fn from_stateful_set(set: &StatefulSet) -> Option<Self> {
        Self::from_volume(template_of(set)?)
    }

    /// Name of its volume in the pod of the server, and of the claim template.
    #[must_use]
    pub fn volume(&self) -> String {
        match &self.0 {
            None => VOLUME.to_owned(),
            Some(version) => format!("{VOLUME}-{version}"),
        }
    }

    /// The field that asks for it, in words.
    #[must_use]
    pub fn field(&self) -> String {
        match &self.0 {
            None => "no dataVersion".into(),
            Some(version) => format!("dataVersion {version:?}"),
        }
    }

    /// The claim that a StatefulSet of this name creates for its only pod.
    #[must_use]
    pub fn claim(&self, stateful_set: &str) -> String {
        claim(&self.volume(), stateful_set)
    }
}

fn template_of(set: &StatefulSet) -> Option<&str> {
    let templates = set.spec.as_ref()?.volume_claim_templates.as_ref()?;
    templates.first()?.metadata.name.as_deref()
}

/// The claim that a StatefulSet of the operator creates for its only pod.
#[must_use]
pub fn claim_of(set: &StatefulSet) -> Option<String> {
    let name = set.metadata.name.as_deref()?;
    Some(claim(template_of(set)?, name))
}

fn claim(template: &str, stateful_set: &str) -> String {
    format!("{template}-{stateful_set}-0")
}

/// Name of the volume of the first version.
const VOLUME: &str = "data";

impl fmt::Display for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("of the first volume"),
            Some(version) => write!(f, "{version:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_name_of_its_volume() {
        for (version, volume) in [(None, "data"), (Some("18"), "data-18")] {
            let version = DataVersion(version.map(str::to_owned));
            assert_eq!(version.volume(), volume);
            assert_eq!(DataVersion::from_volume(volume), Some(version));
        }
        for other in ["", "database", "run"] {
            assert_eq!(DataVersion::from_volume(other), None, "{other}");
        }
    }
}
