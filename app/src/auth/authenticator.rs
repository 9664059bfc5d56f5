//! Who sends a request, by its token.

use std::sync::Arc;

use http::HeaderMap;

use super::bearer::bearer_token;
use super::issuer::Issuer;
use super::keys::Lookup;
use super::oidc::{OidcConfig, Reads, Refusal};
use super::refresh::KeyCache;
use super::ring_provider;
use super::token::{Rules, Writer};
use crate::domain::Username;
use crate::telemetry::OidcMetrics;

/// Checks the tokens of requests.
pub struct Authenticator {
    keys: KeyCache,
    rules: Rules,
    /// Who may read.
    pub reads: Reads,
}

impl Authenticator {
    /// Starts to fetch the keys of the issuer, in the background and for as long as the process lives.
    pub fn start(config: OidcConfig, metrics: Arc<OidcMetrics>) -> Self {
        ring_provider::install();
        tracing::info!(
            issuer = config.issuer,
            reads = <&str>::from(config.reads),
            "writing needs a token"
        );
        if config.issuer_url.scheme() != "https" {
            tracing::warn!("the issuer is reached without TLS");
        }
        let (rules, reads) = (Rules::new(&config), config.reads);
        let issuer = Issuer::new(config);
        Self {
            keys: KeyCache::start(issuer, metrics),
            rules,
            reads,
        }
    }

    /// What a token needs that may be used for any user; `None` when none may.
    pub fn admin_scope(&self) -> Option<&str> {
        self.rules.admin_scope()
    }

    /// The claim that names the user of a token.
    pub fn username_claim(&self) -> &str {
        self.rules.username_claim()
    }

    /// Who sends a request with these headers. A token with an unknown key id waits for fresh keys, when
    /// they may be fetched.
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
            Lookup::UnknownId | Lookup::Unusable => Err(Refusal::InvalidToken(
                "No key of the issuer fits the token".into(),
            )),
        }
    }
}

impl Writer {
    /// Whether the writer may modify this user. The claim is compared as it is: to the issuer, the decomposed form of a
    /// name may be another account than the composed one.
    pub fn may_write(&self, username: &Username) -> bool {
        self.is_admin() || self.name() == Some(username.as_str())
    }
}
