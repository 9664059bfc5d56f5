//! The table of routes, and what follows from it: finding the route of a path, the `Allow` header,
//! authorization, the call of the handler, the labels of metrics, and the list of operations of the
//! OpenAPI document.
//!
//! To add a route, add a row here and a handler in a file of its own. A row under `operations` has
//! a path template and a handler for each method; it is part of the OpenAPI document, from where the
//! annotation `utoipa::path` of the handler describes it. A row under `pages` has an expression and
//! answers GET alone.
//!
//! - `path` has the parameters of the path as sent, in the order of the template: still
//!   percent-encoded, and not checked.
//! - HEAD is answered as GET, and OPTIONS with the methods of the row.
//! - Every method except GET changes the user in the first parameter, and GET shows that user: where
//!   tokens are needed, it needs a token for that user.
//! - Of two rows that match a path, the first counts.

use bytes::Buf;
use futures::Stream;
use http::Method;

use super::context::Api;
use super::problem::Problem;
use super::template::{MAX_PARAMETERS, PathTemplate};
use super::{documentation, friends, hello, response, users};
use crate::serving::{RequestHead, Response};

/// A route and the parameters of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The route.
    pub route: Route,
    /// The parameters as sent; empty where the template has fewer.
    pub parameters: [&'a str; MAX_PARAMETERS],
}

macro_rules! routes {
    (
        given ($api:ident, $head:ident, $path:ident, $body:ident);
        operations {
            $($operation:ident $template:literal {
                GET $($get:ident)::+ ($($get_argument:expr),*);
                $($method:ident $($handler:ident)::+ ($($argument:expr),*);)*
            })*
        }
        pages {
            $($page:ident $page_template:literal => $page_response:expr;)*
        }
    ) => {
        /// A row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Route {
            $(#[doc = concat!("`", $template, "`")] $operation,)*
            $(#[doc = concat!("`", $page_template, "`")] $page,)*
        }

        impl Route {
            /// All rows; the position of a row is its number as an integer.
            pub const ALL: &[Self] = &[$(Self::$operation,)* $(Self::$page,)*];

            /// The path templates of [`Route::ALL`].
            const TEMPLATES: &[PathTemplate] = &[
                $(PathTemplate::new($template),)*
                $(PathTemplate::new($page_template),)*
            ];

            /// The methods as the `Allow` header lists them.
            pub fn allow(self) -> &'static str {
                match self {
                    $(Self::$operation =>
                        concat!("GET, HEAD, ", $(stringify!($method), ", ",)* "OPTIONS"),)*
                    $(Self::$page => "GET, HEAD, OPTIONS",)*
                }
            }

            /// Whether `method` changes the user in the first parameter.
            fn writes(self, method: &Method) -> bool {
                match (self, method) {
                    $($((Self::$operation, &Method::$method) => true,)*)*
                    _ => false,
                }
            }

            /// Whether `method` shows what is stored about users.
            fn shows(self, method: &Method) -> bool {
                match (self, method) {
                    $((Self::$operation, &Method::GET | &Method::HEAD) => true,)*
                    _ => false,
                }
            }
        }

        /// Calls the handler of a request.
        ///
        /// # Errors
        /// 405 when the route does not have the method, or the problem that the handler reports.
        pub async fn call<B: Buf>(
            found: Found<'_>,
            $api: &Api,
            $head: &RequestHead,
            $body: impl Stream<Item = Result<B, warp::Error>> + Send,
        ) -> Result<Response, Problem> {
            let $path = found.parameters;
            match (found.route, &$head.method) {
                $(
                    (Route::$operation, &Method::GET | &Method::HEAD) => {
                        $($get)::+($($get_argument),*).await
                    }
                    $((Route::$operation, &Method::$method) => {
                        $($handler)::+($($argument),*).await
                    })*
                )*
                $((Route::$page, &Method::GET | &Method::HEAD) => $page_response,)*
                (route, &Method::OPTIONS) => Ok(response::options(route.allow())),
                (route, _) => Err(Problem::method_not_allowed(route.allow())),
            }
        }

        /// The operations of the OpenAPI document.
        #[cfg(test)]
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($get)::+, $($($handler)::+,)*)*))]
        pub struct Operations;

        #[cfg(test)]
        impl Route {
            /// Rows that the OpenAPI document leaves out.
            pub const PAGES: &[Self] = &[$(Self::$page,)*];
        }
    };
}

