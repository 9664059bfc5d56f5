//! The volumes that exist. What the spec wants of a volume is judged against what its claim has: a volume never shrinks,
//! and its class never changes.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec},
};
use kube::ResourceExt;

use crate::{
    object::{child::ChildId, kind::Kind, live::LiveObjects, names, quantity::Quantity},
    service::validate::{self, Database, Validated},
};

/// The volumes of a service that exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volumes {
    /// That of the data.
    pub data: Option<Existing>,
    /// That of the backups.
    pub backups: Option<Existing>,
    /// What the StatefulSet makes claims of.
    pub template: Option<Template>,
}

/// A claim, or what CloudNativePG makes claims of.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing {
    /// What it asks for.
    pub asked: Quantity,
    /// What it has; `None` until there is a volume.
    pub has: Option<Quantity>,
    /// Its class.
    pub class: Option<String>,
    /// The class that the operator gave to it. One that the API server chose is not the operator's to keep.
    pub given_class: Option<String>,
}

/// What a StatefulSet makes claims of. It cannot change.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Size of a new claim.
    pub size: Quantity,
    /// Class of a new claim.
    pub class: Option<String>,
    /// Labels of a new claim.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of a new claim.
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Volumes {
    /// Reads them from the live objects.
    #[must_use]
    pub fn read(service: &Validated, live: &LiveObjects) -> Self {
        let instance = &service.identity.name;
        let claim = |name: String| live.typed(&name).and_then(Existing::from_claim);
        Self {
            data: match &service.database {
                Database::Managed(managed) => {
                    claim(names::data_claim(instance, &managed.data_version))
                }
                Database::CloudNativePg(_) => Existing::from_cluster(live, instance),
                Database::External(_) => None,
            },
            backups: claim(names::backup(instance)),
            template: live
                .typed(&names::database(instance))
                .and_then(Template::from_stateful_set),
        }
    }
}

impl Existing {
    /// From a claim; `None` when it asks for nothing that can be compared.
    #[must_use]
    pub fn from_claim(claim: &PersistentVolumeClaim) -> Option<Self> {
        let spec = claim.spec.as_ref()?;
        let status = claim.status.as_ref();
        let bound = status.filter(|status| status.phase.as_deref() == Some("Bound"));
        let capacity = bound.and_then(|status| status.capacity.as_ref()?.get("storage"));
        let given = claim.managed_fields().iter().any(|entry| {
            let fields = entry.fields_v1.as_ref().map(|fields| &fields.0["f:spec"]);
            entry.manager.as_deref() == Some(names::MANAGER)
                && fields.is_some_and(|spec| spec.get("f:storageClassName").is_some())
        });
        Some(Self {
            asked: request(spec)?,
            has: capacity.and_then(|size| Quantity::parse(&size.0)),
            class: spec.storage_class_name.clone(),
            given_class: spec.storage_class_name.clone().filter(|_| given),
        })
    }

    /// CloudNativePG never takes back a size, and gives a changed class to new servers.
    fn from_cluster(live: &LiveObjects, instance: &str) -> Option<Self> {
        let cluster = live.get(&ChildId::new(Kind::Cluster, names::database(instance)))?;
        let size = Quantity::parse(cluster.object().data["spec"]["storage"]["size"].as_str()?)?;
        Some(Self {
            has: Some(size.clone()),
            asked: size,
            class: None,
            given_class: None,
        })
    }
}

impl Template {
    fn from_stateful_set(set: &StatefulSet) -> Option<Self> {
        let templates = set.spec.as_ref()?.volume_claim_templates.as_ref()?;
        let template = templates.first()?;
        let spec = template.spec.as_ref()?;
        Some(Self {
            size: request(spec)?,
            class: spec.storage_class_name.clone(),
            labels: template.metadata.labels.clone(),
            annotations: template.metadata.annotations.clone(),
        })
    }
}

fn request(spec: &PersistentVolumeClaimSpec) -> Option<Quantity> {
    let requests = spec.resources.as_ref()?.requests.as_ref()?;
    Quantity::parse(&requests.get("storage")?.0)
}

