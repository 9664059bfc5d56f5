//! The database of a service.
//!
//! The kinds of databases differ in what the operator builds, reads and reports. Facts that follow from the spec alone
//! are methods here. What a kind builds is in `service::children::database`.

use std::collections::BTreeMap;

use hello_crds::{AddressKeys, PARAMETERS, Probes};

use super::{image::Image, names::object_name, resources::quantity, volume::Volume};
use crate::{
    error::{Error, Result},
    object::{
        child::ChildId, data_version::DataVersion, kind::Kind, names, object_name::ObjectName,
        quantity::Quantity,
    },
};

/// Where the data is.
#[derive(Clone, Debug, PartialEq)]
pub enum Database {
    /// A server that the operator runs.
    Managed(Managed),
    /// A server that the user runs.
    External(External),
    /// Servers that CloudNativePG runs.
    CloudNativePg(CloudNativePg),
}

/// A server that the operator runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Managed {
    /// The version of its data.
    pub data_version: DataVersion,
    /// The volume.
    pub storage: Volume,
    /// Size of the shared memory, when given.
    pub shared_memory: Option<Quantity>,
    /// Secret with the passwords of the roles, when the operator does not generate them.
    pub passwords: Option<ObjectName>,
    /// Timing of the probes.
    pub probes: Probes,
    /// Server settings.
    pub parameters: BTreeMap<String, String>,
}

/// A server that the user runs.
#[derive(Clone, Debug, PartialEq)]
pub struct External {
    /// Name of the Secret with the URI.
    pub secret: ObjectName,
    /// Which of its keys have the address.
    pub address: ExternalAddress,
    /// Whether the application reaches the server through a pooler that gives each transaction another connection.
    pub pooled: bool,
    /// Key of the certificate authority of the server, when given.
    pub ca_key: Option<String>,
}

/// Which keys of a Secret have the address of a server.
#[derive(Clone, Debug, PartialEq)]
pub enum ExternalAddress {
    /// One has the URI, and another one that of the same server without its pooler, when there is one.
    Uri {
        /// Key with the URI.
        key: String,
        /// Key with the URI for migrations and backups, when it is another one.
        direct: Option<String>,
    },
    /// Each has a part of it.
    Parts(AddressKeys),
}

/// Servers that CloudNativePG runs.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudNativePg {
    /// How many.
    pub instances: i32,
    /// Their image, when given.
    pub image: Option<Image>,
    /// The volume of each.
    pub storage: Volume,
}

impl Database {
    pub(super) fn parse(spec: &hello_crds::Database) -> Result<Self> {
        match (&spec.managed, &spec.external, &spec.cloud_native_pg) {
            (Some(managed), None, None) => Managed::parse(managed).map(Self::Managed),
            (None, Some(external), None) => External::parse(external).map(Self::External),
            (None, None, Some(cluster)) => CloudNativePg::parse(cluster).map(Self::CloudNativePg),
            _ => Err(Error::invalid(
                "spec.database",
                "needs exactly one of managed, external and cloudNativePG",
            )),
        }
    }

    /// The value of `status.database.kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Managed(_) => "managed",
            Self::External(_) => "external",
            Self::CloudNativePg(_) => "cloudNativePG",
        }
    }

    /// The same with this version of the data.
    pub(super) fn with_version(mut self, version: &DataVersion) -> Self {
        if let Self::Managed(managed) = &mut self {
            managed.data_version = version.clone();
        }
        self
    }

    /// Whether migrations create the roles of the application and of the backups. A database without such roles is used
    /// with one login for everything.
    #[must_use]
    pub const fn has_roles(&self) -> bool {
        match self {
            Self::Managed(_) | Self::CloudNativePg(_) => true,
            Self::External(_) => false,
        }
    }

    /// Whether a watch reports every change of what the operator reads about it. A Secret of the user's is not the
    /// operator's, so it is not watched.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.secret().is_none()
    }

    /// The Secret that the spec names: with the address of the server, or with the passwords of its roles.
    #[must_use]
    pub const fn secret(&self) -> Option<&ObjectName> {
        match self {
            Self::Managed(managed) => managed.passwords.as_ref(),
            Self::External(external) => Some(&external.secret),
            Self::CloudNativePg(_) => None,
        }
    }

    /// The claim of the volume whose use the operator reports; `None` where it knows none.
    #[must_use]
    pub fn volume_claim(&self, instance: &str) -> Option<String> {
        match self {
            Self::Managed(managed) => Some(names::data_claim(instance, &managed.data_version)),
            Self::CloudNativePg(_) | Self::External(_) => None,
        }
    }

    /// The child that runs the servers of the service `instance`; `None` when the operator runs none.
    #[must_use]
    pub fn servers(&self, instance: &str) -> Option<ChildId> {
        let kind = match self {
            Self::Managed(_) => Kind::StatefulSet,
            Self::CloudNativePg(_) => Kind::Cluster,
            Self::External(_) => return None,
        };
        Some(ChildId::new(kind, names::database(instance)))
    }

    /// The children that hold the data of the service `instance`, and the Secrets without which it cannot be used.
    #[must_use]
    pub fn data(&self, instance: &str) -> Vec<ChildId> {
        let secret = |name| ChildId::new(Kind::Secret, name);
        let credentials = secret(names::credentials(instance));
        let mut data = match self {
            Self::Managed(_) => vec![
                secret(names::authority(instance)),
                credentials,
                secret(names::server_tls(instance)),
            ],
            Self::CloudNativePg(_) => vec![credentials],
            Self::External(_) => vec![],
        };
        let claim = self.volume_claim(instance);
        data.extend(claim.map(|name| ChildId::new(Kind::PersistentVolumeClaim, name)));
        data.extend(self.servers(instance));
        data
    }
}

