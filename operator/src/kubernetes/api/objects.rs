//! The only place where a name or a namespace gets into a URL.
//!
//! The client puts both into the path as they are: `?watch=true` or `../..` would make another request of it. Here they
//! are [`ObjectName`]s, wherever they were read.

use kube::{
    Api, Client, Resource,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, PartialObjectMeta, Patch, PatchParams,
    },
    core::{NamespaceResourceScope, ObjectList},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    object::object_name::ObjectName,
};

/// The objects of one kind in one namespace.
pub(super) struct Objects<K = DynamicObject>(Api<K>);

/// Checks a name before a call, so that nothing is sent for one that no object can have.
///
/// # Errors
/// [`Error::Invalid`] when no object can have it.
pub(super) fn checked(text: &str) -> Result<ObjectName> {
    ObjectName::parse(text).ok_or_else(|| {
        Error::invalid(
            "metadata.name",
            format!("no object can have the name {text:?}"),
        )
    })
}

fn checked_namespace(text: &str) -> Result<ObjectName> {
    ObjectName::parse(text).ok_or_else(|| {
        Error::invalid(
            "metadata.namespace",
            format!("no namespace can have the name {text:?}"),
        )
    })
}

impl Objects {
    /// Those of any kind.
    pub fn new(client: &Client, namespace: &str, resource: &ApiResource) -> Result<Self> {
        let namespace = checked_namespace(namespace)?;
        let client = client.clone();
        Ok(Self(Api::namespaced_with(
            client,
            namespace.as_str(),
            resource,
        )))
    }

    /// The metadata of objects alone: the API server sends nothing else of them.
    pub async fn list_metadata(
        &self,
        parameters: &ListParams,
    ) -> kube::Result<ObjectList<PartialObjectMeta<DynamicObject>>> {
        self.0.list_metadata(parameters).await
    }

    pub async fn patch<P: Serialize + std::fmt::Debug>(
        &self,
        name: &ObjectName,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> kube::Result<DynamicObject> {
        self.0.patch(name.as_str(), parameters, patch).await
    }

    pub async fn patch_status<P: Serialize + std::fmt::Debug>(
        &self,
        name: &ObjectName,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> kube::Result<DynamicObject> {
        self.0.patch_status(name.as_str(), parameters, patch).await
    }

    pub async fn delete(&self, name: &ObjectName, parameters: &DeleteParams) -> kube::Result<()> {
        self.0.delete(name.as_str(), parameters).await.map(|_| ())
    }
}

impl<K> Objects<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    /// Those of a kind with a type of its own.
    pub fn typed(client: &Client, namespace: &str) -> Result<Self> {
        let namespace = checked_namespace(namespace)?;
        Ok(Self(Api::namespaced(client.clone(), namespace.as_str())))
    }
}

impl<K: Clone + std::fmt::Debug + DeserializeOwned> Objects<K> {
    pub async fn get_opt(&self, name: &ObjectName) -> kube::Result<Option<K>> {
        self.0.get_opt(name.as_str()).await
    }

    pub async fn list(&self, parameters: &ListParams) -> kube::Result<ObjectList<K>> {
        self.0.list(parameters).await
    }
}
