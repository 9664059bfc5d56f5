//! The OpenID Connect issuer whose tokens are accepted.

use hello_crds::{CertificatesRef, Oidc, Reads, SigningAlgorithm};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ApiResource;

use super::names::object_name;
use crate::{
    error::{Error, Result},
    object::object_name::ObjectName,
};

/// An OpenID Connect issuer and the requirements on its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Issuer {
    /// `https://` URL, exactly as in the claim `iss`.
    pub url: String,
    /// Port of the URL.
    pub port: u16,
    /// Accepted audiences.
    pub audience: Vec<String>,
    /// Accepted clients.
    pub client_ids: Vec<String>,
    /// Claim with the user name.
    pub username_claim: String,
    /// Scope that may act for any user; unset: nobody.
    pub admin_scope: Option<String>,
    /// Claim with that scope; unset: the usual ones.
    pub admin_claim: Option<String>,
    /// Who may read; unset: everybody.
    pub reads: Option<Reads>,
    /// Accepted signature algorithms.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Accepted difference of clocks, in seconds.
    pub leeway_seconds: i32,
    /// The only certificate authorities that are trusted; `None`: the public ones.
    pub authorities: Option<Authorities>,
}

/// Where certificate authorities are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// The field that names the object.
    pub field: String,
    /// Kind of the object.
    pub source: Source,
    /// Name of the object.
    pub name: ObjectName,
    /// Key with the certificates in PEM.
    pub key: String,
}

/// Kind of an object with files for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the API's own.
pub enum Source {
    Secret,
    ConfigMap,
}

impl Source {
    /// Where the API serves this kind.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        }
    }
}

impl Issuer {
    pub(super) fn parse(spec: &Oidc) -> Result<Self> {
        let wrong = || {
            let problem = format!("{:?} is not an https:// address", spec.issuer);
            Error::invalid("spec.auth.oidc.issuer", problem)
        };
        let address: http::Uri = spec.issuer.parse().map_err(|_| wrong())?;
        if address.scheme_str() != Some("https") {
            return Err(wrong());
        }
        Ok(Self {
            url: spec.issuer.clone(),
            port: address.port_u16().unwrap_or(443),
            audience: spec.audience.clone(),
            client_ids: spec.client_ids.clone(),
            username_claim: spec.username_claim.clone(),
            admin_scope: spec.admin_scope.clone(),
            admin_claim: spec.admin_claim.clone(),
            reads: spec.reads,
            algorithms: spec.algorithms.clone(),
            leeway_seconds: spec.leeway_seconds,
            authorities: authorities(spec)?,
        })
    }
}

fn authorities(spec: &Oidc) -> Result<Option<Authorities>> {
    let secret = (
        "spec.auth.oidc.caSecretRef".to_owned(),
        spec.ca_secret_ref.as_ref(),
    );
    let map = (
        "spec.auth.oidc.caConfigMapRef".to_owned(),
        spec.ca_config_map_ref.as_ref(),
    );
    Authorities::parse(secret, map)
}

impl Authorities {
    /// Those in the Secret or in the ConfigMap, each with the field that names it. The schema allows one of them only.
    pub(super) fn parse(
        secret: (String, Option<&CertificatesRef>),
        map: (String, Option<&CertificatesRef>),
    ) -> Result<Option<Self>> {
        let given = match (secret, map) {
            ((field, Some(place)), _) => (field, Source::Secret, place),
            (_, (field, Some(place))) => (field, Source::ConfigMap, place),
            _ => return Ok(None),
        };
        let (field, source, place) = given;
        Ok(Some(Self {
            name: object_name(&format!("{field}.name"), &place.name)?,
            field,
            source,
            key: place.key.clone(),
        }))
    }
}
