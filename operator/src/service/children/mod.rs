//! Step 3: builds every object of a service from checked types. Pure and deterministic: the same input gives
//! byte-identical output, so whether anything changed can be decided by comparison.
//!
//! A new child is a file here, its field in [`Resources`], and, for a new kind, a row in [`crate::object::kind`].

mod account;
mod app;
pub(crate) mod backup;
mod bootstrap;
mod claim;
pub(crate) mod database;
mod environment;
mod exposure;
pub(crate) mod job;
mod metadata;
pub(crate) mod migration;
mod monitoring;
pub(crate) mod network;
pub(crate) mod pod;
mod policy;
mod prepared;
mod scaling;
mod settings;

use hello_crds::HelloRestore;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use serde_json::Value;

pub use database::server::CONTAINER as SERVER;
pub use migration::{CONTAINER as MIGRATION, EXIT_UNAVAILABLE};
pub use prepared::Prepared;

use self::{database::kind::DatabaseResources, prepared::List};
use crate::{
    error::Result,
    object::kind::{Gate, Kind},
    service::{
        dereference::inputs::Inputs,
        validate::{Kept, Scaling, Validated},
    },
};

/// Every object of one service.
#[derive(Clone, Debug)]
pub struct Resources {
    service_accounts: Vec<ServiceAccount>,
    database: DatabaseResources,
    migration: Option<Job>,
    bootstrap: Option<HelloRestore>,
    deployment: Deployment,
    service: Service,
    autoscaler: Option<HorizontalPodAutoscaler>,
    disruption_budget: PodDisruptionBudget,
    network_policies: Vec<NetworkPolicy>,
    backup_volume: Option<PersistentVolumeClaim>,
    backup: Option<(Gate, CronJob)>,
    requested_backup: Option<Job>,
    last_backup: Option<Job>,
    ingress: Option<Ingress>,
    http_route: Option<Value>,
    service_monitor: Option<Value>,
    replicas: Option<i32>,
    initial_replicas: i32,
    address_is_known: bool,
}

/// Builds every object of the service.
#[must_use]
pub fn build(service: &Validated, inputs: &Inputs) -> Resources {
    let last = inputs.last_backup.as_ref();
    match last.filter(|last| last.proved.is_some()) {
        // The data goes with the resource from now on.
        Some(_) => {
            let kept = Kept::Backups;
            build_keeping(
                &Validated {
                    kept,
                    ..service.clone()
                },
                inputs,
            )
        }
        None => build_keeping(service, inputs),
    }
}

fn build_keeping(service: &Validated, inputs: &Inputs) -> Resources {
    let database = database::from_service(service, inputs);
    let database = &*database;
    let (replicas, initial_replicas) = match service.scaling {
        Scaling::Fixed(count) => (Some(count), count),
        Scaling::Auto { min, .. } => (None, min),
        Scaling::External { initial } => (None, initial),
    };
    let backup = service.backup.as_ref();
    // Before a last backup, and while the data's version changes, nothing starts the application, or another backup.
    let last = inputs.last_backup.as_ref();
    let stopped = last.is_some() || service.data.stopping().is_some();
    let (replicas, scheduled) = match stopped {
        true => (Some(0), None),
        false => (replicas, backup),
    };
    let of_upgrade = inputs.upgrade_backup.as_ref();
    let ordered = last.or(of_upgrade.filter(|_| service.data.keeps_server()));
    let identity = inputs.database_identity.as_deref();
    let migration = identity.map(|identity| migration::job(service, inputs, database, identity));
    Resources {
        service_accounts: account::accounts(service),
        database: database.resources(),
        bootstrap: service
            .bootstrap
            .as_ref()
            .map(|bootstrap| bootstrap::restore(service, bootstrap)),
        deployment: app::deployment(service, database, migration.as_ref()),
        migration,
        service: app::service(service),
        autoscaler: scaling::autoscaler(service).filter(|_| !stopped),
        disruption_budget: scaling::disruption_budget(service),
        network_policies: network::policies(service, database, inputs),
        backup_volume: backup.and_then(|backup| {
            backup::volume_claim(service, backup, inputs.volumes.backups.as_ref())
        }),
        backup: scheduled.map(|backup| {
            let gate = match backup.schedule {
                Ok(_) => Kind::CronJob.row().gate,
                Err(_) => Gate::Never,
            };
            (gate, backup::cron_job(service, database, backup))
        }),
        requested_backup: scheduled.and_then(|backup| {
            let schedule = inputs.backup_schedule.as_deref()?;
            backup::requested(service, database, backup, schedule)
        }),
        last_backup: backup
            .zip(ordered)
            .map(|(backup, last)| backup::last(service, database, backup, &last.job)),
        ingress: exposure::ingress(service),
        http_route: exposure::http_route(service),
        service_monitor: monitoring::service_monitor(service),
        replicas,
        initial_replicas,
        address_is_known: inputs.unusable_address.is_none(),
    }
}

impl Resources {
    /// Turns the typed objects into what is applied. Destructures the struct without `..`, so an object that is built
    /// but never applied does not compile.
    ///
    /// # Errors
    /// When an object does not serialize, which is a defect.
    pub fn prepare(self) -> Result<Prepared> {
        let Self {
            service_accounts,
            database,
            migration,
            bootstrap,
            deployment,
            service,
            autoscaler,
            disruption_budget,
            network_policies,
            backup_volume,
            backup,
            requested_backup,
            last_backup,
            ingress,
            http_route,
            service_monitor,
            replicas,
            initial_replicas,
            address_is_known,
        } = self;
        // Of the database's address: its port, and the Secret that pods mount.
        let with_address = |kind: Kind| match address_is_known {
            true => kind.row().gate,
            false => Gate::Never,
        };
        let mut list = List::default();
        database.add_to(&mut list, address_is_known)?;
        list.add_all(Kind::ServiceAccount, &service_accounts)?;
        list.add_all(Kind::Job, &migration)?;
        list.add_all(Kind::HelloRestore, &bootstrap)?;
        list.add(Kind::Deployment, &deployment)?;
        list.add(Kind::Service, &service)?;
        list.add_all(Kind::HorizontalPodAutoscaler, &autoscaler)?;
        list.add(Kind::PodDisruptionBudget, &disruption_budget)?;
        for policy in &network_policies {
            list.add_gated(
                Kind::NetworkPolicy,
                with_address(Kind::NetworkPolicy),
                policy,
            )?;
        }
        list.add_all(Kind::PersistentVolumeClaim, &backup_volume)?;
        if let Some((gate, cron_job)) = &backup {
            let gate = match with_address(Kind::CronJob) {
                Gate::Never => Gate::Never,
                _ => *gate,
            };
            list.add_gated(Kind::CronJob, gate, cron_job)?;
        }
        if let Some(job) = requested_backup.filter(|_| address_is_known) {
            list.add_gated(Kind::Job, Gate::Request, &job)?;
        }
        if let Some(job) = last_backup.filter(|_| address_is_known) {
            list.add_gated(Kind::Job, Gate::LastBackup, &job)?;
        }
        list.add_all(Kind::Ingress, &ingress)?;
        list.add_bodies(Kind::HTTPRoute, http_route);
        list.add_bodies(Kind::ServiceMonitor, service_monitor);
        Ok(Prepared {
            children: list.sorted(),
            replicas,
            initial_replicas,
        })
    }
}
