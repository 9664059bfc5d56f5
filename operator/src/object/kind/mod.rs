//! The kinds of children: one row for each, with everything the operator must know about a kind.
//!
//! A new kind is one row here, a file in `service/children/` that builds it, and its field in `Resources` there.

use std::fmt;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{PersistentVolumeClaim, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Resource,
    api::{ApiResource, PropagationPolicy},
};

use crate::object::names;

/// When a child may be written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Gate {
    /// At once.
    Always,
    /// Only when it exists already: another controller creates it.
    IfPresent,
    /// The migration: once the database is ready, or about to be, and no other migration exists.
    Migration,
    /// The restore of a backup that a service starts from: once the migration has succeeded, and never over data that has
    /// served.
    Bootstrap,
    /// Only once the migration has succeeded, and the data that the service starts from is there.
    Migrated,
    /// A backup that a person requests: once, and while neither a migration nor another backup is at work.
    Request,
    /// The backup before a deletion or a change of the data's version: once the application is stopped, and again until it is
    /// proved.
    LastBackup,
    /// Not in this pass: what it is made from is not valid, or not known. What is there stays as it is.
    Never,
}

/// Which children of another kind are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Of {
    /// Those of every part of the service. What is there for the backups alone is needed by nothing else.
    Every,
    /// Those of the same part.
    Same,
    /// Those of the database.
    Database,
}

/// What a kind does with the children of another one. While one of these is foreign, the child is held back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Its pods use them, or it refers to them.
    Uses(Kind, Of),
    /// It acts on them, whoever owns them: while one is foreign, a child that is there is deleted.
    ActsOn(Kind, Of),
}

impl Need {
    /// Kind of the other child, and which of them.
    #[must_use]
    pub const fn target(self) -> (Kind, Of) {
        match self {
            Self::Uses(kind, of) | Self::ActsOn(kind, of) => (kind, of),
        }
    }
}

/// What every pod of a client of the database uses.
const CLIENT: &[Need] = &[
    Need::Uses(Kind::ServiceAccount, Of::Every),
    Need::Uses(Kind::Secret, Of::Every),
    Need::Uses(Kind::Service, Of::Database),
    Need::Uses(Kind::Cluster, Of::Database),
];
/// What stands in front of the Service of the same part.
const FRONT: &[Need] = &[Need::ActsOn(Kind::Service, Of::Same)];

/// What the operator must know about a kind.
pub struct Row {
    api: Api,
    /// When a child of the kind may be written, unless its builder names another gate.
    pub gate: Gate,
    /// Whether it holds data. Such a child is not deleted because a field of the spec was removed.
    pub holds_data: bool,
    /// The children of other kinds that it depends on.
    pub needs: &'static [Need],
    /// Whether one that is no longer wanted stays until the resource is deleted, although it holds no data.
    pub stays: bool,
    /// The claim to which its pods write, from the name of the child; `None` where it has another name, or none.
    pub claim: Option<fn(&str) -> String>,
    /// Whether a deletion removes the pods before the child, or after it.
    pub deletion: PropagationPolicy,
    /// Whether a pass looks for it before anything is created for a new resource. Of other kinds, the creation finds out
    /// that one is there. Only kinds on whose presence no other child depends may rely on it.
    pub read_when_new: bool,
    /// Whether every pass lists it, even when its watch has seen no object of the kind. A watch may be late. Only
    /// kinds that decide about no other child may rely on it.
    pub always_listed: bool,
    /// Who applies it.
    pub manager: &'static str,
    /// Whether passes look at its managed fields. They are large, so they are dropped otherwise.
    pub keeps_managed_fields: bool,
}

/// Where the API server serves a kind.
enum Api {
    /// Part of Kubernetes.
    BuiltIn(fn() -> ApiResource),
    /// Served only where other software is installed.
    External {
        /// The software.
        provider: &'static str,
        group: &'static str,
        version: &'static str,
        plural: &'static str,
    },
}

impl Row {
    const fn new(api: Api) -> Self {
        Self {
            api,
            gate: Gate::Always,
            holds_data: false,
            needs: &[],
            stays: false,
            claim: None,
            deletion: PropagationPolicy::Background,
            read_when_new: true,
            always_listed: true,
            manager: names::MANAGER,
            keeps_managed_fields: false,
        }
    }

    /// Whether it depends on the contents of Secrets. It is not written in a pass in which the API server refused a
    /// Secret: pods must not start with passwords, nor a certificate be signed by an authority, that were not stored.
    #[must_use]
    pub fn needs_secrets(&self) -> bool {
        self.needs
            .iter()
            .any(|need| need.target().0 == Kind::Secret)
    }
}

/// The row of a kind that is part of Kubernetes.
const fn built_in<K: Resource<DynamicType = ()>>() -> Row {
    Row::new(Api::BuiltIn(|| ApiResource::erase::<K>(&())))
}

