//! What `build` needs from the cluster beside the spec.

mod external;
pub mod last_backup;
pub mod server;
#[cfg(test)]
mod tests;
pub mod volumes;

use std::collections::BTreeSet;

use jiff::Timestamp;

use self::{external::external_address, last_backup::LastBackup, server::LiveServer};
use crate::{
    error::Result,
    object::{
        child::{self, ChildId},
        kind::Kind,
        live::Live,
        names,
        object_name::ObjectName,
        owner::controller,
    },
    service::{
        dereference::{inputs::volumes::Volumes, observed::Observed},
        secrets::{
            address::{Address, DATABASE_PORT},
            certificates::Certificates,
            credentials::Credentials,
            given::Given,
        },
        validate::{Database, Validated},
    },
};

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
    /// Ports of the database. None where the way to it is a socket in the file system.
    pub database_ports: BTreeSet<u16>,
    /// Ports of the database for migrations and backups.
    pub direct_ports: BTreeSet<u16>,
    /// The address of an external database that is made of parts.
    pub made_address: Option<Address>,
    /// What is wrong with the Secret of the passwords, in words, while the earlier ones are used.
    pub problem: Option<String>,
    /// The volumes that exist.
    pub volumes: Volumes,
    /// UID of the CronJob of the backups, when it is the service's own.
    pub backup_schedule: Option<String>,
    /// The backup before a deletion that waits for one.
    pub last_backup: Option<LastBackup>,
    /// The backup before a change of the data's version.
    pub upgrade_backup: Option<LastBackup>,
    /// The server of a managed database.
    pub server: Option<LiveServer>,
    /// Why the address of the database or its passwords are not known, in words. What depends on it stays as it is.
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
            database_ports: [DATABASE_PORT].into(),
            direct_ports: [DATABASE_PORT].into(),
            made_address: None,
            problem: None,
            volumes: Volumes::default(),
            backup_schedule: None,
            last_backup: None,
            upgrade_backup: None,
            server: None,
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
            backup_schedule: backup_schedule(observed, service),
            last_backup: LastBackup::read(service, observed, now),
            upgrade_backup: LastBackup::before_upgrade(service, observed, now),
            server: LiveServer::read(service, &observed.children),
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
            Database::External(external) => {
                let secret = observed.database_secret.as_ref();
                let found = external_address(secret, external);
                Ok(known.with_address(&service.identity.uid, found))
            }
            Database::CloudNativePg(_) => Ok(Self {
                credentials: kept_credentials(observed, service, now)?.without_owner(),
                database_identity: living_uid(child(Kind::Cluster, names::database(instance))),
                ..known
            }),
            Database::Managed(managed) => {
                let claim = names::data_claim(instance, &managed.data_version);
                let claim = child(Kind::PersistentVolumeClaim, claim);
                let passwords = match &managed.passwords {
                    None => Passwords {
                        credentials: kept_credentials(observed, service, now)?,
                        problem: None,
                        missing: None,
                    },
                    Some(secret) => given_credentials(observed, service, secret, now)?,
                };
                Ok(Self {
                    credentials: passwords.credentials,
                    problem: passwords.problem,
                    unusable_address: passwords.missing,
                    certificates: Some(kept_certificates(observed, service, now)?),
                    database_identity: living_uid(claim),
                    ..known
                })
            }
        }
    }

    /// With the address of a database that the user runs, or why there is none.
    fn with_address(self, service_uid: &str, found: Result<external::Found, String>) -> Self {
        match found {
            // Hashes of it are public, and it may hold a password that a person chose: with the resource's UID,
            // nobody can compare them with hashes that were computed beforehand.
            Ok(found) => Self {
                database_identity: Some(child::hash(&format!("{service_uid}\n{}", found.identity))),
                database_ports: found.ports,
                direct_ports: found.direct_ports,
                made_address: found.made,
                ..self
            },
            Err(problem) => Self {
                unusable_address: Some(problem),
                ..self
            },
        }
    }

    /// When time alone makes these inputs other ones.
    #[must_use]
    pub fn next_change(&self) -> Option<Timestamp> {
        let certificates = self.certificates.as_ref().map(Certificates::next_change);
        let last_backup = self.last_backup.as_ref().or(self.upgrade_backup.as_ref());
        let retry = last_backup.and_then(|backup| backup.retry_at.filter(|_| !backup.retry));
        let changes = [certificates, self.credentials.next_change(), retry];
        changes.into_iter().flatten().min()
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

/// Passwords of the database.
struct Passwords {
    credentials: Credentials,
    /// Why the earlier ones are used, in words.
    problem: Option<String>,
    /// Why there are none, in words.
    missing: Option<String>,
}

/// The passwords in the Secret of the user's. While it is not usable, the earlier ones are used; a new service waits.
fn given_credentials(
    observed: &Observed,
    service: &Validated,
    secret: &ObjectName,
    now: Timestamp,
) -> Result<Passwords> {
    let name = names::credentials(&service.identity.name);
    let existing = observed.children.typed(&name);
    // Requests for new passwords are for generated ones.
    let kept = Credentials::keep_or_generate(existing, None, now)?;
    Ok(match Given::parse(observed.database_secret.as_ref()) {
        Ok(given) => Passwords {
            credentials: kept.given(&given, existing.is_none(), now),
            problem: None,
            missing: None,
        },
        Err(problem) => {
            let field = "spec.database.managed.credentials.secretRef";
            let problem = format!("{field}: Secret {secret} {problem}");
            let (problem, missing) = match existing {
                Some(_) => (Some(problem), None),
                None => (None, Some(problem)),
            };
            Passwords {
                credentials: kept,
                problem,
                missing,
            }
        }
    })
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

fn backup_schedule(observed: &Observed, service: &Validated) -> Option<String> {
    let id = ChildId::new(Kind::CronJob, names::backup(&service.identity.name));
    let live = observed.children.get(&id);
    living_uid(live.filter(|live| {
        controller(live.object()).is_some_and(|owner| owner.uid == service.identity.uid)
    }))
}

/// UID of an object, unless it is being deleted.
#[must_use]
pub fn living_uid(live: Option<&Live>) -> Option<String> {
    let living = live.filter(|live| !live.is_deleting())?;
    living.metadata().uid.clone()
}
