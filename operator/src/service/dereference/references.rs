//! What a spec names and the operator does not make: Secrets and ConfigMaps that pods mount.
//!
//! The kubelet does not start a pod without them and reports it in an event only, so they are looked
//! up here. They are read by name: no watch reports on them.

use std::fmt;

use k8s_openapi::api::core::v1::KeyToPath;
use kube::api::DynamicObject;

use crate::{
    object::{names::Component, object_name::ObjectName},
    service::{
        dereference::observed::Problem,
        validate::{Source, Validated},
    },
};

/// One object that a spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The field that names it.
    field: String,
    /// Its kind.
    pub source: Source,
    /// Its name; the namespace is the service's.
    pub name: ObjectName,
    /// Keys that it must have.
    keys: Vec<String>,
    /// The first part whose pods mount it.
    part: Component,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.source, self.name)
    }
}

impl Reference {
    /// This key of a Secret that a field names, for a pod that reads backups.
    #[must_use]
    pub fn to_secret(field: &str, name: ObjectName, key: &str) -> Self {
        Self {
            field: field.into(),
            source: Source::Secret,
            name,
            keys: vec![key.into()],
            part: Component::Backup,
        }
    }

    /// Whether the other one names the same keys of the same object.
    fn is_same(&self, other: &Self) -> bool {
        (self.source, &self.name, &self.keys) == (other.source, &other.name, &other.keys)
    }

    /// What keeps pods from mounting it; `None` when nothing does.
    #[must_use]
    pub fn problem(&self, live: Option<&DynamicObject>) -> Option<Problem> {
        Some(Problem {
            words: self.words(live)?,
            of_backups: self.part.is_of_backups(),
        })
    }

    fn words(&self, live: Option<&DynamicObject>) -> Option<String> {
        let Some(live) = live else {
            return Some(format!("{}: {self} does not exist", self.field));
        };
        let has = |key: &String| {
            ["data", "binaryData"]
                .iter()
                .any(|part| live.data[part].get(key).is_some())
        };
        let missing = self.keys.iter().find(|key| !has(key))?;
        Some(format!("{}: {self} has no key {missing}", self.field))
    }
}

/// Everything that pods mount and the operator does not make.
#[must_use]
pub fn of_pods(service: &Validated) -> Vec<Reference> {
    let mut references = Vec::new();
    if let Some(secret) = &service.tls {
        references.push(Reference {
            field: "spec.tls.secretName".into(),
            source: Source::Secret,
            name: secret.clone(),
            keys: vec!["tls.crt".into(), "tls.key".into()],
            part: Component::App,
        });
    }
    let issuer = service.oidc.as_ref();
    let of_issuer = issuer.and_then(|issuer| issuer.authorities.as_ref());
    let backup = service.backup.as_ref();
    let bucket = backup.and_then(|backup| backup.destination.bucket());
    let of_store = bucket.and_then(|bucket| bucket.authorities.as_ref());
    let of_issuer = of_issuer.map(|authorities| (Component::App, authorities));
    let of_store = of_store.map(|authorities| (Component::Backup, authorities));
    for (part, authorities) in of_issuer.into_iter().chain(of_store) {
        references.push(Reference {
            field: authorities.field.clone(),
            source: authorities.source,
            name: authorities.name.clone(),
            keys: vec![authorities.key.clone()],
            part,
        });
    }
    let has_pods = |part: &Component| backup.is_some() || !part.is_of_backups();
    for reference in Component::ALL
        .into_iter()
        .filter(has_pods)
        .flat_map(|part| volumes(service, part))
    {
        // A volume of all parts is one object.
        if !references.iter().any(|other| other.is_same(&reference)) {
            references.push(reference);
        }
    }
    references
}

/// What the volumes of the spec name. Variables are left to the kubelet: it reports what they lack in the pod's status.
fn volumes(service: &Validated, part: Component) -> Vec<Reference> {
    let settings = service.pods.of(part);
    let reference = |source, name: &str, items: Option<&Vec<KeyToPath>>, optional: Option<bool>| {
        if optional == Some(true) {
            return None;
        }
        let keys = items.into_iter().flatten().map(|item| item.key.clone());
        Some(Reference {
            field: format!("spec.pods.{}.volumes", part.as_str()),
            source,
            name: ObjectName::parse(name)?,
            keys: keys.collect(),
            part,
        })
    };
    let secrets = settings.volumes.iter().filter_map(|volume| {
        let secret = volume.secret.as_ref()?;
        let name = secret.secret_name.as_deref()?;
        reference(Source::Secret, name, secret.items.as_ref(), secret.optional)
    });
    let maps = settings.volumes.iter().filter_map(|volume| {
        let map = volume.config_map.as_ref()?;
        reference(
            Source::ConfigMap,
            &map.name,
            map.items.as_ref(),
            map.optional,
        )
    });
    secrets.chain(maps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn problem(data: Value) -> Option<String> {
        let reference = Reference {
            field: "spec.tls.secretName".into(),
            source: Source::Secret,
            name: ObjectName::parse("own").unwrap(),
            keys: vec!["tls.crt".into(), "tls.key".into()],
            part: Component::App,
        };
        let live = (!data.is_null()).then(|| serde_json::from_value(data).unwrap());
        let problem = reference.problem(live.as_ref())?;
        assert!(!problem.of_backups);
        Some(problem.words)
    }

    #[test]
    fn what_is_missing_is_named() {
        let secret = |data: Value| json!({"metadata": {"name": "own"}, "data": data});
        assert_eq!(
            problem(Value::Null).unwrap(),
            "spec.tls.secretName: Secret own does not exist"
        );
        for data in [json!(null), json!({}), json!({"tls.crt": "eA=="})] {
            let problem = problem(secret(data)).unwrap();
            assert!(
                problem.starts_with("spec.tls.secretName: Secret own has no key tls."),
                "{problem}"
            );
        }
        assert_eq!(
            problem(secret(json!({"tls.crt": "eA==", "tls.key": "eA=="}))),
            None
        );
        // A ConfigMap keeps what is not text elsewhere.
        let binary =
            json!({"metadata": {}, "data": {"tls.crt": "x"}, "binaryData": {"tls.key": "eA=="}});
        assert_eq!(problem(binary), None);
    }
}