routes! {
    given (api, head, path, body);
    operations {
        Hello "/hello/{username}" {
            GET hello::get(api, path[0], &head.headers);
            PUT hello::put(api, path[0], &head.headers, body);
            DELETE hello::delete(api, path[0], &head.headers);
        }
        Users "/users" {
            GET users::list(api, head.uri.query());
        }
        Friends "/users/{username}/friends" {
            GET friends::list(api, path[0], head.uri.query());
        }
        // Before the next row: a friend of that name is reached with one letter percent-encoded.
        FriendBirthdays "/users/{username}/friends/birthdays" {
            GET friends::birthdays(api, path[0], head.uri.query());
        }
        Friend "/users/{username}/friends/{friend}" {
            GET friends::get(api, path[0], path[1]);
            PUT friends::put(api, path[0], path[1]);
            DELETE friends::delete(api, path[0], path[1]);
        }
    }
    pages {
        Landing "/" => Ok(documentation::landing());
        Docs "/docs" => Ok(documentation::docs());
        OpenApi "/openapi.json" => Ok(documentation::openapi());
        Style "/style.css" => Ok(documentation::style());
        Script "/script.js" => Ok(documentation::script());
        Problems "/problems" => Ok(documentation::problems());
        Problem "/problems/{problem}" => documentation::problem(path[0]);
    }
}

impl Route {
    /// The path template, as metrics, logs and traces show it.
    pub fn template(self) -> &'static str {
        Self::TEMPLATES[self as usize].text()
    }

    /// The path templates of [`Route::ALL`].
    pub fn templates() -> Vec<&'static str> {
        Self::TEMPLATES.iter().map(PathTemplate::text).collect()
    }
}

impl<'a> Found<'a> {
    /// The route of `path`. Nothing is decoded or normalised: `//hello/alice` and `/hello/alice/`
    /// are other paths than `/hello/alice`, and unknown.
    pub fn from_path(path: &'a str) -> Option<Self> {
        let rows = Route::ALL.iter().zip(Route::TEMPLATES);
        rows.into_iter().find_map(|(route, template)| {
            Some(Self {
                route: *route,
                parameters: template.parameters(path)?,
            })
        })
    }

    /// What `method` does here, and to whom; the user is as sent.
    pub fn access(&self, method: &Method) -> Access<'a> {
        let user = self.parameters[0];
        if self.route.writes(method) {
            Access::Write(user)
        } else if self.route.shows(method) {
            Access::Read((!user.is_empty()).then_some(user))
        } else {
            Access::Public
        }
    }
}

/// What a request does, as far as that is not for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access<'a> {
    /// Nothing that concerns users.
    Public,
    /// It shows what is stored about this user, or about all.
    Read(Option<&'a str>),
    /// It changes this user.
    Write(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(Route, [&str; 2])> {
        Found::from_path(path).map(|found| (found.route, found.parameters))
    }

    #[test]
    fn finds_exact_paths_only() {
        for (path, route, parameters) in [
            ("/hello/alice", Route::Hello, ["alice", ""]),
            ("/hello/%2F", Route::Hello, ["%2F", ""]),
            ("/", Route::Landing, ["", ""]),
            ("/docs", Route::Docs, ["", ""]),
            ("/openapi.json", Route::OpenApi, ["", ""]),
            ("/problems", Route::Problems, ["", ""]),
            ("/problems/x", Route::Problem, ["x", ""]),
            ("/users", Route::Users, ["", ""]),
            ("/users/a/friends", Route::Friends, ["a", ""]),
            (
                "/users/a/friends/birthdays",
                Route::FriendBirthdays,
                ["a", ""],
            ),
            (
                "/users/a/friends/%62irthdays",
                Route::Friend,
                ["a", "%62irthdays"],
            ),
        ] {
            assert_eq!(found(path), Some((route, parameters)), "{path}");
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
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn no_row_hides_a_later_one() {
        for (position, route) in Route::ALL.iter().enumerate() {
            assert_eq!(*route as usize, position);
            // A template is a path, too.
            let found = Found::from_path(route.template()).map(|found| found.route);
            assert_eq!(found, Some(*route));
        }
    }

    #[test]
    fn every_method_that_changes_or_shows_something_is_for_the_user_in_the_path() {
        for route in Route::ALL {
            let path = route
                .template()
                .replace("{username}", "a")
                .replace("{friend}", "b");
            let found = Found::from_path(&path).unwrap();
            for method in route.allow().split(", ") {
                let expected = match method {
                    "OPTIONS" => Access::Public,
                    "GET" | "HEAD" if Route::PAGES.contains(route) => Access::Public,
                    "GET" | "HEAD" => Access::Read((*route != Route::Users).then_some("a")),
                    _ => Access::Write("a"),
                };
                let access = found.access(&method.parse().unwrap());
                assert_eq!(access, expected, "{method} {route:?}");
            }
        }
    }
}
