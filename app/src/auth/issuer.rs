//! The issuer: its discovery document, and the keys that it leads to.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use url::{Host, Url};

use super::keys::{InvalidKeySet, KeySet};
use super::oidc::OidcConfig;
use crate::aside::Aside;
use crate::http_client::{self, FetchError};

/// Where the discovery document is, below the issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// So many characters of a foreign issuer's name are logged.
const MAX_SHOWN: usize = 200;

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The discovery document could not be fetched.
    #[error("discovery document: {0}")]
    Discovery(FetchError),
    /// The answer is not a discovery document.
    #[error("discovery document: {0}")]
    NotDiscovery(serde_json::Error),
    /// It belongs to another issuer.
    #[error("discovery document: its issuer is {found:?}, not {expected:?}")]
    OtherIssuer {
        /// What the document says, cut where it is too long for a log.
        found: String,
        /// What is configured.
        expected: String,
    },
    /// Its URL of the keys is malformed, or not https.
    #[error("discovery document: jwks_uri must be an https URL")]
    KeysUrl,
    /// The keys could not be fetched.
    #[error("key set: {0}")]
    Keys(FetchError),
    /// The answer is not a key set.
    #[error("key set: {0}")]
    NotKeys(#[from] InvalidKeySet),
    /// Reading an answer panicked.
    #[error("reading the answer panicked")]
    Panicked,
}

/// What is read of the discovery document.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// An issuer, whose keys can be fetched.
#[derive(Debug)]
pub struct Issuer {
    config: OidcConfig,
    /// Reads the certificates of the authorities.
    aside: Aside,
}

impl Issuer {
    /// The issuer of this configuration.
    pub fn new(config: OidcConfig) -> Self {
        Self {
            config,
            aside: Aside::default(),
        }
    }

    /// Fetches the present keys.
    ///
    /// # Errors
    /// See [`IssuerError`].
    pub async fn keys(&self) -> Result<KeySet, IssuerError> {
        let connector = http_client::connector_aside(self.config.ca_file.clone(), &self.aside)
            .await
            .map_err(|error| IssuerError::Discovery(error.into()))?;
        let document = http_client::get(&self.discovery_url(), connector.clone())
            .await
            .map_err(IssuerError::Discovery)?;
        let keys_url = self.keys_url(&document)?;
        let keys = http_client::get(&keys_url, connector)
            .await
            .map_err(IssuerError::Keys)?;
        Ok(KeySet::parse(&keys, &self.config.algorithms)?)
    }

    fn discovery_url(&self) -> Url {
        let mut url = self.config.issuer_url.clone();
        let path = format!("{}{DISCOVERY}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// The URL of the keys in a discovery document.
    fn keys_url(&self, document: &[u8]) -> Result<Url, IssuerError> {
        let discovery: Discovery =
            serde_json::from_slice(document).map_err(IssuerError::NotDiscovery)?;
        if discovery.issuer != self.config.issuer {
            return Err(IssuerError::OtherIssuer {
                found: discovery.issuer.chars().take(MAX_SHOWN).collect(),
                expected: self.config.issuer.clone(),
            });
        }
        Url::parse(&discovery.jwks_uri)
            .ok()
            .filter(|url| transport_is_safe(url, self.config.allow_http))
            .ok_or(IssuerError::KeysUrl)
    }
}

/// Whether nobody on the network can change what comes from `url`: it is https, or http on this
/// machine. With `allow_http` any http is allowed.
pub fn transport_is_safe(url: &Url, allow_http: bool) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => {
            allow_http
                || match host {
                    Host::Domain(name) => name == "localhost",
                    Host::Ipv4(address) => Ipv4Addr::is_loopback(&address),
                    Host::Ipv6(address) => Ipv6Addr::is_loopback(&address),
                }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tests::config;
    use super::*;

    fn issuer(issuer: &str) -> Issuer {
        Issuer::new(OidcConfig {
            issuer: issuer.into(),
            issuer_url: issuer.parse().unwrap(),
            ..config()
        })
    }

    #[test]
    fn the_discovery_document_is_below_the_issuer() {
        for (name, url) in [
            (
                "https://id.example",
                "https://id.example/.well-known/openid-configuration",
            ),
            (
                "https://id.example/",
                "https://id.example/.well-known/openid-configuration",
            ),
            (
                "https://id.example:8443/realms/a",
                "https://id.example:8443/realms/a/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(issuer(name).discovery_url().as_str(), url);
        }
    }

    #[test]
    fn the_discovery_document_must_be_the_issuers_own_and_lead_to_a_safe_place() {
        let issuer = issuer("https://id.example");
        let read = |issued: &str, keys: &str| {
            let text = serde_json::json!({"issuer": issued, "jwks_uri": keys, "x": 1}).to_string();
            issuer.keys_url(text.as_bytes())
        };
        assert!(read("https://id.example", "https://keys.example/k").is_ok());
        let error = read("https://id.example/", "https://keys.example/k").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"discovery document: its issuer is "https://id.example/", not "https://id.example""#
        );
        let long = read(&"x".repeat(1000), "https://keys.example/k").unwrap_err();
        assert!(long.to_string().len() < 300);
        assert!(matches!(
            read("https://id.example", "http://keys.example/k"),
            Err(IssuerError::KeysUrl)
        ));
        assert!(matches!(
            read("https://id.example", "file:///etc/keys"),
            Err(IssuerError::KeysUrl)
        ));
        assert!(matches!(
            read("https://id.example", "/k"),
            Err(IssuerError::KeysUrl)
        ));
        assert!(matches!(
            issuer.keys_url(b"<html>"),
            Err(IssuerError::NotDiscovery(_))
        ));
    }

    #[test]
    fn http_is_for_this_machine() {
        for (url, safe, on_demand) in [
            ("https://id.example/", true, true),
            ("http://127.0.0.1:80/", true, true),
            ("http://[::1]/", true, true),
            ("http://localhost/", true, true),
            ("http://id.example/", false, true),
            ("http://localhost.example/", false, true),
            ("http://10.0.0.1/", false, true),
            ("ftp://id.example/", false, false),
            ("file:///x", false, false),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(transport_is_safe(&url, false), safe, "{url}");
            assert_eq!(transport_is_safe(&url, true), on_demand, "{url}");
        }
    }
}
