//! What serving hands to a handler, and takes back from it.

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

/// A response. Its body is whole, so that its length is known.
pub type Response = http::Response<Bytes>;

/// A request without its body.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target as sent: nothing in it is decoded.
    pub uri: Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The address at the other end of the connection: a client or a proxy.
    pub peer: IpAddr,
}

impl RequestHead {
    /// Whether it says, once and soundly, which host it is for (RFC 9112, section 3.2; RFC 9113, section 8.3.1). Programs
    /// in front choose by it where a request goes, and what they may keep of the answer.
    pub fn names_its_host(&self) -> bool {
        let mut hosts = self.headers.get_all(header::HOST).iter();
        let authority = self.uri.authority().map(|authority| authority.as_str());
        match (hosts.next(), hosts.next(), self.version) {
            (_, Some(_), _) | (None, None, Version::HTTP_11) => false,
            (None, None, Version::HTTP_2) => {
                authority.is_some_and(|authority| is_host(authority.as_bytes()))
            }
            (None, None, _) => true,
            (Some(host), None, version) => {
                let host = host.as_bytes();
                let agrees = version != Version::HTTP_2
                    || authority.is_none_or(|other| other.as_bytes().eq_ignore_ascii_case(host));
                agrees && is_host(host)
            }
        }
    }
}

/// A name or an address, and perhaps a port. Both may be empty.
fn is_host(text: &[u8]) -> bool {
    let port_is_sound = |rest: &[u8]| match rest {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if let [b'[', rest @ ..] = text {
        let Some(end) = memchr::memchr(b']', rest) else {
            return false;
        };
        let address = std::str::from_utf8(&rest[..end]).ok();
        return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
            && port_is_sound(&rest[end + 1..]);
    }
    let end = memchr::memchr(b':', text).unwrap_or(text.len());
    is_name(&text[..end]) && port_is_sound(&text[end..])
}

/// A registered name (RFC 3986, section 3.2.2).
fn is_name(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [letter, rest @ ..]
                if letter.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(letter) =>
            {
                rest
            }
            _ => return false,
        }
    }
}

/// The response to HEAD: that to GET, with the length of the body that is left out.
pub fn without_body(mut response: Response) -> Response {
    let length = response.body().len();
    if length > 0 {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = Bytes::new();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_says_in_its_own_way_which_host_it_is_for() {
        let named = |version, uri: &'static str, hosts: &[&'static str]| {
            let host = |host: &&'static str| (header::HOST, HeaderValue::from_static(host));
            RequestHead {
                method: Method::GET,
                uri: Uri::from_static(uri),
                version,
                headers: hosts.iter().map(host).collect(),
                peer: Ipv6Addr::LOCALHOST.into(),
            }
            .names_its_host()
        };
        assert!(named(Version::HTTP_10, "/", &[]));
        assert!(named(Version::HTTP_11, "/", &["x"]));
        assert!(!named(Version::HTTP_11, "/", &[]));
        assert!(!named(Version::HTTP_11, "http://x/", &[]));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert!(!named(version, "http://x/", &["x", "x"]), "{version:?}");
            assert!(!named(version, "/", &["a b"]), "{version:?}");
        }
        assert!(named(Version::HTTP_2, "http://x:1/", &[]));
        assert!(named(Version::HTTP_2, "http://x:1/", &["X:1"]));
        assert!(named(Version::HTTP_2, "/", &["x"]));
        assert!(!named(Version::HTTP_2, "http://x:1/", &["y"]));
        assert!(!named(Version::HTTP_2, "http://u@x/", &[]));
        assert!(!named(Version::HTTP_2, "/", &[]));
    }

    #[test]
    fn hosts_are_names_or_addresses_with_a_port_or_without() {
        for sound in [
            "",
            "x",
            "hello.example",
            "hello.example:8080",
            "x:",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "a_b",
            "%c3%a9",
            "H",
        ] {
            assert!(is_host(sound.as_bytes()), "{sound}");
        }
        for unsound in [
            "a b",
            "a/b",
            "u@x",
            "x:y",
            "x:1:2",
            "[::1",
            "[x]",
            "[::1]x",
            "::1",
            "a,b:x",
            "x?",
            "x#",
            "%",
            "%c",
            "%zz",
            "é",
            "x\t",
            "<x>",
            "x:-1",
            "[1.2.3.4]",
            "http://x",
        ] {
            assert!(!is_host(unsound.as_bytes()), "{unsound}");
        }
    }
}
