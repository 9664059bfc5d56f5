//! Addresses of databases: URIs that contain a password.

use std::{fmt, net::Ipv6Addr};

use k8s_openapi::ByteString;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a URI may contain as it is in every part: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Escapes what has a meaning of its own in a URI.
#[must_use]
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The address of a database.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    uri: String,
    /// Port of the server.
    pub port: u16,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

impl Address {
    /// A `postgres://` URI; `None` when the text is not one.
    #[must_use]
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = matches!(uri.scheme_str(), Some("postgres" | "postgresql"));
        (scheme && uri.host().is_some()).then(|| Self {
            uri: text.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
        })
    }

    /// The address of these parts; `None` when the host is neither a name nor an IP address.
    #[must_use]
    pub fn from_parts(
        host: &str,
        port: u16,
        database: &str,
        user: &str,
        password: &str,
    ) -> Option<Self> {
        let is_v6 = host.parse::<Ipv6Addr>().is_ok();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let host = match (is_v6, host.chars().all(is_name)) {
            (true, _) => format!("[{host}]"),
            (false, true) if !host.is_empty() => host.to_owned(),
            (false, _) => return None,
        };
        let [database, user, password] = [database, user, password].map(escape);
        Self::parse(
            &format!("postgres://{user}:{password}@{host}:{port}/{database}"),
            port,
        )
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The URI as the content of a Secret.
    #[must_use]
    pub fn data(&self) -> ByteString {
        ByteString(self.uri.clone().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_have_any_characters() {
        let uri = |host: &str, user: &str, password: &str| {
            let address = Address::from_parts(host, 5433, "my db", user, password);
            address.map(|address| address.uri().to_owned())
        };
        assert_eq!(
            uri("db.example.com", "me@home", "p@ss/w:rd#%?é '\\\"").unwrap(),
            "postgres://me%40home:p%40ss%2Fw%3Ard%23%25%3F%C3%A9%20%27%5C%22@db.example.com:5433/my%20db"
        );
        assert_eq!(
            uri("2001:db8::1", "a-b_c.d~e", "x").unwrap(),
            "postgres://a-b_c.d~e:x@[2001:db8::1]:5433/my%20db"
        );
        for host in ["", "a b", "a/b", "user@host", "a#b", "a:1"] {
            assert_eq!(uri(host, "u", "p"), None, "{host}");
        }
    }

    #[test]
    fn the_port_is_that_of_the_uri_or_the_default() {
        let port = |text: &str| Address::parse(text, 5432).map(|address| address.port);
        assert_eq!(port("postgres://a/b"), Some(5432));
        assert_eq!(port("postgresql://a:6432/b"), Some(6432));
        for text in ["mysql://a/b", "/b", "postgres://a b", "", "postgres:///b"] {
            assert_eq!(port(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_address() {
        let address = Address::parse("postgres://u:secret@a/b", 1).unwrap();
        assert_eq!(format!("{address:?}"), "Address(..)");
    }
}
