//! Step 2: turns the raw spec into checked types. Later steps never look at the raw resource.

use std::collections::BTreeMap;

use hello_crds::{
    AppConfig, Backup, DeletionPolicy, Expose, HelloService, ImagePullPolicy, Monitoring, Oidc,
    ResourceList, Resources, Volume,
};
use kube::ResourceExt;

use crate::{
    error::{Error, Result},
    object::{names, owner::Identity},
};

/// Images to use when a resource names none.
#[derive(Clone, Debug)]
pub struct DefaultImages {
    /// The application.
    pub app: String,
    /// PostgreSQL.
    pub postgres: String,
}

/// A checked spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    /// Who the service is.
    pub identity: Identity,
    /// Application image.
    pub image: Image,
    /// Pull policy for every pod, when given.
    pub pull_policy: Option<ImagePullPolicy>,
    /// Names of registry Secrets.
    pub pull_secrets: Vec<String>,
    /// How many application pods.
    pub scaling: Scaling,
    /// Resources of the application.
    pub resources: Resources,
    /// Behaviour of the application.
    pub config: AppConfig,
    /// How the service is reached.
    pub expose: Expose,
    /// Secret with the API's certificate, when it speaks TLS.
    pub tls: Option<String>,
    /// Whose tokens allow to write, when that is limited.
    pub oidc: Option<Issuer>,
    /// How metrics are collected.
    pub monitoring: Monitoring,
    /// Where the data is.
    pub database: Database,
    /// Backups, when wanted.
    pub backup: Option<Backup>,
    /// PostgreSQL image, also of the backups.
    pub postgres_image: Image,
    /// Whether network policies are made.
    pub isolate: bool,
    /// Whether data outlives the resource.
    pub retain: bool,
    /// Whether children may be changed.
    pub paused: bool,
    /// A new value asks for new passwords.
    pub rotate: Option<String>,
}

/// An OpenID Connect issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct Issuer {
    /// What its tokens must be like.
    pub spec: Oidc,
    /// Port of its address.
    pub port: u16,
}

impl Issuer {
    fn check(spec: &Oidc) -> Result<Self> {
        let wrong = || {
            let problem = format!("{:?} is not an https:// address", spec.issuer);
            Error::invalid("spec.auth.oidc.issuer", problem)
        };
        let address: http::Uri = spec.issuer.parse().map_err(|_| wrong())?;
        if address.scheme_str() != Some("https") {
            return Err(wrong());
        }
        Ok(Self {
            spec: spec.clone(),
            port: address.port_u16().unwrap_or(443),
        })
    }
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
        /// CPU use to aim for, in percent of the request.
        cpu_percent: i32,
    },
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// A server that the operator runs.
    Managed {
        /// The volume.
        storage: Volume,
        /// Resources of the server.
        resources: Resources,
        /// Server settings.
        parameters: BTreeMap<String, String>,
    },
    /// A server that somebody else runs.
    External {
        /// Name of the Secret with the URI.
        secret: String,
        /// Key in the Secret.
        key: String,
        /// Key of the certificates by which the server is trusted.
        ca_key: Option<String>,
    },
    /// Servers that CloudNativePG runs.
    CloudNativePg {
        /// How many.
        instances: i32,
        /// Their image, when given.
        image: Option<Image>,
        /// The volume of each.
        storage: Volume,
        /// Resources of each.
        resources: Resources,
    },
}

impl Database {
    /// Whether the roles of the application and of the backups are made by the migration.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        match self {
            Self::Managed { .. } | Self::CloudNativePg { .. } => true,
            Self::External { .. } => false,
        }
    }
}

/// A container image reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(String);

