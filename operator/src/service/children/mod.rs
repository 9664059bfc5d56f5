//! Step 3: every object of a service, from checked types alone. Pure and deterministic: the same
//! input gives byte-identical output, which is what makes "nothing changed" decidable.

mod app;
mod backup;
mod database;
mod environment;
mod exposure;
mod migration;
mod monitoring;
mod network;
mod pod;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        core::v1::{PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use serde_json::Value;

use crate::{
    error::{Error, Result},
    object::{
        child::Desired,
        kind::{Gate, Kind},
        names::{self, Component},
    },
    service::{
        dereference::inputs::Inputs,
        validate::{Database, Scaling, Validated},
    },
};

pub use database::{server::CONTAINER as SERVER, volume_watch};

/// Every object of one service.
#[derive(Clone, Debug)]
pub struct Resources {
    service_account: ServiceAccount,
    database: Option<DatabaseResources>,
    engine: Option<EngineResources>,
    migration: Option<Job>,
    deployment: Deployment,
    replicas: Option<i32>,
    initial_replicas: i32,
    service: Service,
    autoscaler: Option<HorizontalPodAutoscaler>,
    disruption_budget: PodDisruptionBudget,
    network_policies: Vec<NetworkPolicy>,
    backup: Option<BackupResources>,
    ingress: Option<Ingress>,
    http_route: Option<Value>,
    service_monitor: Option<Value>,
}

#[derive(Clone, Debug)]
struct DatabaseResources {
    authority: Secret,
    credentials: Secret,
    server_tls: Secret,
    service: Service,
    stateful_set: StatefulSet,
    claim: PersistentVolumeClaim,
}

#[derive(Clone, Debug)]
struct EngineResources {
    credentials: Secret,
    cluster: Value,
    network_policy: Option<NetworkPolicy>,
}

#[derive(Clone, Debug)]
struct BackupResources {
    claim: PersistentVolumeClaim,
    cron_job: CronJob,
}

/// Objects ready to be applied, in the order of application.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The objects.
    pub children: Vec<Desired>,
    /// Application pods wanted; `None` leaves the number to the autoscaler.
    pub replicas: Option<i32>,
    /// Application pods to start with.
    pub initial_replicas: i32,
}

/// Builds every object of the service.
#[must_use]
pub fn build(service: &Validated, inputs: &Inputs) -> Resources {
    let (replicas, initial_replicas) = match service.scaling {
        Scaling::Fixed(count) => (Some(count), count),
        Scaling::Auto { min, .. } => (None, min),
    };
    Resources {
        service_account: pod::service_account(service),
        database: database_resources(service, inputs),
        engine: engine_resources(service, inputs),
        migration: inputs
            .database_identity
            .as_deref()
            .map(|identity| migration::job(service, inputs, identity)),
        deployment: app::deployment(service, inputs),
        replicas,
        initial_replicas,
        service: app::service(service),
        autoscaler: app::autoscaler(service),
        disruption_budget: app::disruption_budget(service),
        network_policies: network::policies(service, inputs.database_port),
        backup: service.backup.as_ref().map(|spec| BackupResources {
            claim: backup::claim(service, spec),
            cron_job: backup::cron_job(service, spec),
        }),
        ingress: exposure::ingress(service),
        http_route: exposure::http_route(service),
        service_monitor: monitoring::service_monitor(service),
    }
}

fn database_resources(service: &Validated, inputs: &Inputs) -> Option<DatabaseResources> {
    match &service.database {
        Database::External { .. } | Database::CloudNativePg { .. } => None,
        Database::Managed {
            storage,
            resources,
            parameters,
        } => {
            let server = database::server::Server {
                service,
                inputs,
                storage,
                resources,
                parameters,
            };
            Some(DatabaseResources {
                authority: server.authority(),
                credentials: server.credentials(),
                server_tls: server.server_tls(),
                service: server.service(),
                stateful_set: server.stateful_set(),
                claim: server.claim(),
            })
        }
    }
}

fn engine_resources(service: &Validated, inputs: &Inputs) -> Option<EngineResources> {
    let Database::CloudNativePg {
        instances,
        image,
        storage,
        resources,
    } = &service.database
    else {
        return None;
    };
    let engine = database::cnpg::Engine {
        service,
        inputs,
        instances: *instances,
        image: image.as_ref(),
        storage,
        resources,
    };
    Some(EngineResources {
        credentials: engine.credentials(),
        cluster: engine.cluster(),
        network_policy: engine.network_policy(),
    })
}

