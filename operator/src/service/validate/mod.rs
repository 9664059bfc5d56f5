//! Step 2: turns the raw spec into checked types. Later steps never read the raw resource.
//!
//! Checked here is what the schema cannot express and what no API server checks before a pod starts: image references,
//! names of mounted Secrets, time zones. What the API server checks in one child, such as the name of a storage class, is
//! left to it: it refuses that child, and the rest of the service is still applied. A wrong schedule stops the backups alone.

mod backup;
mod bootstrap;
mod config;
mod data;
mod database;
mod deletion;
mod destination;
mod expose;
mod image;
mod issuer;
mod known_data;
mod limits;
mod names;
mod network;
mod pods;
mod resources;
mod schedule;
mod time_zone;
mod volume;

pub use backup::Backup;
pub use bootstrap::{Bootstrap, is_over};
pub use config::Config;
pub use data::Data;
pub use database::{CloudNativePg, Database, External, ExternalAddress, Managed};
pub use deletion::{Deletion, Kept};
pub use destination::{Bucket, Destination};
pub use expose::{Expose, Port};
pub use image::Image;
pub use issuer::{Authorities, Issuer, Source};
pub use known_data::KnownData;
pub use limits::{INGRESS_ANNOTATIONS, Limits};
pub use network::Network;
pub use pods::{Account, OWN_VOLUMES, PodSettings, Pods, TOOLS};
pub use resources::{Amount, Resources};
pub use schedule::Schedule;
pub use time_zone::TimeZone;
pub use volume::Volume;

use hello_crds::{
    Autoscaling, DisruptionBudget, HelloService, ImagePullPolicy, Monitoring, Probes,
};
use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscalerBehavior,
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;

use self::names::object_name;
use crate::{
    error::{Error, Result},
    object::{names::ROTATE_ANNOTATION, object_name::ObjectName, owner::Identity},
};

/// Images of resources that name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultImages {
    /// The application.
    pub app: String,
    /// PostgreSQL.
    pub postgres: String,
}

impl DefaultImages {
    /// Those that tests have.
    #[cfg(test)]
    pub(crate) fn of_tests() -> Self {
        Self {
            app: "hello-app:1".into(),
            postgres: "postgres:18".into(),
        }
    }

    /// Whether an image is a version of one of them. Any other is the choice of whoever wrote the resource.
    #[must_use]
    pub fn have_version(&self, image: &str) -> bool {
        let mut own = [&self.app, &self.postgres].into_iter();
        own.any(|own| Image::repository_of(own) == Image::repository_of(image))
    }
}

/// A checked spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Which service it is.
    pub identity: Identity,
    /// Application image.
    pub image: Image,
    /// The images that it would have without the spec.
    pub default_images: DefaultImages,
    /// Pull policy for every pod, when given.
    pub pull_policy: Option<ImagePullPolicy>,
    /// Names of registry Secrets. They are not checked: the kubelet ignores those that do not exist.
    pub pull_secrets: Vec<String>,
    /// How many application pods.
    pub scaling: Scaling,
    /// How fast the autoscaler changes the number, when given.
    pub scaling_behavior: Option<HorizontalPodAutoscalerBehavior>,
    /// How many application pods a drain may take away, when given.
    pub disruption_budget: Option<DisruptionBudget>,
    /// Timing of the application's probes.
    pub probes: Probes,
    /// Settings of the pods of each part.
    pub pods: Pods,
    /// Settings of the application.
    pub config: Config,
    /// How clients reach the service.
    pub expose: Expose,
    /// Secret with the API's certificate, when it serves TLS.
    pub tls: Option<ObjectName>,
    /// The issuer whose tokens allow writes; `None`: writes need no token.
    pub oidc: Option<Issuer>,
    /// How metrics are collected.
    pub monitoring: Monitoring,
    /// Where the data is.
    pub database: Database,
    /// Which version of it serves.
    pub data: Data,
    /// The backup that it starts from, when wanted and not over.
    pub bootstrap: Option<Bootstrap>,
    /// Backups, when wanted.
    pub backup: Option<Backup>,
    /// PostgreSQL image, also of backups that name none. The server may have [`Data::image`] instead.
    pub postgres_image: Image,
    /// Whether network policies are created.
    pub isolate: bool,
    /// What they allow beside what the service needs.
    pub network: Network,
    /// What of the data outlives the resource.
    pub kept: Kept,
    /// What its deletion does.
    pub deletion: Deletion,
    /// Whether the operator must not change children.
    pub paused: bool,
    /// Value of the annotation that asks for new passwords.
    pub rotate: Option<String>,
    /// What is known of the data that the service has had.
    pub known_data: KnownData,
}

