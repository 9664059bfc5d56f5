//! Addresses of databases: URIs that contain a password.

use std::{collections::BTreeSet, fmt, net::Ipv6Addr};

use k8s_openapi::ByteString;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Port of PostgreSQL.
pub const DATABASE_PORT: u16 = 5432;

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
    /// Ports of its servers. None where the way to each is a socket in the file system.
    pub ports: BTreeSet<u16>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

impl Address {
    /// A `postgres://` URI, which may list several servers as `h1:5432,h2:5433` or by the parameters `host=h1,h2` and
    /// `port=5432,5433`; `None` when the text is not one.
    #[must_use]
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if !matches!(scheme, "postgres" | "postgresql") || rest.contains(odd) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let places = authority
            .rsplit_once('@')
            .map_or(authority, |(_, places)| places);
        let query = path.split('#').next()?.split_once('?');
        let parameter = |names: &[&str]| last(query.map_or("", |(_, query)| query), names);
        let servers = servers(
            places,
            parameter(&["host", "hostaddr"]),
            parameter(&["port"]),
        )?;
        let over_network = servers.iter().filter(|(host, _)| !host.starts_with('/'));
        Some(Self {
            uri: text.to_owned(),
            ports: over_network
                .map(|(_, port)| port.unwrap_or(default_port))
                .collect(),
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
            (false, true) => host.to_owned(),
            (false, false) => return None,
        };
        let [database, user, password] = [database, user, password].map(escape);
        // An empty name is refused here.
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

/// A host, or the folder of a socket; and the port, unless it is the usual one.
type Server = (String, Option<u16>);

/// The servers in the place of the host, or in the parameters, which count more.
fn servers(places: &str, hosts: Option<String>, ports: Option<String>) -> Option<Vec<Server>> {
    let mut servers = match hosts {
        None => places.split(',').map(server).collect::<Option<Vec<_>>>()?,
        Some(hosts) => {
            let (_, port) = server(places.split(',').next()?).unwrap_or_default();
            let hosts = hosts.split(',').map(|host| (host.to_owned(), port));
            hosts.collect()
        }
    };
    if let Some(ports) = ports {
        let ports: Vec<_> = ports.split(',').collect();
        if ports.len() != 1 && ports.len() != servers.len() {
            return None;
        }
        for ((_, own), given) in servers.iter_mut().zip(ports.iter().cycle()) {
            if !given.is_empty() {
                *own = Some(port(given)?);
            }
        }
    }
    let named = servers.iter().all(|(host, _)| !host.is_empty());
    named.then_some(servers)
}

/// One place: a name or an address, and perhaps a port.
fn server(text: &str) -> Option<Server> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(end)?;
    let port = match rest.strip_prefix(':') {
        None => rest.is_empty().then_some(None)?,
        Some("") => None,
        Some(number) => Some(port(number)?),
    };
    let host = percent_decode_str(host).decode_utf8().ok()?;
    Some((host.into_owned(), port))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// The value of the last parameter of one of these names.
fn last(query: &str, names: &[&str]) -> Option<String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_decode_str(&text).decode_utf8_lossy();
        text.into_owned()
    };
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut found = pairs.filter(|(name, _)| names.contains(&&*decode(name)));
    found.next_back().map(|(_, value)| decode(value))
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
    fn the_ports_are_those_of_all_servers_or_the_default() {
        let ports = |text: &str| {
            let address = Address::parse(text, 5432)?;
            Some(address.ports.into_iter().collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("postgres://a/b", &[5432][..]),
            ("postgresql://a:6432/b", &[6432]),
            ("postgres://a:/b", &[5432]),
            ("postgres://u:p@[2001:db8::1]:7/b", &[7]),
            ("postgres://u:a,b:9@h1:1,h2:2/d", &[1, 2]),
            ("postgres://h1,h2:2,[::1]", &[2, 5432]),
            (
                "postgres://h1:7,h2:7/d?target_session_attrs=read-write",
                &[7],
            ),
            ("postgres://u@/d?host=a,b&port=1,2", &[1, 2]),
            ("postgres://u@/d?host=a%2Cb&port=1%2c2", &[1, 2]),
            ("postgres://u@/d?host=a,b&port=7", &[7]),
            ("postgres://u@/d?host=a,b&port=,2", &[2, 5432]),
            ("postgres://u@h:9/d?host=a,b", &[9]),
            ("postgres://h1,h2/d?port=1,2#f?port=3", &[1, 2]),
            ("postgres://u:p@/d?host=/cloudsql/a:b:c", &[]),
            ("postgres://u:p@%2Fcloudsql%2Fa/d", &[]),
            ("postgres:///d?host=/run/a,b", &[5432]),
        ] {
            assert_eq!(ports(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "mysql://a/b",
            "/b",
            "postgres://a b",
            "",
            "postgres:///b",
            "postgres://a:0/b",
            "postgres://a:70000/b",
            "postgres://a:x/b",
            "postgres://[::1/b",
            "postgres://[::1]x/b",
            "postgres://a,,b/d",
            "postgres://a,b/d?port=1,2,3",
            "postgres://u@/d?host=a,,b",
            "postgres://u@/d?host=",
            "postgres://a/d?port=x",
            "postgres://[é/b",
        ] {
            assert_eq!(ports(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_address() {
        let address = Address::parse("postgres://u:secret@a/b", 1).unwrap();
        assert_eq!(address.data().0, b"postgres://u:secret@a/b");
        assert_eq!(format!("{address:?}"), "Address(..)");
    }
}