impl Resources {
    /// Turns the typed objects into what is applied. Takes the struct apart without `..`, so an
    /// object that is built but never applied does not compile.
    ///
    /// # Errors
    /// When an object does not serialize, which would be a defect.
    pub fn prepare(self) -> Result<Prepared> {
        let Self {
            service_account,
            database,
            engine,
            migration,
            deployment,
            replicas,
            initial_replicas,
            service,
            autoscaler,
            disruption_budget,
            network_policies,
            backup,
            ingress,
            http_route,
            service_monitor,
        } = self;
        let mut list = List(Vec::new());
        list.add(Kind::ServiceAccount, &service_account)?;
        if let Some(DatabaseResources {
            authority,
            credentials,
            server_tls,
            service,
            stateful_set,
            claim,
        }) = database
        {
            for secret in [authority, credentials, server_tls] {
                list.add(Kind::Secret, &secret)?;
            }
            list.add(Kind::Service, &service)?;
            list.add(Kind::StatefulSet, &stateful_set)?;
            list.add_gated(Kind::PersistentVolumeClaim, Gate::IfPresent, &claim)?;
        }
        if let Some(EngineResources {
            credentials,
            cluster,
            network_policy,
        }) = engine
        {
            list.add(Kind::Secret, &credentials)?;
            list.add_body(Kind::Cluster, cluster);
            if let Some(policy) = network_policy {
                list.add(Kind::NetworkPolicy, &policy)?;
            }
        }
        if let Some(job) = migration {
            list.add(Kind::Job, &job)?;
        }
        list.add(Kind::Deployment, &deployment)?;
        list.add(Kind::Service, &service)?;
        if let Some(autoscaler) = autoscaler {
            list.add(Kind::HorizontalPodAutoscaler, &autoscaler)?;
        }
        list.add(Kind::PodDisruptionBudget, &disruption_budget)?;
        for policy in &network_policies {
            list.add(Kind::NetworkPolicy, policy)?;
        }
        if let Some(BackupResources { claim, cron_job }) = backup {
            list.add(Kind::PersistentVolumeClaim, &claim)?;
            list.add(Kind::CronJob, &cron_job)?;
        }
        if let Some(ingress) = ingress {
            list.add(Kind::Ingress, &ingress)?;
        }
        if let Some(route) = http_route {
            list.add_body(Kind::HTTPRoute, route);
        }
        if let Some(monitor) = service_monitor {
            list.add_body(Kind::ServiceMonitor, monitor);
        }
        let mut children = list.0;
        children.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Prepared {
            children,
            replicas,
            initial_replicas,
        })
    }
}

struct List(Vec<Desired>);

impl List {
    fn add<K>(&mut self, kind: Kind, object: &K) -> Result<()>
    where
        K: kube::Resource<DynamicType = ()> + serde::Serialize,
    {
        self.add_gated(kind, kind.row().gate, object)
    }

    fn add_gated<K>(&mut self, kind: Kind, gate: Gate, object: &K) -> Result<()>
    where
        K: kube::Resource<DynamicType = ()> + serde::Serialize,
    {
        let child = Desired::new(kind, gate, object).map_err(|source| Error::Json {
            what: kind.to_string(),
            source,
        })?;
        self.0.push(child);
        Ok(())
    }

    /// A kind for which there is no Rust type.
    fn add_body(&mut self, kind: Kind, body: Value) {
        self.0.push(Desired::from_body(kind, kind.row().gate, body));
    }
}

/// Metadata of an object that goes with the resource.
fn owned(service: &Validated, name: String, component: Component) -> ObjectMeta {
    let identity = &service.identity;
    ObjectMeta {
        name: Some(name),
        namespace: Some(identity.namespace.clone()),
        labels: Some(names::labels(&identity.name, component)),
        // No blockOwnerDeletion: it would need a right on finalizers and only matters for
        // foreground deletion, which must not hang on us either.
        owner_references: Some(vec![OwnerReference {
            api_version: format!("{}/v1alpha1", hello_crds::GROUP),
            kind: "HelloService".into(),
            name: identity.name.clone(),
            uid: identity.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object that holds data: it goes with the resource only when that is asked for.
fn data_owned(service: &Validated, name: String, component: Component) -> ObjectMeta {
    let mut meta = owned(service, name, component);
    if service.retain {
        meta.owner_references = None;
        meta.annotations = Some(
            [(
                names::RETAINED_ANNOTATION.to_owned(),
                service.identity.name.clone(),
            )]
            .into(),
        );
    }
    meta
}
