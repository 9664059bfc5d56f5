//! From a raw path to a route. Nothing is decoded or tidied up here: `//hello/alice` and
//! `/hello/alice/` are other paths than `/hello/alice`, and unknown.

use http::Method;

/// A path that the API knows, with its parameters as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/hello/{username}`
    Hello {
        /// Still percent-encoded, and not checked.
        username: &'a str,
    },
    /// `/`
    Landing,
    /// `/docs`
    Docs,
    /// `/openapi.json`
    OpenApi,
    /// `/style.css`
    Style,
    /// `/problems`
    Problems,
    /// `/problems/{problem}`
    Problem {
        /// The end of a problem's type, not checked.
        slug: &'a str,
    },
    /// `/users`
    Users,
    /// `/users/{username}/friends`
    Friends {
        /// Still percent-encoded, and not checked.
        username: &'a str,
    },
    /// `/users/{username}/friends/birthdays`. Somebody of that name is found with one letter
    /// percent-encoded.
    FriendBirthdays {
        /// Still percent-encoded, and not checked.
        username: &'a str,
    },
    /// `/users/{username}/friends/{friend}`
    Friend {
        /// Still percent-encoded, and not checked.
        username: &'a str,
        /// Still percent-encoded, and not checked.
        friend: &'a str,
    },
}

/// A route without its parameters: what metrics and logs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// `/hello/{username}`
    Hello,
    /// `/users`
    Users,
    /// `/users/{username}/friends`
    Friends,
    /// `/users/{username}/friends/birthdays`
    FriendBirthdays,
    /// `/users/{username}/friends/{friend}`
    Friend,
    /// `/`
    Landing,
    /// `/docs`
    Docs,
    /// `/openapi.json`
    OpenApi,
    /// `/style.css`
    Style,
    /// `/problems`
    Problems,
    /// `/problems/{problem}`
    Problem,
    /// Every path that the API does not know.
    Unmatched,
}

impl<'a> Route<'a> {
    /// The route of `path`, if there is one.
    pub fn find(path: &'a str) -> Option<Self> {
        let given = |segment: &&str| !segment.is_empty() && !segment.contains('/');
        if let Some(username) = path.strip_prefix("/hello/") {
            return Some(username)
                .filter(given)
                .map(|username| Self::Hello { username });
        }
        if let Some(slug) = path.strip_prefix("/problems/") {
            return Some(slug).filter(given).map(|slug| Self::Problem { slug });
        }
        let Some(path) = path.strip_prefix("/users/") else {
            return match path {
                "/" => Some(Self::Landing),
                "/docs" => Some(Self::Docs),
                "/openapi.json" => Some(Self::OpenApi),
                "/style.css" => Some(Self::Style),
                "/problems" => Some(Self::Problems),
                "/users" => Some(Self::Users),
                _ => None,
            };
        };
        let (username, path) = path.split_once('/')?;
        let username = Some(username).filter(given)?;
        match path.strip_prefix("friends/") {
            Some("birthdays") => Some(Self::FriendBirthdays { username }),
            Some(friend) => Some(friend)
                .filter(given)
                .map(|friend| Self::Friend { username, friend }),
            None => (path == "friends").then_some(Self::Friends { username }),
        }
    }

    /// The user on whose behalf `method` changes something here, as sent; `None` when it changes
    /// nothing.
    pub fn writes(&self, method: &Method) -> Option<&'a str> {
        match self {
            Self::Hello { username } | Self::Friend { username, .. }
                if matches!(*method, Method::PUT | Method::DELETE) =>
            {
                Some(username)
            }
            _ => None,
        }
    }

    /// The route without its parameters.
    pub fn template(&self) -> Template {
        match self {
            Self::Hello { .. } => Template::Hello,
            Self::Landing => Template::Landing,
            Self::Docs => Template::Docs,
            Self::OpenApi => Template::OpenApi,
            Self::Style => Template::Style,
            Self::Problems => Template::Problems,
            Self::Problem { .. } => Template::Problem,
            Self::Users => Template::Users,
            Self::Friends { .. } => Template::Friends,
            Self::FriendBirthdays { .. } => Template::FriendBirthdays,
            Self::Friend { .. } => Template::Friend,
        }
    }
}

impl Template {
    /// All of them, in the order of [`Template::index`].
    pub const ALL: [Self; 12] = [
        Self::Hello,
        Self::Users,
        Self::Friends,
        Self::FriendBirthdays,
        Self::Friend,
        Self::Landing,
        Self::Docs,
        Self::OpenApi,
        Self::Style,
        Self::Problems,
        Self::Problem,
        Self::Unmatched,
    ];

    /// The position in [`Template::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// As it appears in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "/hello/{username}",
            Self::Users => "/users",
            Self::Friends => "/users/{username}/friends",
            Self::FriendBirthdays => "/users/{username}/friends/birthdays",
            Self::Friend => "/users/{username}/friends/{friend}",
            Self::Landing => "/",
            Self::Docs => "/docs",
            Self::OpenApi => "/openapi.json",
            Self::Style => "/style.css",
            Self::Problems => "/problems",
            Self::Problem => "/problems/{problem}",
            Self::Unmatched => "unmatched",
        }
    }

    /// The methods the route knows, as the `Allow` header lists them.
    pub fn allow(self) -> &'static str {
        match self {
            Self::Hello | Self::Friend => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Users
            | Self::Friends
            | Self::FriendBirthdays
            | Self::Landing
            | Self::Docs
            | Self::OpenApi
            | Self::Style
            | Self::Problems
            | Self::Problem => "GET, HEAD, OPTIONS",
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
        let username = "a";
        for (path, route) in [
            ("/", Route::Landing),
            ("/docs", Route::Docs),
            ("/openapi.json", Route::OpenApi),
            ("/problems", Route::Problems),
            ("/problems/x", Route::Problem { slug: "x" }),
            ("/users", Route::Users),
            ("/users/a/friends", Route::Friends { username }),
            (
                "/users/a/friends/birthdays",
                Route::FriendBirthdays { username },
            ),
            (
                "/users/a/friends/%62irthdays",
                Route::Friend {
                    username,
                    friend: "%62irthdays",
                },
            ),
        ] {
            assert_eq!(Route::find(path), Some(route), "{path}");
        }
        for path in [
            "/problems/",
            "/problems/x/",
            "/users/",
            "/users/a",
            "/users/a/",
            "/users//friends",
            "/users/a/friends/",
            "/users/a/friends/b/",
            "/users/a/friends/b/c",
            "/users/a/friends/birthdays/",
            "/users/a/friendsb",
            "",
            "/docs/",
            "/openapi",
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
    fn every_method_that_changes_something_is_somebodys() {
        let paths = [
            "/hello/a",
            "/users",
            "/users/a/friends",
            "/users/a/friends/birthdays",
            "/users/a/friends/b",
            "/",
            "/docs",
            "/openapi.json",
            "/style.css",
            "/problems",
            "/problems/not-found",
        ];
        let routes: Vec<_> = paths.into_iter().filter_map(Route::find).collect();
        assert_eq!(
            routes.len(),
            Template::ALL.len() - 1,
            "one path for each route"
        );
        for route in routes {
            for method in route.template().allow().split(", ") {
                let changes = !["GET", "HEAD", "OPTIONS"].contains(&method);
                let writer = route.writes(&method.parse().unwrap());
                assert_eq!(writer, changes.then_some("a"), "{method} {route:?}");
            }
        }
    }

    #[test]
    fn indices_are_positions() {
        for (position, template) in Template::ALL.into_iter().enumerate() {
            assert_eq!(template.index(), position);
        }
    }
}