impl Image {
    fn parse(field: &str, text: &str) -> Result<Self> {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b));
        if text.is_empty() || !plain || text.starts_with(['/', ':', '@', '-']) {
            return Err(Error::invalid(
                field,
                format!("{text:?} is not an image reference"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tag, or start of the digest, or `latest`.
    #[must_use]
    pub fn version_of(reference: &str) -> String {
        if let Some((_, digest)) = reference.split_once('@') {
            return digest.chars().take(19).collect();
        }
        let last = reference.rsplit('/').next().unwrap_or_default();
        last.split_once(':')
            .map_or_else(|| "latest".to_owned(), |(_, tag)| tag.to_owned())
    }
}

/// Checks a resource.
///
/// # Errors
/// [`Error::Invalid`] that names the first wrong field. Most mistakes are refused by the API server
/// already; what is left here needs more than a schema can say.
pub fn validate(service: &HelloService, defaults: &DefaultImages) -> Result<Validated> {
    let spec = &service.spec;
    let database = database(service)?;
    let postgres = spec
        .database
        .managed
        .as_ref()
        .and_then(|m| m.image.as_deref());
    check_time_zone("spec.config.timeZone", &spec.config.time_zone)?;
    if let Some(backup) = &spec.backup {
        check_time_zone("spec.backup.timeZone", &backup.time_zone)?;
    }
    let scaling = match &spec.autoscaling {
        None => Scaling::Fixed(spec.replicas),
        Some(auto) => Scaling::Auto {
            min: auto.min_replicas,
            max: auto.max_replicas,
            cpu_percent: auto.target_cpu_utilization_percentage,
        },
    };
    Ok(Validated {
        identity: identity(service)?,
        image: Image::parse("spec.image", spec.image.as_deref().unwrap_or(&defaults.app))?,
        pull_policy: spec.image_pull_policy,
        pull_secrets: spec
            .image_pull_secrets
            .iter()
            .map(|s| s.name.clone())
            .collect(),
        scaling,
        resources: with_requests(spec.resources.as_ref(), "50m", "64Mi"),
        config: spec.config.clone(),
        expose: spec.expose.clone(),
        tls: spec.tls.as_ref().map(|tls| tls.secret_name.clone()),
        oidc: spec
            .auth
            .as_ref()
            .map(|auth| Issuer::check(&auth.oidc))
            .transpose()?,
        monitoring: spec.monitoring.clone(),
        database,
        backup: spec.backup.clone(),
        postgres_image: Image::parse(
            "spec.database.managed.image",
            postgres.unwrap_or(&defaults.postgres),
        )?,
        isolate: spec.network_policy.enabled,
        retain: spec.deletion_policy == DeletionPolicy::Retain,
        paused: spec.paused,
        rotate: service.annotations().get(names::ROTATE_ANNOTATION).cloned(),
    })
}

/// Who a resource is.
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

fn database(service: &HelloService) -> Result<Database> {
    let database = &service.spec.database;
    match (
        &database.managed,
        &database.external,
        &database.cloud_native_pg,
    ) {
        (Some(managed), None, None) => Ok(Database::Managed {
            storage: managed.storage.clone(),
            resources: with_requests(managed.resources.as_ref(), "100m", "256Mi"),
            parameters: managed.parameters.clone(),
        }),
        (None, Some(external), None) => Ok(Database::External {
            secret: external.secret_ref.name.clone(),
            key: external.secret_ref.key.clone(),
            ca_key: external.secret_ref.ca_key.clone(),
        }),
        (None, None, Some(engine)) => Ok(Database::CloudNativePg {
            instances: engine.instances,
            image: engine
                .image
                .as_deref()
                .map(|image| Image::parse("spec.database.cloudNativePG.image", image))
                .transpose()?,
            storage: engine.storage.clone(),
            resources: with_requests(engine.resources.as_ref(), "100m", "256Mi"),
        }),
        _ => Err(Error::invalid(
            "spec.database",
            "needs exactly one of managed, external and cloudNativePG",
        )),
    }
}

/// Fills in requests: the autoscaler needs a CPU request and the scheduler an honest size. A limit
/// without a request is the request, as everywhere in Kubernetes.
fn with_requests(resources: Option<&Resources>, cpu: &str, memory: &str) -> Resources {
    let given = resources.cloned().unwrap_or_default();
    let requests = given.requests.unwrap_or_default();
    let limits = given.limits.clone().unwrap_or_default();
    let default = |text: &str| Some(text.to_owned());
    Resources {
        requests: Some(ResourceList {
            cpu: requests.cpu.or(limits.cpu).or_else(|| default(cpu)),
            memory: requests
                .memory
                .or(limits.memory)
                .or_else(|| default(memory)),
        }),
        limits: given.limits,
    }
}

fn check_time_zone(field: &str, name: &str) -> Result<()> {
    // The built-in list: the same answer everywhere, also where no zone files are installed.
    jiff::tz::TimeZoneDatabase::bundled()
        .get(name)
        .map(|_| ())
        .map_err(|_| Error::invalid(field, format!("{name:?} is not a known IANA time zone")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(spec: serde_json::Value) -> Result<Validated> {
        let service = serde_json::from_value(json!({
            "apiVersion": "hello.internal/v1alpha1", "kind": "HelloService",
            "metadata": {"name": "demo", "namespace": "ns", "uid": "u", "generation": 1}, "spec": spec,
        }))
        .unwrap();
        let images = DefaultImages {
            app: "hello-app:1".into(),
            postgres: "postgres:18".into(),
        };
        validate(&service, &images)
    }

    #[test]
    fn an_empty_spec_has_sane_defaults() {
        let validated = check(json!({})).unwrap();
        assert_eq!(validated.scaling, Scaling::Fixed(2));
        assert_eq!(validated.image.as_str(), "hello-app:1");
        assert!(validated.retain && validated.isolate && !validated.paused);
        let requests = validated.resources.requests.unwrap();
        assert_eq!(requests.cpu.as_deref(), Some("50m"));
    }

    #[test]
    fn wrong_values_name_their_field() {
        for (spec, field) in [
            (
                json!({"config": {"timeZone": "Mars/Olympus"}}),
                "spec.config.timeZone",
            ),
            (
                json!({"backup": {"schedule": "0 2 * * *", "timeZone": "Nope"}}),
                "spec.backup.timeZone",
            ),
            (json!({"image": "a b"}), "spec.image"),
            (json!({"database": {}}), "spec.database"),
            (
                json!({"auth": {"oidc": {"issuer": "https://a b", "audience": ["hello"]}}}),
                "spec.auth.oidc.issuer",
            ),
            (
                json!({"auth": {"oidc": {"issuer": "http://a", "audience": ["hello"]}}}),
                "spec.auth.oidc.issuer",
            ),
            (
                json!({"database": {"cloudNativePG": {"image": "a b"}}}),
                "spec.database.cloudNativePG.image",
            ),
        ] {
            let error = check(spec).unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
            assert_eq!(error.class(), crate::error::Class::Invalid);
        }
    }

    #[test]
    fn a_limit_alone_is_also_the_request() {
        let validated = check(json!({"resources": {"limits": {"cpu": "20m"}}})).unwrap();
        assert_eq!(
            validated.resources.requests.unwrap().cpu.as_deref(),
            Some("20m")
        );
    }

    #[test]
    fn the_port_of_the_issuer_is_known() {
        for (issuer, port) in [
            ("https://id.example.com", 443),
            ("https://id.example.com/realms/staff", 443),
            ("https://id.example.com:8443/", 8443),
            ("https://[2001:db8::1]:444", 444),
        ] {
            let oidc = json!({"issuer": issuer, "audience": ["hello"]});
            let validated = check(json!({"auth": {"oidc": oidc}})).unwrap();
            assert_eq!(validated.oidc.unwrap().port, port, "{issuer}");
        }
    }

    #[test]
    fn versions_are_read_from_references() {
        let version = |text| Image::version_of(text);
        assert_eq!(version("registry:5000/hello-app:1.2"), "1.2");
        assert_eq!(version("registry:5000/hello-app"), "latest");
        assert_eq!(
            version("hello@sha256:0123456789abcdef"),
            "sha256:0123456789ab"
        );
    }
}
