//! Children in the form in which they are applied.

use kube::Resource;
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    object::{
        child::{ChildId, Desired},
        kind::{Gate, Kind},
    },
};

/// Children ready to be applied, in the order of application.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The children.
    pub children: Vec<Desired>,
    /// Application pods wanted; `None` leaves the number to the autoscaler.
    pub replicas: Option<i32>,
    /// Application pods to start with.
    pub initial_replicas: i32,
}

impl Prepared {
    /// Every child, in the order of application.
    pub fn ids(&self) -> impl Iterator<Item = &ChildId> {
        self.children.iter().map(|child| &child.id)
    }
}

/// Collects children.
#[derive(Default)]
pub(crate) struct List(Vec<Desired>);

impl List {
    /// Adds a child with the gate of its kind.
    pub fn add<K>(&mut self, kind: Kind, object: &K) -> Result<()>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.add_gated(kind, kind.row().gate, object)
    }

    /// Adds a child when there is one.
    pub fn add_all<'a, K>(
        &mut self,
        kind: Kind,
        objects: impl IntoIterator<Item = &'a K>,
    ) -> Result<()>
    where
        K: Resource<DynamicType = ()> + Serialize + 'a,
    {
        objects
            .into_iter()
            .try_for_each(|object| self.add(kind, object))
    }

    /// Adds a child with another gate than its kind has.
    pub fn add_gated<K>(&mut self, kind: Kind, gate: Gate, object: &K) -> Result<()>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let child = Desired::new(kind, gate, object).map_err(|source| Error::Json {
            what: kind.to_string(),
            source,
        })?;
        self.0.push(child);
        Ok(())
    }

    /// Adds children of a kind without a Rust type.
    pub fn add_bodies(&mut self, kind: Kind, bodies: impl IntoIterator<Item = Value>) {
        let gate = kind.row().gate;
        let children = bodies.into_iter();
        self.0
            .extend(children.map(|body| Desired::from_body(kind, gate, body)));
    }

    /// The children in the order of application.
    pub fn sorted(self) -> Vec<Desired> {
        let mut children = self.0;
        children.sort_by(|a, b| a.id.cmp(&b.id));
        children
    }
}
