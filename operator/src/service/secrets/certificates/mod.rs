//! Certificates of the managed database: an authority for each service, and the server's certificate. Pure except for
//! random numbers: the time is an argument.
//!
//! There is no state beside the certificates themselves. What is due follows from their dates:
//!
//! - a certificate is replaced after two thirds of its life;
//! - a new authority is only trusted at first. It signs after [`PROPAGATION`], when every client has it;
//! - an old authority is trusted until the server has used the new certificate for as long.

mod certificate;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};

use self::certificate::{Certificate, Pair};
use crate::{error::Result, object::time::after, service::secrets::KUBELET};

/// Life of an authority: ten years.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * DAY);
/// Life of the server's certificate: 90 days.
pub const SERVER_LIFE: Duration = Duration::from_secs(90 * DAY);
/// Time until a new authority signs. Nothing presses, so the rest is for a kubelet that is cut off for a while: its pods
/// could not connect to the server any more.
pub const PROPAGATION: Duration = Duration::from_secs(KUBELET.as_secs() + 58 * 60);

const DAY: u64 = 24 * 3600;

/// Keys of the two Secrets.
pub mod key {
    /// Authorities that clients trust: the current one, and an earlier one for as long as it is needed.
    pub const TRUSTED: &str = "ca.crt";
    /// The authority's key.
    pub const AUTHORITY_KEY: &str = "ca.key";
    /// The server's certificate.
    pub const CERTIFICATE: &str = "tls.crt";
    /// The server's key.
    pub const KEY: &str = "tls.key";
}

/// The certificates of one managed database.
#[derive(Clone, Debug)]
pub struct Certificates {
    authority: Pair,
    server: Pair,
    /// Authorities beside the current one that clients still have to trust.
    earlier: Vec<Certificate>,
}

impl Certificates {
    /// Keeps the certificates of the Secrets that are still good, and issues the rest for a server with the host names
    /// `hosts`.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn keep_or_issue(
        authority: Option<&Secret>,
        server: Option<&Secret>,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<Self> {
        let kept = authority
            .and_then(|secret| pair(secret, key::TRUSTED, key::AUTHORITY_KEY))
            .filter(|pair| pair.certificate.is_authority && pair.certificate.is_valid(now));
        let mut trusted = server.map(trusted).unwrap_or_default();
        trusted.extend(kept.iter().map(|pair| pair.certificate.clone()));
        let authority = match kept {
            Some(pair) if now < pair.certificate.renewal() => pair,
            _ => Pair::authority(now, AUTHORITY_LIFE)?,
        };
        trusted.push(authority.certificate.clone());
        let shown = server
            .and_then(|secret| pair(secret, key::CERTIFICATE, key::KEY))
            .filter(|pair| pair.certificate.is_valid(now) && pair.certificate.is_for(hosts));
        let server = match shown {
            Some(shown) if !is_due(&shown.certificate, &trusted, &authority.certificate, now) => {
                shown
            }
            _ => authority.issue(hosts, now, SERVER_LIFE)?,
        };
        let earlier = earlier(&trusted, &authority.certificate, &server.certificate, now);
        Ok(Self {
            authority,
            server,
            earlier,
        })
    }

    /// The earliest time at which a certificate is due to be replaced or dropped.
    #[must_use]
    pub fn next_change(&self) -> Timestamp {
        let authority = &self.authority.certificate;
        let server = &self.server.certificate;
        let next = if !server.is_signed_by(authority) {
            after(authority.issued(), PROPAGATION)
        } else if self.earlier.is_empty() {
            server.renewal()
        } else {
            after(server.issued(), PROPAGATION)
        };
        next.min(authority.renewal())
    }

    /// Content of the Secret with the authority. Nothing mounts it.
    #[must_use]
    pub fn authority_data(&self) -> BTreeMap<String, ByteString> {
        data([
            (key::TRUSTED, self.authority.certificate.pem.clone()),
            (key::AUTHORITY_KEY, self.authority.key.clone()),
        ])
    }

    /// Content of the Secret with the server's certificate and the authorities that clients trust.
    #[must_use]
    pub fn server_data(&self) -> BTreeMap<String, ByteString> {
        let mut trusted = self.authority.certificate.pem.clone();
        for certificate in &self.earlier {
            trusted.push_str(&certificate.pem);
        }
        data([
            (key::TRUSTED, trusted),
            (key::CERTIFICATE, self.server.certificate.pem.clone()),
            (key::KEY, self.server.key.clone()),
        ])
    }
}

/// What `render` prints in place of certificates, which exist only in a cluster.
#[must_use]
pub fn placeholders(keys: &[&str]) -> BTreeMap<String, ByteString> {
    let text = "issued-in-the-cluster";
    data(keys.iter().map(|key| (*key, text.to_owned())))
}

fn data<'a>(items: impl IntoIterator<Item = (&'a str, String)>) -> BTreeMap<String, ByteString> {
    items
        .into_iter()
        .map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())))
        .collect()
}

fn text<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    Some(&secret.data.as_ref()?.get(key)?.0)
}

fn pair(secret: &Secret, certificate: &str, key: &str) -> Option<Pair> {
    Pair::read(text(secret, certificate)?, text(secret, key)?)
}

fn trusted(secret: &Secret) -> Vec<Certificate> {
    text(secret, key::TRUSTED)
        .map(Certificate::read_all)
        .unwrap_or_default()
}

/// Whether the server needs another certificate than the one it has.
fn is_due(
    shown: &Certificate,
    trusted: &[Certificate],
    authority: &Certificate,
    now: Timestamp,
) -> bool {
    if shown.is_signed_by(authority) {
        return now >= shown.renewal();
    }
    let verifiable = trusted.iter().any(|other| shown.is_signed_by(other));
    !verifiable || now >= after(authority.issued(), PROPAGATION)
}

/// Authorities beside the current one without which some client could not connect.
fn earlier(
    trusted: &[Certificate],
    authority: &Certificate,
    server: &Certificate,
    now: Timestamp,
) -> Vec<Certificate> {
    // Until then a server may not have read its new certificate yet.
    let settled = server.is_signed_by(authority) && now >= after(server.issued(), PROPAGATION);
    let mut earlier: Vec<Certificate> = Vec::new();
    for other in trusted {
        let needed = !settled && other.is_authority && other.is_valid(now) && other != authority;
        if needed && !earlier.contains(other) {
            earlier.push(other.clone());
        }
    }
    earlier
}

#[cfg(test)]
mod tests;
