//! What `build` needs from the cluster beside the spec.

pub mod volumes;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::{
    error::Result,
    object::{
        child::{self, ChildId},
        kind::Kind,
        live::Live,
        names,
    },
    service::{
        dereference::{inputs::volumes::Volumes, observed::Observed},
        secrets::{certificates::Certificates, credentials::Credentials},
        validate::{Database, External, Validated},
    },
};

/// Port of PostgreSQL.
pub const DATABASE_PORT: u16 = 5432;

/// What `build` needs from the cluster beside the spec.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Passwords of a managed database.
    pub credentials: Credentials,
    /// Certificates of a managed database; `None` where CloudNativePG or an external server has them.
    pub certificates: Option<Certificates>,
    /// Which database it is: UID of the data's claim, or hash of an external address. `None` until
    /// it is known; there is no migration before that.
    pub database_identity: Option<String>,
    /// Port of the database.
    pub database_port: u16,
    /// The volumes that exist.
    pub volumes: Volumes,
    /// Why the address of an external database is not known, in words. What depends on it stays as it is.
    pub unusable_address: Option<String>,
}

impl Inputs {
    /// For printing objects without a cluster.
    #[must_use]
    pub fn offline() -> Self {
        Self {
            credentials: Credentials::placeholder(),
            certificates: None,
            database_identity: Some("offline".into()),
            database_port: DATABASE_PORT,
            volumes: Volumes::default(),
            unusable_address: None,
        }
    }

    /// While something is missing: placeholders, of which nothing is written.
    fn unknown() -> Self {
        Self {
            database_identity: None,
            ..Self::offline()
        }
    }

    /// For a service of which this was read.
    ///
    /// # Errors
    /// When passwords or certificates cannot be generated.
    pub fn from_observed(service: &Validated, observed: &Observed, now: Timestamp) -> Result<Self> {
        let known = Self {
            volumes: Volumes::read(service, &observed.children),
            ..Self::unknown()
        };
        let instance = &service.identity.name;
        let child = |kind, name| observed.children.get(&ChildId::new(kind, name));
        let data = service.database.data(instance);
        let mut secrets = data.iter().filter(|id| id.kind == Kind::Secret);
        if secrets.any(|id| is_foreign(observed, service, id)) {
            // The planner reports the conflict. Content of our own could not be kept, so each pass would generate
            // another one.
            return Ok(known);
        }
        match &service.database {
            Database::External(external) => Ok(
                match external_address(observed.address.as_ref(), external) {
                    // Hashes of it are public, and it may hold a password that a person chose: with the resource's UID,
                    // nobody can compare them with hashes that were computed beforehand.
                    Ok((address, port)) => Self {
                        database_identity: Some(child::hash(&format!(
                            "{}\n{address}",
                            service.identity.uid
                        ))),
                        database_port: port,
                        ..known
                    },
                    Err(problem) => Self {
                        unusable_address: Some(problem),
                        ..known
                    },
                },
            ),
            Database::CloudNativePg(_) => Ok(Self {
                credentials: kept_credentials(observed, service, now)?.without_owner(),
                database_identity: living_uid(child(Kind::Cluster, names::database(instance))),
                ..known
            }),
            Database::Managed(_) => {
                let claim = child(Kind::PersistentVolumeClaim, names::data_claim(instance));
                Ok(Self {
                    credentials: kept_credentials(observed, service, now)?,
                    certificates: Some(kept_certificates(observed, service, now)?),
                    database_identity: living_uid(claim),
                    ..known
                })
            }
        }
    }

    /// When time alone makes these inputs other ones.
    #[must_use]
    pub fn next_change(&self) -> Option<Timestamp> {
        let certificates = self.certificates.as_ref().map(Certificates::next_change);
        certificates
            .into_iter()
            .chain(self.credentials.next_change())
            .min()
    }
}

fn kept_credentials(
    observed: &Observed,
    service: &Validated,
    now: Timestamp,
) -> Result<Credentials> {
    let secret = observed
        .children
        .typed(&names::credentials(&service.identity.name));
    Credentials::keep_or_generate(secret, service.rotate.as_deref(), now)
}

/// Whether the object of this name is not the service's own.
fn is_foreign(observed: &Observed, service: &Validated, id: &ChildId) -> bool {
    let live = observed.children.get(id);
    live.is_some_and(|live| !service.identity.has(live.object()))
}

fn kept_certificates(
    observed: &Observed,
    service: &Validated,
    now: Timestamp,
) -> Result<Certificates> {
    let (instance, namespace) = (&service.identity.name, &service.identity.namespace);
    let authority = observed.children.typed(&names::authority(instance));
    let server = observed.children.typed(&names::server_tls(instance));
    let hosts = names::database_hosts(instance, namespace);
    Certificates::keep_or_issue(authority, server, &hosts, now)
}

/// UID of what holds the data, unless it is being deleted.
#[must_use]
pub fn living_uid(live: Option<&Live>) -> Option<String> {
    let living = live.filter(|live| !live.is_deleting())?;
    living.metadata().uid.clone()
}

/// Address and port of an external database, or why they are not known.
fn external_address<'a>(
    object: Option<&'a Secret>,
    external: &External,
) -> Result<(&'a str, u16), String> {
    const FIELD: &str = "spec.database.external.secretRef";
    let (secret, key) = (&external.secret, &external.key);
    let object = object.ok_or_else(|| format!("{FIELD}: Secret {secret} does not exist"))?;
    let value = |key: &str| {
        let data = object.data.as_ref();
        data.and_then(|data| data.get(key))
            .ok_or_else(|| format!("{FIELD}: Secret {secret} has no key {key}"))
    };
    external.ca_key.as_deref().map(value).transpose()?;
    let bytes = value(key)?;
    let unusable = || format!("{FIELD}: key {key} of Secret {secret} is not a postgres:// address");
    let address = std::str::from_utf8(&bytes.0)
        .map_err(|_| unusable())?
        .trim();
    let uri: http::Uri = address.parse().map_err(|_| unusable())?;
    if !matches!(uri.scheme_str(), Some("postgres" | "postgresql")) || uri.host().is_none() {
        return Err(unusable());
    }
    Ok((address, uri.port_u16().unwrap_or(DATABASE_PORT)))
}

#[cfg(test)]
mod tests;