/// How many application pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// A fixed number.
    Fixed(i32),
    /// A number that the autoscaler chooses.
    Auto {
        /// Fewest.
        min: i32,
        /// Most.
        max: i32,
        /// Target CPU use, in percent of the request.
        cpu_percent: i32,
        /// Target memory use, in percent of the request, when memory scales too.
        memory_percent: Option<i32>,
    },
    /// A number that a scaler of the user sets on the Deployment.
    External {
        /// The number of a new Deployment.
        initial: i32,
    },
}

impl Scaling {
    fn parse(replicas: i32, autoscaling: Option<&Autoscaling>) -> Result<Self> {
        let Some(auto) = autoscaling else {
            return Ok(Self::Fixed(replicas));
        };
        if auto.external {
            return Ok(Self::External {
                initial: auto.min_replicas,
            });
        }
        let max = auto
            .max_replicas
            .ok_or_else(|| Error::invalid("spec.autoscaling.maxReplicas", "is missing"))?;
        Ok(Self::Auto {
            min: auto.min_replicas,
            max,
            cpu_percent: auto.target_cpu_utilization_percentage,
            memory_percent: auto.target_memory_utilization_percentage,
        })
    }
}

/// Checks a resource.
///
/// # Errors
/// [`Error::Invalid`] that names the first wrong field.
pub fn validate(service: &HelloService, defaults: &DefaultImages) -> Result<Validated> {
    let spec = &service.spec;
    let managed = spec.database.managed.as_ref();
    let postgres = managed.and_then(|managed| managed.image.as_ref());
    let tls = spec.tls.as_ref();
    let pull_secrets = spec.image_pull_secrets.iter();
    let database = Database::parse(&spec.database)?;
    let identity = identity(service)?;
    let mut known_data = KnownData::read(service, &database);
    let deletion = Deletion::read(service)?;
    let pods = Pods::parse(spec)?;
    let field = "spec.database.managed.image";
    let postgres_image = Image::parse(field, postgres.unwrap_or(&defaults.postgres))?;
    let had_data = known_data.had.is_some();
    let data = Data::read(service, &database, had_data, &deletion, &postgres_image);
    data.check(&pods)?;
    known_data.expect(&data);
    let known = known_data.bootstrap.as_ref();
    let bootstrap = match data.restoring() {
        Some(upgrade) => Bootstrap::of_upgrade(upgrade),
        None => Bootstrap::parse(&identity, &spec.database, known),
    };
    let kept = match data.held {
        Some(_) => data.served_by.clone(),
        None => None,
    };
    Ok(Validated {
        bootstrap,
        known_data,
        database: database.with_version(&data.present),
        data,
        config: Config::parse(&spec.config)?,
        backup: spec
            .wanted_backup()
            .map(|backup| Backup::parse(&identity, service, &backup))
            .transpose()?,
        identity,
        image: Image::parse("spec.image", spec.image.as_ref().unwrap_or(&defaults.app))?,
        default_images: defaults.clone(),
        pull_policy: spec.image_pull_policy,
        pull_secrets: pull_secrets.map(|secret| secret.name.clone()).collect(),
        scaling: Scaling::parse(spec.replicas, spec.autoscaling.as_ref())?,
        scaling_behavior: spec
            .autoscaling
            .as_ref()
            .and_then(|auto| auto.behavior.clone()),
        disruption_budget: spec.disruption_budget.clone().map(numbered),
        probes: spec.probes.clone().unwrap_or_default(),
        pods,
        expose: Expose::parse(&spec.expose)?,
        tls: tls
            .map(|tls| object_name("spec.tls.secretName", &tls.secret_name))
            .transpose()?,
        oidc: spec
            .auth
            .as_ref()
            .map(|auth| Issuer::parse(&auth.oidc))
            .transpose()?,
        monitoring: spec.monitoring.clone(),
        postgres_image: kept.unwrap_or(postgres_image),
        isolate: spec.network_policy.enabled,
        network: Network::parse(&spec.network_policy)?,
        kept: deletion.kept(),
        deletion,
        paused: spec.paused,
        rotate: service.annotations().get(ROTATE_ANNOTATION).cloned(),
    })
}

/// A number in quotes is a number: the API server would read it as a percentage without its sign, and refuse it.
fn numbered(budget: DisruptionBudget) -> DisruptionBudget {
    let number = |bound: IntOrString| match &bound {
        IntOrString::String(text) => text.parse().map_or(bound, IntOrString::Int),
        IntOrString::Int(_) => bound,
    };
    DisruptionBudget {
        max_unavailable: budget.max_unavailable.map(number),
        min_available: budget.min_available.map(number),
    }
}

/// Which service a resource is.
///
/// # Errors
/// When it was not read from an API server and so has no name.
pub fn identity(service: &HelloService) -> Result<Identity> {
    let name = service.name_any();
    if name.is_empty() {
        return Err(Error::invalid("metadata.name", "is missing"));
    }
    Ok(Identity {
        namespace: service.namespace().unwrap_or_else(|| "default".to_owned()),
        name,
        uid: service.uid().unwrap_or_default(),
        generation: service.metadata.generation.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