/// The size to ask for. Until there is a volume, a claim cannot change. After that it grows; and a growth that has not
/// happened can be taken back, but only to more than the volume has.
#[must_use]
pub fn size<'a>(existing: Option<&'a Existing>, wanted: &'a validate::Volume) -> &'a str {
    let wanted = &wanted.size;
    let kept = existing.filter(|existing| match &existing.has {
        None => true,
        Some(has) => *wanted < existing.asked && wanted <= has,
    });
    kept.map_or(wanted, |existing| &existing.asked).as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::live::Live;

    fn claim(asked: &str, has: Option<&str>) -> PersistentVolumeClaim {
        let status = has.map_or(
            json!({"phase": "Pending"}),
            |has| json!({"phase": "Bound", "capacity": {"storage": has}}),
        );
        let resources = json!({"requests": {"storage": asked}});
        let claim =
            json!({"spec": {"resources": resources, "storageClassName": "a"}, "status": status});
        serde_json::from_value(claim).unwrap()
    }

    fn wanted(size: &str) -> validate::Volume {
        validate::Volume {
            field: "spec.x",
            size: Quantity::parse(size).unwrap(),
            storage_class: None,
        }
    }

    #[test]
    fn a_size_is_judged_against_what_the_claim_has() {
        for (asked, has, given, expected) in [
            // It grows.
            ("1Gi", Some("1Gi"), "2Gi", "2Gi"),
            ("1Gi", Some("5Gi"), "2Gi", "2Gi"),
            ("1Gi", Some("1Gi"), "1Gi", "1Gi"),
            ("1Gi", Some("1Gi"), "1024Mi", "1024Mi"),
            // It does not shrink.
            ("10Gi", Some("10Gi"), "1Gi", "10Gi"),
            ("10Gi", Some("12Gi"), "11Gi", "11Gi"),
            // A growth that has not happened is taken back as far as the API server lets.
            ("3Gi", Some("1Gi"), "2Gi", "2Gi"),
            ("2Gi", Some("1Gi"), "1Gi", "2Gi"),
            ("2Gi", Some("1Gi"), "1073741825", "1073741825"),
            ("3Gi", Some("2Gi"), "1Gi", "3Gi"),
            // Without a volume nothing can change.
            ("10Gi", None, "1Gi", "10Gi"),
            ("1Gi", None, "2Gi", "1Gi"),
        ] {
            let existing = Existing::from_claim(&claim(asked, has));
            let given = wanted(given);
            let found = size(existing.as_ref(), &given);
            assert_eq!(found, expected, "{asked} {has:?} {given:?}");
        }
        assert_eq!(size(None, &wanted("3Gi")), "3Gi");
    }

    #[test]
    fn a_claim_that_asks_for_nothing_is_none() {
        let mut claim = claim("1Gi", Some("1Gi"));
        for asked in [json!("-1Gi"), json!(""), json!("1Gi1"), Value::Null] {
            let requests = json!({"requests": {"storage": asked}});
            claim.spec.as_mut().unwrap().resources = serde_json::from_value(requests).ok();
            assert_eq!(Existing::from_claim(&claim), None, "{asked}");
        }
        assert_eq!(
            Existing::from_claim(&PersistentVolumeClaim::default()),
            None
        );
    }

    #[test]
    fn only_a_class_that_the_operator_gave_is_its_to_keep() {
        for (manager, given) in [(names::MANAGER, true), ("kube-apiserver", false)] {
            let mut claim = claim("1Gi", None);
            let fields = json!([{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1",
                "apiVersion": "v1", "fieldsV1": {"f:spec": {"f:storageClassName": {}}}}]);
            claim.metadata.managed_fields = serde_json::from_value(fields).unwrap();
            let existing = Existing::from_claim(&claim).unwrap();
            assert_eq!(existing.class.as_deref(), Some("a"));
            assert_eq!(existing.given_class.is_some(), given, "{manager}");
        }
    }

    #[test]
    fn a_template_and_a_cluster_have_their_sizes() {
        let resources = json!({"requests": {"storage": "3Gi"}});
        let template = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"resources": resources, "storageClassName": "a"}});
        let set = json!({"metadata": {"name": "demo-db"}, "spec": {"selector": {}, "serviceName": "",
            "template": {}, "volumeClaimTemplates": [template]}});
        let cluster =
            json!({"metadata": {"name": "demo-db"}, "spec": {"storage": {"size": "3Gi"}}});
        let mut live = LiveObjects::default();
        for (kind, object) in [(Kind::StatefulSet, set), (Kind::Cluster, cluster)] {
            let object = Live::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
            live.insert(ChildId::new(kind, "demo-db"), object);
        }
        let template = live.typed("demo-db").and_then(Template::from_stateful_set);
        let expected = Template {
            size: Quantity::parse("3Gi").unwrap(),
            class: Some("a".into()),
            labels: Some([("a".into(), "b".into())].into()),
            annotations: None,
        };
        assert_eq!(template, Some(expected));
        let existing = Existing::from_cluster(&live, "demo");
        assert_eq!(size(existing.as_ref(), &wanted("1Gi")), "3Gi");
        assert_eq!(size(existing.as_ref(), &wanted("4Gi")), "4Gi");
    }
}
