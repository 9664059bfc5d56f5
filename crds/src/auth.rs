//! Who may write.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may write.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Holders of a token of an OpenID Connect issuer.
    pub oidc: Oidc,
}

/// An OpenID Connect issuer and what its tokens must be like.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.caSecretRef) && has(self.caConfigMapRef))")
    .message("spec.auth.oidc takes one of caSecretRef and caConfigMapRef"))]
#[serde(rename_all = "camelCase")]
pub struct Oidc {
    /// The issuer's `https://` address, letter by letter as `iss` in its tokens has it.
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getPort() == '' || (int(url(self).getPort()) > 0 && int(url(self).getPort()) < 65536))")
        .message("spec.auth.oidc.issuer must be an address with a possible port"))]
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^https://[^\s/?#@]+(/[^\s?#@]*)?$")
    )]
    pub issuer: String,
    /// Whom tokens are made for (`aud`): any one of these.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 512), regex(pattern = r"^[^\s,]+$"))
    )]
    pub audience: Vec<String>,
    /// The claim that holds the user name.
    #[serde(default = "default_username_claim")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^\S+$"))]
    pub username_claim: String,
    /// The scope that allows to write every user; none does when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^\S+$"))]
    pub admin_scope: Option<String>,
    /// What tokens may be signed with; a shorter list is stricter.
    #[serde(default = "SigningAlgorithm::all")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(min = 1, max = 3))]
    pub algorithms: Vec<SigningAlgorithm>,
    /// How far the issuer's clock may be off, in seconds.
    #[serde(default = "default_leeway")]
    #[schemars(range(min = 0, max = 300))]
    pub leeway_seconds: i32,
    /// Secret with the certificates that the issuer is trusted by, in place of all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CertificatesRef>,
    /// ConfigMap with the certificates that the issuer is trusted by, in place of all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<CertificatesRef>,
}

fn default_username_claim() -> String {
    "sub".into()
}

const fn default_leeway() -> i32 {
    60
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl SigningAlgorithm {
    fn all() -> Vec<Self> {
        vec![Self::RS256, Self::ES256, Self::EdDSA]
    }

    /// The word the application takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }
}

/// Certificates under one key of an object in the same namespace.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificatesRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key that holds certificates in PEM.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn default_ca_key() -> String {
    "ca.crt".into()
}
