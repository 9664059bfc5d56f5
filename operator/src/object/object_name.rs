//! Names that an object can have.

use std::fmt;

/// A name that an object can have: a DNS subdomain of RFC 1123. Nothing in it has a meaning in a URL, and a name gets
/// into one in this form only: a spec may have been stored before the schema checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName(String);

impl ObjectName {
    /// Reads a name; `None` when no object can have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_subdomain(text).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_subdomain(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(is_end)
            && label.ends_with(is_end)
            && label.chars().all(|c| is_end(c) || c == '-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_api_server_allows() {
        let longest = "a".repeat(253);
        for text in ["a", "0", "a-b", "a--b", "a.b-c.0", &longest] {
            assert!(is_subdomain(text), "{text}");
        }
        let longer = "a".repeat(254);
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "A",
            "a_b",
            "a/b",
            "a b",
            "é",
            "?watch=true",
            "a?b",
            "..",
            "a/../b",
            "a%2fb",
            "#",
            "a\n",
            &longer,
        ] {
            assert!(!is_subdomain(text), "{text}");
        }
    }
}
