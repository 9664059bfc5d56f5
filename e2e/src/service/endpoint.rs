//! Where clients reach an API.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper_rustls::{
    DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName,
};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

/// A connection that is not established within this time has failed.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The address of an API; with TLS also the name that clients ask for, and who must have signed its certificate.
#[derive(Clone)]
pub struct Endpoint {
    base: String,
    host: Option<String>,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    name: ServerName<'static>,
    authorities: RootCertStore,
}

impl Endpoint {
    /// The API with the name `host`, by TLS at `address` (`host:port`). Its certificate has to be for that name, and signed by one of
    /// `authorities`, which are PEM.
    ///
    /// # Errors
    /// When `host` is no name, or the authorities are no certificates.
    pub fn tls(address: &str, host: &str, authorities: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            roots.add(certificate.context("not PEM")?)?;
        }
        ensure!(!roots.is_empty(), "no authority is given");
        Ok(Self {
            base: format!("https://{address}"),
            host: Some(host.to_owned()),
            tls: Some(Tls {
                name: ServerName::try_from(host.to_owned())?,
                authorities: roots,
            }),
        })
    }

    /// The API with the name `host` at `address` (`host:port`), without TLS.
    pub fn plain(address: &str, host: &str) -> Self {
        Self {
            base: format!("http://{address}"),
            host: Some(host.to_owned()),
            tls: None,
        }
    }

    /// The URL of a path, by which it is connected to.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The name that requests ask for, where it is not that of the URL.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// What connects to it.
    pub(super) fn connector(&self) -> HttpsConnector<HttpConnector> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_LIMIT));
        http.enforce_http(false);
        let (authorities, names): (_, Arc<dyn ResolveServerName + Send + Sync>) = match &self.tls {
            Some(tls) => (
                tls.authorities.clone(),
                Arc::new(FixedServerNameResolver::new(tls.name.clone())),
            ),
            None => (
                RootCertStore::empty(),
                Arc::new(DefaultServerNameResolver::default()),
            ),
        };
        let config = ClientConfig::builder()
            .with_root_certificates(authorities)
            .with_no_client_auth();
        HttpsConnector::new(http, config, false, names)
    }
}

impl From<&str> for Endpoint {
    /// The API at a base URL, `http://address:port`.
    fn from(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            host: None,
            tls: None,
        }
    }
}

impl From<&String> for Endpoint {
    fn from(base: &String) -> Self {
        Self::from(base.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_needed() {
        for none in [&b""[..], b"no PEM"] {
            assert!(Endpoint::tls("127.0.0.1:443", "hello.example.com", none).is_err());
        }
    }

    #[test]
    fn requests_go_to_the_address_and_ask_for_the_name() {
        let plain = Endpoint::from("http://127.0.0.1:80");
        assert_eq!(plain.url("/hello/a"), "http://127.0.0.1:80/hello/a");
        assert_eq!(plain.host(), None);
        let named = Endpoint::plain("127.0.0.1:80", "hello.example.com");
        assert_eq!(named.url("/hello/a"), plain.url("/hello/a"));
        assert_eq!(named.host(), Some("hello.example.com"));
    }
}
