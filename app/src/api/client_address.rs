//! The address of the client: the peer, or behind trusted proxies the address that they forward.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use strum::EnumString;

/// A block of addresses, `192.0.2.0/24`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` is in the block. `::ffff:192.0.2.1` and `192.0.2.1` are the same address.
    pub fn contains(self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                self.0.contains(&IpAddr::V4(v4))
                    || self.0.contains(&IpAddr::V6(v4.to_ipv6_mapped()))
            }
            v6 => self.0.contains(&v6),
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                format!("`{text}` is neither an address nor a block such as 192.0.2.0/24")
            })?;
        if network.addr() == network.network() {
            Ok(Self(network))
        } else {
            Err(format!("`{text}` has bits set behind its length"))
        }
    }
}

/// The header in which proxies name the client. Only one is read: a proxy that writes one of them
/// mostly passes on the other as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString)]
#[strum(
    serialize_all = "kebab-case",
    parse_err_ty = String,
    parse_err_fn = unknown_forwarded_header
)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

fn unknown_forwarded_header(text: &str) -> String {
    format!("`{text}` is neither `x-forwarded-for` nor `forwarded`")
}

/// Trusted proxies, whose forwarded-for header is honoured.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    /// Their addresses.
    pub networks: Vec<Network>,
    /// The header that they write.
    pub header: ForwardedHeader,
}

impl TrustedProxies {
    /// The client's address: the right-most address that is not a trusted proxy's. Addresses to the
    /// left of it may be forged, so they are not read.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let mut client = peer;
        let values = headers.get_all(name);
        // Commas in quotes separate, too. A proxy writes none in quotes, and a client that leaves a
        // quote open must not hide what the proxy adds.
        let mut elements = values
            .iter()
            .rev()
            .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        while self.trusts(client) {
            let address = elements.next().and_then(|element| {
                let element = std::str::from_utf8(element).ok()?.trim();
                match self.header {
                    ForwardedHeader::XForwardedFor => address(element),
                    ForwardedHeader::Forwarded => address(for_parameter(element)?),
                }
            });
            match address {
                Some(address) => client = address,
                // No further address, or none that can be read: this proxy counts as the client.
                None => break,
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

/// The value of `for` in `for=192.0.2.1;proto=https`, without quotes.
fn for_parameter(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for")
            .then(|| value.trim_matches('"'))
    })
}

/// An address, with or without a port or brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || {
        let inside = text.strip_prefix('[')?.strip_suffix(']')?;
        inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn proxies(header: ForwardedHeader) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7"];
        TrustedProxies {
            networks: networks.map(|text| text.parse().unwrap()).into(),
            header,
        }
    }

    fn client(proxies: &TrustedProxies, peer: &str, name: &'static str, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let proxies = proxies(ForwardedHeader::XForwardedFor);
        for (peer, values, expected) in [
            // Only a trusted peer's header is honoured.
            ("203.0.113.1", &["198.51.100.1"][..], "203.0.113.1"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            ("10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8:1::5", &["2001:db8:2::5"], "2001:db8:2::5"),
            // What a client forges is left of what the proxy adds.
            ("10.1.1.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["10.9.9.9, 198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            (
                "10.1.1.1",
                &["198.51.100.1", "10.2.2.2,10.3.3.3"],
                "198.51.100.1",
            ),
            ("10.1.1.1", &["10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.1.1.1", &["[2001:db8:2::5]:4711"], "2001:db8:2::5"),
            // An address that cannot be read is not skipped.
            ("10.1.1.1", &["198.51.100.1, unknown"], "10.1.1.1"),
            ("10.1.1.1", &["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1", &["198.51.100.1,"], "10.1.1.1"),
            ("10.1.1.1", &["é"], "10.1.1.1"),
            ("10.1.1.1", &[], "10.1.1.1"),
        ] {
            assert_eq!(
                client(&proxies, peer, "x-forwarded-for", values),
                expected,
                "{peer} {values:?}"
            );
        }
        // The other header may be forged.
        assert_eq!(
            client(&proxies, "10.1.1.1", "forwarded", &["for=198.51.100.1"]),
            "10.1.1.1"
        );
    }

    #[test]
    fn reads_the_standard_header() {
        let proxies = proxies(ForwardedHeader::Forwarded);
        for (values, expected) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (
                &["proto=http; For=198.51.100.1;by=10.1.1.1"],
                "198.51.100.1",
            ),
            (&["for=\"[2001:db8:2::5]:4711\""], "2001:db8:2::5"),
            (&["for=\"[2001:db8:2::5]\", for=10.2.2.2"], "2001:db8:2::5"),
            (&["for=1.1.1.1, for=198.51.100.1"], "198.51.100.1"),
            // A quote left open on purpose.
            (&["for=\"1.1.1.1, for=198.51.100.1"], "198.51.100.1"),
            (&["for=\"", "for=198.51.100.1"], "198.51.100.1"),
            (&["for=198.51.100.1, for=_hidden"], "10.1.1.1"),
            (&["for=198.51.100.1, proto=http"], "10.1.1.1"),
        ] {
            assert_eq!(
                client(&proxies, "10.1.1.1", "forwarded", values),
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_block_contains_its_addresses() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", ""),
            ("::/0", "192.0.2.1", ""),
            ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("192.0.2.1/32", "::ffff:192.0.2.1", "192.0.2.2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside}");
            if !outside.is_empty() {
                assert!(!network.contains(outside.parse().unwrap()), "{outside}");
            }
        }
        for text in [
            "",
            "a",
            "192.0.2.0/33",
            "192.0.2.1/24",
            "::1/129",
            "1.2.3.4/",
            "1.2.3.4/-1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn forged_addresses_to_the_left_change_nothing(text in "[ -~]{0,40}") {
            for (header, name, last) in [
                (ForwardedHeader::XForwardedFor, "x-forwarded-for", "198.51.100.1"),
                (ForwardedHeader::Forwarded, "forwarded", "for=198.51.100.1"),
            ] {
                let value = format!("{text}, {last}");
                prop_assert_eq!(
                    client(&proxies(header), "10.1.1.1", name, &[&value]),
                    "198.51.100.1"
                );
                client(&proxies(header), "10.1.1.1", name, &[&text]);
            }
        }
    }
}