impl Managed {
    fn parse(spec: &hello_crds::ManagedDatabase) -> Result<Self> {
        const FIELD: &str = "spec.database.managed";
        Ok(Self {
            data_version: DataVersion(spec.data_version.clone()),
            storage: Volume::parse("spec.database.managed.storage", &spec.storage)?,
            shared_memory: spec
                .shared_memory
                .as_ref()
                .map(|size| quantity(&format!("{FIELD}.sharedMemory"), size))
                .transpose()?,
            passwords: spec
                .credentials
                .as_ref()
                .map(|given| {
                    let field = format!("{FIELD}.credentials.secretRef.name");
                    object_name(&field, &given.secret_ref.name)
                })
                .transpose()?,
            probes: spec.probes.clone().unwrap_or_default(),
            parameters: parameters(&spec.parameters)?,
        })
    }
}

/// The settings of a server. A resource may have been stored before the schema had the list.
fn parameters(given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut names = given.keys();
    match names.find(|name| !PARAMETERS.contains(&name.as_str())) {
        None => Ok(given.clone()),
        Some(name) => Err(Error::invalid(
            "spec.database.managed.parameters",
            format!(
                "{name:?} is not allowed: remove it; docs/use.md lists the settings that neither run commands, nor \
                load libraries, nor name files"
            ),
        )),
    }
}

impl External {
    fn parse(spec: &hello_crds::ExternalDatabase) -> Result<Self> {
        let secret = &spec.secret_ref;
        Ok(Self {
            secret: object_name("spec.database.external.secretRef.name", &secret.name)?,
            address: match &secret.keys {
                Some(keys) => ExternalAddress::Parts(keys.clone()),
                None => ExternalAddress::Uri {
                    key: secret.key.clone(),
                    direct: secret.direct_key.clone(),
                },
            },
            pooled: spec.pooler.is_some(),
            ca_key: secret.ca_key.clone(),
        })
    }
}

impl CloudNativePg {
    fn parse(spec: &hello_crds::CloudNativePgDatabase) -> Result<Self> {
        const FIELD: &str = "spec.database.cloudNativePG";
        let image = spec.image.as_deref();
        Ok(Self {
            instances: spec.instances,
            image: image
                .map(|image| Image::parse(&format!("{FIELD}.image"), image))
                .transpose()?,
            storage: Volume::parse("spec.database.cloudNativePG.storage", &spec.storage)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(spec: Value) -> Result<Database> {
        Database::parse(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn what_holds_the_data_is_known_for_each_kind() {
        let data = |spec: Value| -> Vec<String> {
            let database = parse(spec).unwrap();
            let data = database.data("demo");
            data.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            data(json!({"managed": {}})),
            [
                "Secret demo-ca",
                "Secret demo-credentials",
                "Secret demo-db-tls",
                "PersistentVolumeClaim data-demo-db-0",
                "StatefulSet demo-db",
            ]
        );
        assert_eq!(
            data(json!({"cloudNativePG": {}})),
            ["Secret demo-credentials", "Cluster demo-db"]
        );
        let external = json!({"external": {"secretRef": {"name": "a"}}});
        assert!(data(external).is_empty());
    }

    #[test]
    fn only_the_users_own_server_has_one_login_and_no_watch() {
        for (spec, kind, operated) in [
            (json!({"managed": {}}), "managed", true),
            (json!({"cloudNativePG": {}}), "cloudNativePG", true),
            (
                json!({"external": {"secretRef": {"name": "a"}}}),
                "external",
                false,
            ),
        ] {
            let database = parse(spec).unwrap();
            assert_eq!(database.kind(), kind);
            assert_eq!(database.has_roles(), operated, "{kind}");
            assert_eq!(database.is_watched(), operated, "{kind}");
            assert_eq!(database.servers("demo").is_some(), operated, "{kind}");
        }
    }

    #[test]
    fn the_documentation_lists_exactly_these_parameters() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/use.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, below) = text
            .split_once("## Settings of the managed database\n")
            .unwrap();
        let rows = below
            .lines()
            .skip_while(|line| !line.starts_with("| ---"))
            .skip(1);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
        assert_eq!(words.collect::<Vec<_>>(), PARAMETERS);
    }

    #[test]
    fn a_parameter_that_is_not_listed_is_refused() {
        let with = |name: &str| parse(json!({"managed": {"parameters": {name: "x"}}}));
        for name in PARAMETERS {
            assert!(with(name).is_ok(), "{name}");
        }
        for name in [
            "archive_command",
            "restore_command",
            "shared_preload_libraries",
            "session_preload_libraries",
            "ssl_passphrase_command",
            "Archive_Command",
            "log_directory",
            "fsync",
            "",
            "work_mem ",
        ] {
            let error = with(name).unwrap_err().to_string();
            let start = format!("spec.database.managed.parameters: {name:?} is not allowed");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn there_is_exactly_one_database() {
        for spec in [json!({}), json!({"managed": {}, "cloudNativePG": {}})] {
            assert!(parse(spec).is_err());
        }
    }
}
