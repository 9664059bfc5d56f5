//! Writes to children. Each names the UID of the object that it is for.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::json;

use super::Cluster;
use crate::{
    error::{Error, Result},
    object::{
        child::{ChildId, Desired},
        names, replicas,
    },
};

impl Cluster {
    /// Creates an object. Not forced: should another one of that name appear in between, its
    /// fields differ and the API server answers with a conflict.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer.
    pub async fn create(&self, desired: &Desired, namespace: &str) -> Result<DynamicObject> {
        let api = self.api(desired.id.kind, namespace);
        let parameters = PatchParams::apply(names::MANAGER);
        let patch = Patch::Apply(&desired.body);
        self.call(
            "create",
            || desired.id.to_string(),
            api.patch(&desired.id.name, &parameters, &patch),
        )
        .await
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
        let api = self.api(desired.id.kind, namespace);
        let mut body = desired.body.clone();
        body["metadata"]["uid"] = uid.into();
        let parameters = PatchParams::apply(names::MANAGER).force();
        self.call(
            "update",
            || desired.id.to_string(),
            api.patch(&desired.id.name, &parameters, &Patch::Apply(&body)),
        )
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
        let api = self.api(id.kind, namespace);
        self.call(
            "scale",
            || id.to_string(),
            api.patch(&id.name, &parameters, &Patch::Apply(&body)),
        )
        .await
    }

    /// Gives up our hold of the replicas of the object with this UID. Were the field left out of an
    /// apply instead, the API server would take its value away too.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer, or when the object is another one by now.
    pub async fn release_replicas(
        &self,
        id: &ChildId,
        namespace: &str,
        uid: &str,
    ) -> Result<DynamicObject> {
        let api = self.api(id.kind, namespace);
        let what = || id.to_string();
        let live = self.call("get", what, api.get(&id.name)).await?;
        let patch =
            serde_json::from_value(replicas::release_patch(&live, uid)).map_err(|source| {
                let what = id.to_string();
                Error::Json { what, source }
            })?;
        let (parameters, patch) = (PatchParams::default(), Patch::Json::<()>(patch));
        self.call("release", what, api.patch(&id.name, &parameters, &patch))
            .await
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
        let api = self.api(id.kind, namespace);
        let answer = self
            .call(
                "delete",
                || id.to_string(),
                api.delete(&id.name, &parameters),
            )
            .await;
        match answer {
            Err(error) if error.is_code(404) => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
