//! From a raw path to a route. Nothing is decoded or tidied up here: `//hello/alice` and
//! `/hello/alice/` are other paths than `/hello/alice`, and unknown.

/// A path that the API knows, with its parameters as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/hello/{username}`
    Hello {
        /// Still percent-encoded, and not checked.
        username: &'a str,
    },
}

/// A route without its parameters: what metrics and logs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// `/hello/{username}`
    Hello,
    /// Every path that the API does not know.
    Unmatched,
}

impl<'a> Route<'a> {
    /// The route of `path`, if there is one.
    pub fn find(path: &'a str) -> Option<Self> {
        let username = path.strip_prefix("/hello/")?;
        (!username.is_empty() && !username.contains('/')).then_some(Self::Hello { username })
    }

    /// The route without its parameters.
    pub fn template(&self) -> Template {
        match self {
            Self::Hello { .. } => Template::Hello,
        }
    }
}

impl Template {
    /// All of them, in the order of [`Template::index`].
    pub const ALL: [Self; 2] = [Self::Hello, Self::Unmatched];

    /// The position in [`Template::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// As it appears in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "/hello/{username}",
            Self::Unmatched => "unmatched",
        }
    }

    /// The methods the route knows, as the `Allow` header lists them.
    pub fn allow(self) -> &'static str {
        match self {
            Self::Hello => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Unmatched => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_exact_paths_only() {
        assert_eq!(
            Route::find("/hello/alice"),
            Some(Route::Hello { username: "alice" })
        );
        assert_eq!(
            Route::find("/hello/%2F"),
            Some(Route::Hello { username: "%2F" })
        );
        for path in [
            "",
            "/",
            "*",
            "/hello",
            "/hello/",
            "/hello/alice/",
            "//hello/alice",
            "/hello//a",
            "/Hello/a",
        ] {
            assert_eq!(Route::find(path), None, "{path}");
        }
    }

    #[test]
    fn indices_are_positions() {
        for (position, template) in Template::ALL.into_iter().enumerate() {
            assert_eq!(template.index(), position);
        }
    }
}
