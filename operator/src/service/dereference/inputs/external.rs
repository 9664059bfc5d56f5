//! The address of an external database, from the Secret that the spec names.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;

use crate::service::{
    secrets::address::{Address, DATABASE_PORT},
    validate::{External, ExternalAddress},
};

/// What is known of an external database.
pub struct Found {
    /// Differs from that of another database. It holds a password.
    pub identity: String,
    /// Ports for the application.
    pub ports: BTreeSet<u16>,
    /// Ports for migrations and backups.
    pub direct_ports: BTreeSet<u16>,
    /// The address, where it is made of parts.
    pub made: Option<Address>,
}

/// The address in a Secret.
///
/// # Errors
/// Why there is none, in words.
pub fn external_address(object: Option<&Secret>, external: &External) -> Result<Found, String> {
    let keys = Keys { object, external };
    external
        .ca_key
        .as_deref()
        .map(|key| keys.value(key))
        .transpose()?;
    match &external.address {
        ExternalAddress::Uri { key, direct } => {
            let address = keys.uri(key)?;
            let direct = direct.as_deref().map(|key| keys.uri(key)).transpose()?;
            let identity = match &direct {
                None => address.uri().to_owned(),
                Some(direct) => format!("{}\n{}", address.uri(), direct.uri()),
            };
            Ok(Found {
                identity,
                direct_ports: direct.map_or_else(|| address.ports.clone(), |direct| direct.ports),
                ports: address.ports,
                made: None,
            })
        }
        ExternalAddress::Parts(parts) => {
            let port = match &parts.port {
                None => DATABASE_PORT,
                Some(key) => keys.port(key)?,
            };
            let (host, database) = (keys.text(&parts.host)?, keys.text(&parts.database)?);
            let (user, password) = (keys.text(&parts.user)?, keys.text(&parts.password)?);
            let made = Address::from_parts(host, port, database, user, password);
            let made = made.ok_or_else(|| keys.problem(&parts.host, "is not a host"))?;
            Ok(Found {
                identity: made.uri().to_owned(),
                ports: made.ports.clone(),
                direct_ports: made.ports.clone(),
                made: Some(made),
            })
        }
    }
}

/// The keys of the Secret.
struct Keys<'a> {
    object: Option<&'a Secret>,
    external: &'a External,
}

impl<'a> Keys<'a> {
    fn missing(&self, problem: &str) -> String {
        let secret = &self.external.secret;
        format!("spec.database.external.secretRef: Secret {secret} {problem}")
    }

    fn problem(&self, key: &str, problem: &str) -> String {
        let secret = &self.external.secret;
        format!("spec.database.external.secretRef: key {key} of Secret {secret} {problem}")
    }

    fn value(&self, key: &str) -> Result<&'a [u8], String> {
        let object = self.object.ok_or_else(|| self.missing("does not exist"))?;
        let data = object.data.as_ref();
        let value = data.and_then(|data| data.get(key));
        let value = value.ok_or_else(|| self.missing(&format!("has no key {key}")))?;
        Ok(&value.0)
    }

    /// A line break at the end of a file is not part of its text.
    fn text(&self, key: &str) -> Result<&'a str, String> {
        let text = std::str::from_utf8(self.value(key)?);
        let text = text.map(|text| text.trim_end_matches(['\r', '\n']));
        let text = text.ok().filter(|text| !text.is_empty());
        text.ok_or_else(|| self.problem(key, "has no text"))
    }

    fn uri(&self, key: &str) -> Result<Address, String> {
        let text = std::str::from_utf8(self.value(key)?).unwrap_or_default();
        let address = Address::parse(text.trim(), DATABASE_PORT);
        address.ok_or_else(|| self.problem(key, "is not a postgres:// address"))
    }

    fn port(&self, key: &str) -> Result<u16, String> {
        let port = self.text(key)?.trim().parse();
        port.ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| self.problem(key, "is not a port"))
    }
}
