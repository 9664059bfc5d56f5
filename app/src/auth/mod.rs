//! Who may write: bearer tokens of an OpenID Connect issuer. Off unless an issuer is configured.
//!
//! A writer is the user that a claim of the token names, or holds the admin scope. Signatures are
//! checked with the issuer's published keys, which a background task holds at hand.

mod bearer;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod issuer;
mod keys;
mod metrics;
mod refresh;
mod ring_provider;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use url::Url;

use crate::domain::{Username, UsernameRule};
use bearer::bearer_token;
use issuer::Issuer;
use keys::Lookup;
use refresh::KeyCache;
use token::Rules;

pub use bearer::MAX_TOKEN;
pub use issuer::transport_is_safe;
pub use metrics::OidcMetrics;
pub use token::{Algorithm, Writer};

/// What tokens are judged by.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The issuer, exactly as its tokens and its discovery document name it.
    pub issuer: String,
    /// The same, as the place of the discovery document.
    pub issuer_url: Url,
    /// Whom a token must be made for: one of these.
    pub audiences: Vec<String>,
    /// The claim that holds the user name.
    pub username_claim: String,
    /// The scope that allows to write every user, when there is one.
    pub admin_scope: Option<String>,
    /// The algorithms that a token may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
    /// The certificates that the issuer is trusted by, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the issuer may be reached without TLS also when it is not on this machine.
    pub allow_http: bool,
}

/// Why a request may not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It carries no bearer token.
    NoToken,
    /// Its token does not count; the text says why, and repeats nothing of it.
    InvalidToken(&'static str),
    /// The issuer's keys were never read, so no token can be checked yet.
    KeysUnknown,
}

/// Judges the tokens of requests.
pub struct Authenticator {
    keys: KeyCache,
    rules: Rules,
}

impl Authenticator {
    /// Begins to fetch the issuer's keys, in the background and for as long as the process lives.
    pub fn start(config: OidcConfig, metrics: Arc<OidcMetrics>) -> Self {
        ring_provider::install();
        tracing::info!(issuer = config.issuer, "writing needs a token");
        if config.issuer_url.scheme() != "https" {
            tracing::warn!("the issuer is reached without TLS");
        }
        let rules = Rules::new(&config);
        let issuer = Issuer::new(config);
        Self {
            keys: KeyCache::start(issuer, metrics),
            rules,
        }
    }

    /// Who sends a request with these headers. An unknown key id waits for fresh keys, when they
    /// may be asked for.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn writer(&self, headers: &HeaderMap) -> Result<Writer, Refusal> {
        let token = bearer_token(headers)?;
        let header = self.rules.header(token)?;
        let mut view = self.keys.view();
        let mut keys = view.latest().ok_or(Refusal::KeysUnknown)?;
        if matches!(keys.find(&header), Lookup::UnknownId) {
            view.refreshed().await;
            keys = view.latest().ok_or(Refusal::KeysUnknown)?;
        }
        match keys.find(&header) {
            Lookup::Found(key) => self.rules.verify(token, &header, key),
            Lookup::UnknownId | Lookup::Unusable => {
                Err(Refusal::InvalidToken("No key of the issuer fits the token"))
            }
        }
    }
}

impl Writer {
    /// Whether this user may be written.
    pub fn may_write(&self, username: &Username, rule: UsernameRule) -> bool {
        self.is_admin()
            || self
                .name()
                .and_then(|name| Username::parse(name, rule).ok())
                .is_some_and(|name| name == *username)
    }
}
