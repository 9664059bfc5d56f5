//! Live objects of children: as they were read, and in their own types where Kubernetes has one.
//!
//! The comparison with what is wanted needs every field, so it works on plain JSON. Whoever reads single fields works on
//! the type. A kind of other software has no type here.

use std::collections::BTreeMap;

use hello_crds::HelloRestore;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    ResourceExt,
    api::{DynamicObject, ObjectMeta},
};

use crate::object::{child::ChildId, kind::Kind};

/// A kind whose live objects are read in their own type.
pub trait TypedChild: Sized {
    /// The kind.
    const KIND: Kind;

    /// The object in this type; `None` when it is of another kind.
    fn from_live(live: &Live) -> Option<&Self>;
}

/// One live object.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    object: DynamicObject,
    content: Content,
}

impl Live {
    /// The object of a child as the API server returned it.
    ///
    /// # Errors
    /// When it does not parse as its kind.
    pub fn parse(kind: Kind, object: DynamicObject) -> Result<Self, serde_json::Error> {
        let content = Content::parse(kind, &object)?;
        Ok(Self { object, content })
    }

    /// The object as plain JSON.
    #[must_use]
    pub fn object(&self) -> &DynamicObject {
        &self.object
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        &self.object.metadata
    }

    /// Its UID; empty when the API server gave none.
    #[must_use]
    pub fn uid(&self) -> String {
        self.object.uid().unwrap_or_default()
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }
}

/// Defines the types of live objects from the list of the kinds that have one.
macro_rules! typed {
    ($($kind:ident,)+) => {
        #[derive(Clone, Debug, PartialEq)]
        enum Content {
            $($kind(Box<$kind>),)+
            Untyped,
        }

        impl Content {
            fn parse(kind: Kind, object: &DynamicObject) -> Result<Self, serde_json::Error> {
                Ok(match kind {
                    $(Kind::$kind => {
                        let value = serde_json::to_value(object)?;
                        Self::$kind(serde_json::from_value(value)?)
                    })+
                    _ => Self::Untyped,
                })
            }
        }

        $(impl TypedChild for $kind {
            const KIND: Kind = Kind::$kind;

            fn from_live(live: &Live) -> Option<&Self> {
                match &live.content {
                    Content::$kind(typed) => Some(typed),
                    _ => None,
                }
            }
        })+
    };
}

typed! {
    Secret,
    PersistentVolumeClaim,
    StatefulSet,
    Job,
    HelloRestore,
    Deployment,
    HorizontalPodAutoscaler,
    CronJob,
}

/// The live objects of one service.
#[derive(Clone, Debug, Default)]
pub struct LiveObjects(BTreeMap<ChildId, Live>);

impl LiveObjects {
    /// The object of a child.
    #[must_use]
    pub fn get(&self, id: &ChildId) -> Option<&Live> {
        self.0.get(id)
    }

    /// The object of this name in its own type.
    #[must_use]
    pub fn typed<K: TypedChild>(&self, name: &str) -> Option<&K> {
        K::from_live(self.get(&ChildId::new(K::KIND, name))?)
    }

    /// Every object of a kind in its own type.
    pub fn all<K: TypedChild + 'static>(&self) -> impl Iterator<Item = &K> {
        self.0.values().filter_map(K::from_live)
    }

    /// Every object with its child.
    pub fn iter(&self) -> impl Iterator<Item = (&ChildId, &Live)> {
        self.0.iter()
    }

    /// The object of a child is this one now.
    pub fn insert(&mut self, id: ChildId, live: Live) {
        self.0.insert(id, live);
    }

    /// The object of a child is gone.
    pub fn remove(&mut self, id: &ChildId) {
        self.0.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_object_is_read_in_the_type_of_its_kind() {
        // Items of a list carry no type.
        let body = json!({"metadata": {"name": "demo", "uid": "u"}, "spec": {"replicas": 3}});
        let mut all = LiveObjects::default();
        for kind in [Kind::Deployment, Kind::Ingress] {
            let live = Live::parse(kind, object(body.clone())).unwrap();
            all.insert(ChildId::new(kind, "demo"), live);
        }
        let deployment: &Deployment = all.typed("demo").unwrap();
        assert_eq!(deployment.spec.as_ref().unwrap().replicas, Some(3));
        assert!(all.typed::<StatefulSet>("demo").is_none());
        assert!(all.typed::<Deployment>("other").is_none());
        let ingress = all.get(&ChildId::new(Kind::Ingress, "demo")).unwrap();
        assert_eq!(ingress.object().data["spec"]["replicas"], 3);
        assert!(Deployment::from_live(ingress).is_none());
    }

    #[test]
    fn an_object_that_is_not_of_its_type_is_an_error() {
        let body = json!({"metadata": {"name": "demo"}, "spec": {"replicas": "many"}});
        assert!(Live::parse(Kind::Deployment, object(body.clone())).is_err());
        assert!(Live::parse(Kind::HTTPRoute, object(body)).is_ok());
    }
}