/// The row of a kind that comes with other software.
const fn external(
    provider: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
) -> Row {
    Row::new(Api::External {
        provider,
        group,
        version,
        plural,
    })
}

/// Defines [`Kind`], the list of all kinds and the lookup of rows from one table.
macro_rules! kinds {
    ($($kind:ident: $row:expr,)+) => {
        /// Kind of a child. The order is the order of application.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[allow(missing_docs)] // The names are the API's own.
        pub enum Kind {
            $($kind,)+
        }

        impl Kind {
            /// Every kind, in the order of application.
            pub const ALL: [Self; [$(Self::$kind),+].len()] = [$(Self::$kind),+];

            /// What the operator must know about this kind.
            #[must_use]
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$kind => {
                        const ROW: Row = $row;
                        &ROW
                    })+
                }
            }
        }
    };
}

// The order is the order of application: what pods mount comes before what creates pods.
kinds! {
    ServiceAccount: Row {
        read_when_new: false,
        // One of another name is that of an earlier version. Pods of an earlier template may use it, and it has no rights.
        stays: true,
        ..built_in::<ServiceAccount>()
    },
    Secret: Row {
        holds_data: true,
        needs: &[Need::Uses(Kind::Secret, Of::Every)],
        ..built_in::<Secret>()
    },
    PersistentVolumeClaim: Row {
        holds_data: true,
        keeps_managed_fields: true,
        ..built_in::<PersistentVolumeClaim>()
    },
    NetworkPolicy: Row {
        // The pods of our own are selected by our labels, those of a Cluster by its name.
        needs: &[Need::ActsOn(Kind::Cluster, Of::Same)],
        read_when_new: false,
        ..built_in::<NetworkPolicy>()
    },
    Service: Row {
        read_when_new: false,
        ..built_in::<Service>()
    },
    StatefulSet: Row {
        needs: CLIENT,
        ..built_in::<StatefulSet>()
    },
    Cluster: Row {
        holds_data: true,
        needs: &[Need::Uses(Kind::Secret, Of::Every)],
        always_listed: false,
        ..external("CloudNativePG", "postgresql.cnpg.io", "v1", "clusters")
    },
    Job: Row {
        gate: Gate::Migration,
        needs: CLIENT,
        // Its absence must mean that none of its pods runs any more.
        deletion: PropagationPolicy::Foreground,
        ..built_in::<Job>()
    },
    HelloRestore: Row {
        gate: Gate::Bootstrap,
        // Where it decides about other children, it is looked up by its name.
        always_listed: false,
        manager: names::BOOTSTRAP_MANAGER,
        // An operator may be newer than the definitions.
        ..external("its definition, which comes with the operator", hello_crds::GROUP, hello_crds::VERSION, "hellorestores")
    },
    Deployment: Row {
        gate: Gate::Migrated,
        needs: CLIENT,
        // They record who sets the number of pods.
        keeps_managed_fields: true,
        ..built_in::<Deployment>()
    },
    PodDisruptionBudget: Row {
        read_when_new: false,
        ..built_in::<PodDisruptionBudget>()
    },
    HorizontalPodAutoscaler: Row {
        read_when_new: false,
        needs: &[Need::ActsOn(Kind::Deployment, Of::Same)],
        always_listed: false,
        ..built_in::<HorizontalPodAutoscaler>()
    },
    Ingress: Row {
        read_when_new: false,
        needs: FRONT,
        always_listed: false,
        ..built_in::<Ingress>()
    },
    HTTPRoute: Row {
        needs: FRONT,
        always_listed: false,
        ..external("the Gateway API", "gateway.networking.k8s.io", "v1", "httproutes")
    },
    ServiceMonitor: Row {
        needs: FRONT,
        always_listed: false,
        ..external("the Prometheus Operator", "monitoring.coreos.com", "v1", "servicemonitors")
    },
    CronJob: Row {
        needs: CLIENT,
        claim: Some(str::to_owned),
        read_when_new: false,
        always_listed: false,
        ..built_in::<CronJob>()
    },
}

impl Kind {
    /// Where the API server serves this kind.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self.row().api {
            Api::BuiltIn(resource) => resource(),
            Api::External {
                group,
                version,
                plural,
                ..
            } => ApiResource {
                group: group.into(),
                version: version.into(),
                api_version: format!("{group}/{version}"),
                kind: self.to_string(),
                plural: plural.into(),
            },
        }
    }

    /// The software whose installation brings the API of this kind; `None` for those of every cluster.
    #[must_use]
    pub fn provider(self) -> Option<&'static str> {
        match self.row().api {
            Api::BuiltIn(_) => None,
            Api::External { provider, .. } => Some(provider),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
