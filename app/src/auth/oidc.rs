//! What tokens are checked against, and why one is refused.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::algorithm::Algorithm;

/// What tokens are checked against.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The issuer, exactly as its tokens and its discovery document name it.
    pub issuer: String,
    /// The same, as the place of the discovery document.
    pub issuer_url: Url,
    /// The audiences: a token must be made for one of them. None: tokens are known by their clients alone.
    pub audiences: Vec<String>,
    /// The clients to which a token must have been given when it names no audience, or none is configured.
    pub clients: Vec<String>,
    /// The claim that holds the user name.
    pub username_claim: String,
    /// The scope that may modify any user, if there is one.
    pub admin_scope: Option<String>,
    /// The claim that holds it, a path with dots; `scope` and `scp` when there is none.
    pub admin_claim: Option<String>,
    /// Who may read.
    pub reads: Reads,
    /// The algorithms that a token may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The largest difference allowed between the clocks of the issuer and of this machine.
    pub leeway: Duration,
    /// The certificates of the authorities that the issuer is verified with, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether an issuer without TLS is allowed on another machine.
    pub allow_http: bool,
}

/// Who may read greetings, lists and friendships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Reads {
    /// Everybody, without a token.
    #[default]
    Everybody,
    /// Whoever has a valid token.
    Authenticated,
    /// Each user what is in a path of their own, as they may write it; and whoever may modify any user, everything.
    Own,
}

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It carries no bearer token.
    NoToken,
    /// Its token is not valid; the text is the reason, and repeats nothing of the token.
    InvalidToken(Cow<'static, str>),
    /// The keys of the issuer were never fetched, so no token can be checked yet.
    KeysUnknown,
}
