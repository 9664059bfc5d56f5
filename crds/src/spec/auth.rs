//! Who may write users.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{DATA_KEY, NO_WHITE_SPACE, OBJECT_NAME};

/// Who may write users, and read them.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Accepts writes only with a bearer token of this OpenID Connect issuer. A token may write the user that it names.
    pub oidc: Oidc,
}

/// An OpenID Connect issuer and the requirements on its tokens.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.caSecretRef) && has(self.caConfigMapRef))")
    .message("spec.auth.oidc: set caSecretRef or caConfigMapRef, not both"))]
#[x_kube(validation = Rule::new("has(self.audience) || has(self.clientIds)")
    .message("spec.auth.oidc: set audience, clientIds or both"))]
#[serde(rename_all = "camelCase")]
pub struct Oidc {
    /// `https://` URL of the issuer. It must equal the claim `iss` of the tokens exactly.
    #[x_kube(validation = Rule::new("isURL(self) && (url(self).getPort() == '' || (int(url(self).getPort()) > 0 && int(url(self).getPort()) < 65536))")
        .message("spec.auth.oidc.issuer: use a valid URL with a port from 1 to 65535 or none"))]
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^https://[^\s/?#@]+(/[^\s?#@]*)?$")
    )]
    pub issuer: String,
    /// Accepted audiences. The claim `aud` of a token must contain at least one of them. Unset: `clientIds` is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 512), regex(pattern = r"^[^\s,]+$"))
    )]
    pub audience: Vec<String>,
    /// Accepted clients, for tokens without `aud`: `client_id` or `azp` must be one of them. Without `audience`, `aud` does
    /// not count. Unset: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 512), regex(pattern = r"^[^\s,]+$"))
    )]
    pub client_ids: Vec<String>,
    /// Claim that contains the user name. Default: `sub`.
    #[serde(default = "default_username_claim")]
    #[schemars(length(min = 1, max = 128), regex(pattern = NO_WHITE_SPACE))]
    pub username_claim: String,
    /// Scope or role that may act for any user. Unset: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = NO_WHITE_SPACE))]
    pub admin_scope: Option<String>,
    /// Claim that contains the admin scope, such as `roles` or `realm_access.roles`. Default: `scope` and `scp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = NO_WHITE_SPACE))]
    pub admin_claim: Option<String>,
    /// Who may read greetings, lists and friendships. Default: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Reads>,
    /// Accepted signature algorithms of tokens. Default: `RS256`, `ES256` and `EdDSA`.
    #[serde(default = "SigningAlgorithm::usual")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(min = 1, max = 9))]
    pub algorithms: Vec<SigningAlgorithm>,
    /// Accepted difference between the clocks of the issuer and of the service, in seconds. Default: 60.
    #[serde(default = "default_leeway")]
    #[schemars(range(min = 0, max = 300))]
    pub leeway_seconds: i32,
    /// Secret with the only certificate authorities that are trusted for connections to the issuer. Default: the public
    /// authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CertificatesRef>,
    /// ConfigMap with the only certificate authorities that are trusted for connections to the issuer. Default: the
    /// public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<CertificatesRef>,
}

fn default_username_claim() -> String {
    "sub".into()
}

const fn default_leeway() -> i32 {
    60
}

/// Who may read.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Everybody, without a token.
    Everybody,
    /// Whoever has a valid token.
    Authenticated,
    /// Users what is under their own name, and the admin scope everything.
    Own,
}

impl Reads {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Authenticated => "authenticated",
            Self::Own => "own",
        }
    }
}

/// Signature algorithm of a token.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl SigningAlgorithm {
    fn usual() -> Vec<Self> {
        vec![Self::RS256, Self::ES256, Self::EdDSA]
    }

    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}

/// One key of an object in the same namespace. It contains certificates in PEM.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificatesRef {
    /// Name of the object. It must be in the namespace of the HelloService.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Key that contains the certificates in PEM. Default: `ca.crt`.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub key: String,
}

fn default_ca_key() -> String {
    "ca.crt".into()
}
