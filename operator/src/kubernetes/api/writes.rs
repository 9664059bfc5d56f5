//! Writes to children. Each names the UID of the object that it is for.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use serde::Serialize;
use serde_json::json;

use super::{Cluster, checked};
use crate::{
    error::{Error, Result},
    object::{
        child::{ChildId, Desired},
        key::Key,
        names,
        pod::SeenPod,
        replicas,
    },
};

/// A version that no object has: etcd counts it before the first write. Applying to an object that is there with this
/// version is a conflict, whatever its fields are; one that is not there is created.
const NO_VERSION: &str = "1";

impl Cluster {
    /// Creates an object.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when an object of that name is there.
    pub async fn create(&self, desired: &Desired, namespace: &str) -> Result<DynamicObject> {
        let mut body = desired.body.clone();
        body["metadata"]["resourceVersion"] = NO_VERSION.into();
        let manager = desired.id.kind.row().manager;
        let (parameters, patch) = (PatchParams::apply(manager), Patch::Apply(&body));
        let answer = self
            .write("create", &desired.id, namespace, &parameters, &patch)
            .await;
        // Its watch may trail behind.
        self.empty_kinds.mark_unknown(desired.id.kind);
        if answer.as_ref().is_err_and(|error| error.is_code(409))
            && let Some(instance) = body["metadata"]["labels"][names::INSTANCE_LABEL].as_str()
        {
            self.taken_names
                .insert(Key::new(namespace, names::named_by(instance)));
        }
        answer
    }

    /// Makes one write, and remembers what it left.
    async fn write<P: Serialize + Debug>(
        &self,
        verb: &'static str,
        id: &ChildId,
        namespace: &str,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<DynamicObject> {
        let objects = self.objects(id.kind, namespace)?;
        let name = checked(&id.name)?;
        let object = self
            .call(
                verb,
                || id.to_string(),
                objects.patch(&name, parameters, patch),
            )
            .await?;
        self.own_writes.remember(&object.metadata);
        Ok(object)
    }

    /// Brings the object with this UID to what is desired.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn update(
        &self,
        desired: &Desired,
        namespace: &str,
        uid: &str,
    ) -> Result<DynamicObject> {
        let mut body = desired.body.clone();
        body["metadata"]["uid"] = uid.into();
        let parameters = PatchParams::apply(desired.id.kind.row().manager).force();
        let patch = Patch::Apply(&body);
        self.write("update", &desired.id, namespace, &parameters, &patch)
            .await
    }

    /// Sets the replicas of the object with this UID, and nothing else of it.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn scale(
        &self,
        id: &ChildId,
        namespace: &str,
        uid: &str,
        replicas: i32,
    ) -> Result<DynamicObject> {
        let resource = id.kind.resource();
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": id.name, "uid": uid},
            "spec": {"replicas": replicas},
        });
        let parameters = PatchParams::apply(names::SCALE_MANAGER).force();
        let patch = Patch::Apply(&body);
        self.write("scale", id, namespace, &parameters, &patch)
            .await
    }

    /// Gives up our hold of the replicas of this object. Were the field left out of an apply instead, the API server would
    /// take its value away too. When its managers have changed since it was read, it is read once more.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn release_replicas(
        &self,
        id: &ChildId,
        namespace: &str,
        live: &DynamicObject,
    ) -> Result<DynamicObject> {
        let uid = live.uid().unwrap_or_default();
        match self.release(id, namespace, live, &uid).await {
            Err(error) if error.is_code(422) => {
                let latest = self.get(id, namespace).await?;
                let latest = latest.as_ref().unwrap_or(live);
                self.release(id, namespace, latest, &uid).await
            }
            answer => answer,
        }
    }

    async fn release(
        &self,
        id: &ChildId,
        namespace: &str,
        live: &DynamicObject,
        uid: &str,
    ) -> Result<DynamicObject> {
        let patch = replicas::release_patch(live, uid);
        let patch = serde_json::from_value(patch).map_err(|source| {
            let what = id.to_string();
            Error::Json { what, source }
        })?;
        let (parameters, patch) = (PatchParams::default(), Patch::Json::<()>(patch));
        self.write("release", id, namespace, &parameters, &patch)
            .await
    }

    /// Takes the name of the last migration off the object with this UID.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn forget_migration(
        &self,
        id: &ChildId,
        namespace: &str,
        uid: &str,
    ) -> Result<DynamicObject> {
        // A merge patch: that the name is gone already is no error.
        let annotations = json!({names::MIGRATION_ANNOTATION: null});
        let patch = Patch::Merge(json!({"metadata": {"uid": uid, "annotations": annotations}}));
        let parameters = PatchParams {
            field_manager: Some(names::MANAGER.into()),
            ..PatchParams::default()
        };
        self.write("forget", id, namespace, &parameters, &patch)
            .await
    }

    /// Deletes a pod, unless it has changed since it was seen.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer. That it is gone already is no error.
    pub async fn delete_pod(&self, pod: &SeenPod, namespace: &str) -> Result<()> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.clone()),
                resource_version: Some(pod.resource_version.clone()),
            }),
            ..DeleteParams::default()
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let what = || format!("Pod {}", pod.name);
        match self
            .call("replace", what, api.delete(&pod.name, &parameters))
            .await
        {
            Err(error) if error.is_code(404) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Deletes the object with this UID. Its kind decides whether its pods are gone before it is.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer. That it is gone already is no error.
    pub async fn delete(&self, id: &ChildId, namespace: &str, uid: &str) -> Result<()> {
        let parameters = DeleteParams {
            propagation_policy: Some(id.kind.row().deletion.clone()),
            preconditions: Some(Preconditions {
                uid: Some(uid.into()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let objects = self.objects(id.kind, namespace)?;
        let name = checked(&id.name)?;
        let answer = self
            .call(
                "delete",
                || id.to_string(),
                objects.delete(&name, &parameters),
            )
            .await;
        match answer {
            Err(error) if error.is_code(404) => Ok(()),
            other => other,
        }
    }
}
