//! References to container images.

use crate::error::{Error, Result};

/// A container image reference that a container runtime accepts: a name, and a tag or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(String);

impl Image {
    /// Checks the value of `field`.
    pub(super) fn parse(field: &str, text: &str) -> Result<Self> {
        if is_reference(text) {
            return Ok(Self(text.to_owned()));
        }
        let problem = format!("{text:?} is not an image reference");
        Err(Error::invalid(field, problem))
    }

    /// The reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The repository that a reference names: everything before its tag and its digest.
    #[must_use]
    pub fn repository_of(reference: &str) -> &str {
        let digest = reference.split_once('@');
        split_tag(digest.map_or(reference, |(tagged, _)| tagged)).0
    }

    /// The version that a reference names: its tag, or the start of its digest, or `latest`.
    #[must_use]
    pub fn version_of(reference: &str) -> String {
        if let Some((_, digest)) = reference.split_once('@') {
            return digest.chars().take(19).collect();
        }
        let last = reference.rsplit('/').next().unwrap_or_default();
        last.split_once(':')
            .map_or_else(|| "latest".to_owned(), |(_, tag)| tag.to_owned())
    }
}

/// The grammar by which the kubelet reads references. A pod whose image breaks it never starts.
fn is_reference(text: &str) -> bool {
    let (tagged, digest) = match text.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = split_tag(tagged);
    // It would be taken for the identifier of an image on the node.
    let is_identifier = text.len() == 64 && is_lower_hex(text);
    is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest) && !is_identifier
}

/// The name and the tag. The colon of a port is followed by a slash.
fn split_tag(tagged: &str) -> (&str, Option<&str>) {
    match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (tagged, None),
    }
}

/// A path, maybe after a registry.
fn is_name(name: &str) -> bool {
    let is_path = |path: &str| path.split('/').all(is_path_component);
    let in_registry = |(registry, path)| is_registry(registry) && is_path(path);
    is_path(name) || name.split_once('/').is_some_and(in_registry)
}

/// A host name or an IP address, and maybe a port.
fn is_registry(text: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let is_address =
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lower-case letters and digits, separated by one period, one or two underscores, or hyphens.
fn is_path_component(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    text.starts_with(is_inner) && text.ends_with(is_inner) && text.split(is_inner).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| is_word(b) || b"-.".contains(&b))
        && !text.starts_with(['-', '.'])
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, value)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    value.len() == length && is_lower_hex(value)
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_a_runtime_accepts_are_accepted() {
        let digest = "0123456789abcdef".repeat(4);
        for text in [
            "a",
            "hello-app",
            "hello-app:0.1.0",
            "hello-app:_x-Y.2",
            "team/hello__app.x-y--z:1",
            "my_team/hello-app",
            "my_registry.example.com/hello-app",
            "my-registry.EXAMPLE.com/hello-app",
            "localhost/hello-app:dev",
            "localhost:5000/hello-app",
            "REGISTRY/hello-app",
            "Registry.example.com:443/team/hello-app:1",
            "10.0.0.1:5000/a",
            "[2001:db8::1]/a:1",
            "[2001:db8::1]:5000/a",
            "pixel.fake/hello/world",
            &format!("hello-app@sha256:{digest}"),
            &format!("hello-app:1@sha256:{digest}"),
            &format!("a@sha512:{digest}{digest}"),
            &format!("a@sha384:{digest}{}", &digest[..32]),
            &format!("a:{}", "t".repeat(128)),
            // One digit more or less than an identifier.
            &digest[1..],
            &format!("{digest}0"),
        ] {
            assert!(is_reference(text), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let digest = "0123456789abcdef".repeat(4);
        for text in [
            "",
            "a b",
            "a\n",
            "/a",
            "a/",
            "a//b",
            ":a",
            "a:",
            "@a",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "a._b",
            "_a",
            "Hello-App",
            "team/Hello-App:1",
            "é",
            "a:é",
            "a:.x",
            "a:-x",
            "a:b:c",
            "my_registry.EXAMPLE.com/a",
            "example.com:x/a",
            "example.com:/a",
            "-example.com/a",
            "example-.com/a",
            "example..com/a",
            "[2001:db8::1/a",
            "[]/a",
            "[2001:db8::g]/a",
            "[2001:db8::1]x/a",
            "[2001:db8::1]:/a",
            "https://example.com/a",
            "a@",
            "a@sha256",
            "a@sha256:0123456789abcdef",
            &format!("a@md5:{}", &digest[..32]),
            &format!("a@sha256:{}", digest.to_uppercase()),
            &format!("a@sha256:{digest}0"),
            &format!("a@sha256:{digest}@sha256:{digest}"),
            &format!("a:{}", "t".repeat(129)),
            &digest,
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn repositories_are_read_from_references() {
        for (text, repository) in [
            ("a", "a"),
            ("a:1", "a"),
            ("a@sha256:0", "a"),
            ("r:5000/t/a", "r:5000/t/a"),
            ("r:5000/t/a:1@sha256:0", "r:5000/t/a"),
        ] {
            assert_eq!(Image::repository_of(text), repository);
        }
    }

    #[test]
    fn versions_are_read_from_references() {
        let version = |text| Image::version_of(text);
        assert_eq!(version("registry:5000/hello-app:1.2"), "1.2");
        assert_eq!(version("registry:5000/hello-app"), "latest");
        assert_eq!(
            version("hello@sha256:0123456789abcdef"),
            "sha256:0123456789ab"
        );
    }
}
