//! Where backups are kept.

use hello_crds::{S3, ServerSideEncryption, names};

use super::{issuer::Authorities, names::object_name, volume::Volume};
use crate::{
    error::{Error, Result},
    object::{object_name::ObjectName, owner::Identity},
};

/// Where backups are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// In a volume.
    Volume(Volume),
    /// In a bucket.
    Bucket(Bucket),
    /// In the volume of this claim, which is another service's: it is only read.
    Claim(ObjectName),
}

/// A bucket of an S3 store.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the keys of all objects begin with.
    pub prefix: String,
    /// Address of the store; unset: Amazon's.
    pub endpoint: Option<String>,
    /// Port of the store.
    pub port: u16,
    /// Region of the bucket.
    pub region: String,
    /// Whether the bucket is in the path of addresses; unset: the application decides.
    pub path_style: Option<bool>,
    /// The only certificate authorities that are trusted; `None`: the public ones.
    pub authorities: Option<Authorities>,
    /// Secret with the access key; unset: the identity of the pod.
    pub access_key: Option<ObjectName>,
    /// How the store encrypts objects; unset: as the bucket says.
    pub encryption: Option<ServerSideEncryption>,
}

impl Destination {
    pub(super) fn parse(identity: &Identity, spec: &hello_crds::Destination) -> Result<Self> {
        if let Some(s3) = &spec.s3 {
            let prefix = names::usual_prefix(&identity.namespace, &identity.name);
            return Bucket::parse("spec.backup.destination.s3", prefix, s3).map(Self::Bucket);
        }
        let volume = match &spec.volume {
            Some(volume) => volume,
            None => &hello_crds::Volume::for_backups(),
        };
        Volume::parse("spec.backup.destination.volume", volume).map(Self::Volume)
    }

    /// The volume, where there is one.
    #[must_use]
    pub fn volume(&self) -> Option<&Volume> {
        match self {
            Self::Volume(volume) => Some(volume),
            Self::Bucket(_) | Self::Claim(_) => None,
        }
    }

    /// The bucket, where there is one.
    #[must_use]
    pub fn bucket(&self) -> Option<&Bucket> {
        match self {
            Self::Volume(_) | Self::Claim(_) => None,
            Self::Bucket(bucket) => Some(bucket),
        }
    }
}

impl Bucket {
    /// Checks the bucket in this field.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first wrong field.
    pub fn parse(field: &str, usual_prefix: String, spec: &S3) -> Result<Self> {
        let port = spec.endpoint.as_deref();
        let port = port
            .map(|endpoint| port_of(&format!("{field}.endpoint"), endpoint))
            .transpose()?;
        let access_key = spec.credentials_secret_ref.as_ref();
        let access_key = access_key
            .map(|secret| object_name(&format!("{field}.credentialsSecretRef.name"), &secret.name));
        Ok(Self {
            name: spec.bucket.clone(),
            prefix: spec.prefix.clone().unwrap_or(usual_prefix),
            endpoint: spec.endpoint.clone(),
            port: port.unwrap_or(443),
            region: spec.region.clone(),
            path_style: spec.path_style,
            authorities: Authorities::parse(
                (format!("{field}.caSecretRef"), spec.ca_secret_ref.as_ref()),
                (
                    format!("{field}.caConfigMapRef"),
                    spec.ca_config_map_ref.as_ref(),
                ),
            )?,
            access_key: access_key.transpose()?,
            encryption: spec.server_side_encryption,
        })
    }
}

/// The port of an address.
fn port_of(field: &str, endpoint: &str) -> Result<u16> {
    let wrong = || {
        let problem = format!("{endpoint:?} is not an http:// or https:// address");
        Error::invalid(field, problem)
    };
    let address: http::Uri = endpoint.parse().map_err(|_| wrong())?;
    let usual = match address.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return Err(wrong()),
    };
    Ok(address.port_u16().unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_address() {
        for (endpoint, expected) in [
            ("https://s3.example.com", 443),
            ("http://s3.example.com/base", 80),
            ("https://[2001:db8::1]:9000", 9000),
        ] {
            assert_eq!(
                port_of("endpoint", endpoint).unwrap(),
                expected,
                "{endpoint}"
            );
        }
        for wrong in ["s3.example.com", "ftp://s3.example.com", ""] {
            assert!(port_of("endpoint", wrong).is_err(), "{wrong}");
        }
    }
}
