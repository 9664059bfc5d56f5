//! The API over HTTP: one infallible handler, routed by hand.

mod admin;
mod authorization;
mod body;
mod client_address;
mod conditional;
mod connection;
mod cursor;
mod explained;
mod framing;
mod friends;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hello;
pub mod openapi;
mod pages;
mod problem;
mod problem_pages;
mod query;
mod rate_limit;
mod router;
mod server;
mod tls;
mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures::Stream;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use warp::Filter;

use crate::auth::Authenticator;
use crate::domain::{Calendar, LeapDay, UsernameRule};
use crate::lifecycle::{Phase, PhaseWatch};
use crate::store::Store;
use crate::telemetry::{AccessLog, Entry, HttpMetrics, TraceParent};

pub use admin::{Admin, filter as admin_filter};
pub use client_address::{ForwardedHeader, Network, TrustedProxies};
pub use problem::{FieldError, Location, Problem, ProblemKind};
pub use rate_limit::{Rate, RateLimit, RateLimitOptions};
pub use router::{Route, Template};
pub use server::{ConnectionLimits, serve};
pub use tls::{Tls, TlsError, TlsFiles};

/// An answer.
pub type Response = http::Response<Bytes>;

/// The longest path with query that is looked at, in bytes. The longest name there is, 64 letters
/// of four bytes each, decomposed and percent-encoded, is shorter.
const MAX_TARGET: usize = 4096;

/// What is known of a request before its body.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target as it was sent: nothing in it is decoded yet.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// Who has sent it: the client, or a proxy.
    pub peer: IpAddr,
}

/// Everything a request is answered with.
pub struct Api {
    /// Where people are kept.
    pub store: Arc<dyn Store>,
    /// Tells what day it is.
    pub calendar: Calendar,
    /// When people born on 29 February celebrate.
    pub leap_day: LeapDay,
    /// Which letters a name may hold.
    pub usernames: UsernameRule,
    /// Judges who may write; everybody may when there is none.
    pub authenticator: Option<Authenticator>,
    /// The longest a request's body may take to arrive.
    pub body_timeout: Duration,
    /// Limits each client's requests, when that is asked for.
    pub rate_limit: Option<RateLimit>,
    /// Counts requests.
    pub metrics: Arc<HttpMetrics>,
    /// Writes a line for each request, when the log level asks for it.
    pub access_log: Option<AccessLog>,
    /// Makes a span of each request, when there is a collector for them.
    #[cfg(feature = "otlp")]
    pub spans: Option<Arc<crate::telemetry::Spans>>,
    /// Whether the service is on its way down.
    pub phase: PhaseWatch,
}

impl Api {
    /// Answers one request, whatever it is.
    pub async fn handle<B: Buf>(
        &self,
        head: &RequestHead,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Response {
        let started = Instant::now();
        let _in_flight = InFlight::new(&self.metrics);
        let path = head.uri.path();
        let route = Route::find(path);
        let template = route.as_ref().map_or(Template::Unmatched, Route::template);
        let parent = TraceParent::from_headers(&head.headers);
        let trace = parent.map(|parent| parent.trace_id);
        #[cfg(feature = "otlp")]
        let span = self
            .spans
            .as_ref()
            .map(|spans| spans.start(&head.method, template, parent, &head.headers));
        #[cfg(feature = "otlp")]
        let trace = span.as_ref().map_or(trace, |span| span.trace_id());
        let mut response = match self.dispatch(head, route, body).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        if head.method == Method::HEAD {
            response = without_body(response);
        }
        if self.phase.get() != Phase::Serving {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let elapsed = started.elapsed();
        self.metrics
            .record(template, &head.method, response.status(), elapsed);
        if let Some(log) = &self.access_log {
            log.record(Entry {
                method: &head.method,
                route: template.as_str(),
                status: response.status(),
                elapsed,
                trace,
            });
        }
        #[cfg(feature = "otlp")]
        if let Some(span) = span {
            span.end(response.status());
        }
        response
    }

    async fn dispatch<B: Buf>(
        &self,
        head: &RequestHead,
        route: Option<Route<'_>>,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Response, Problem> {
        if let Some(limit) = &self.rate_limit {
            limit.check(head)?;
        }
        if head
            .uri
            .path_and_query()
            .is_some_and(|target| target.as_str().len() > MAX_TARGET)
        {
            return Err(Problem::new(ProblemKind::UriTooLong));
        }
        if head.method == Method::OPTIONS && head.uri.path() == "*" {
            return Ok(options(Template::Hello.allow()));
        }
        let Some(route) = route else {
            return Err(Problem::new(ProblemKind::NotFound));
        };
        let allow = route.template().allow();
        authorization::check(self, head, &route).await?;
        let query = head.uri.query();
        match (route, &head.method) {
            (_, &Method::OPTIONS) => Ok(options(allow)),
            (Route::Hello { username }, &Method::GET | &Method::HEAD) => {
                hello::get(self, username, &head.headers).await
            }
            (Route::Hello { username }, &Method::PUT) => {
                hello::put(self, username, &head.headers, body).await
            }
            (Route::Hello { username }, &Method::DELETE) => {
                hello::delete(self, username, &head.headers).await
            }
            (Route::Landing, &Method::GET | &Method::HEAD) => Ok(pages::landing()),
            (Route::Docs, &Method::GET | &Method::HEAD) => Ok(pages::docs()),
            (Route::Style, &Method::GET | &Method::HEAD) => Ok(pages::style()),
            (Route::Problems, &Method::GET | &Method::HEAD) => Ok(problem_pages::index()),
            (Route::Problem { slug }, &Method::GET | &Method::HEAD) => {
                problem_pages::explanation(slug)
            }
            (Route::OpenApi, &Method::GET | &Method::HEAD) => Ok(json(openapi::DOCUMENT)),
            (Route::Users, &Method::GET | &Method::HEAD) => users::list(self, query).await,
            (Route::Friends { username }, &Method::GET | &Method::HEAD) => {
                friends::list(self, username, query).await
            }
            (Route::FriendBirthdays { username }, &Method::GET | &Method::HEAD) => {
                friends::birthdays(self, username, query).await
            }
            (Route::Friend { username, friend }, &Method::GET | &Method::HEAD) => {
                friends::get(self, username, friend).await
            }
            (Route::Friend { username, friend }, &Method::PUT) => {
                friends::put(self, username, friend).await
            }
            (Route::Friend { username, friend }, &Method::DELETE) => {
                friends::delete(self, username, friend).await
            }
            _ => Err(Problem::method_not_allowed(allow)),
        }
    }
}

/// The warp filter that hands every request to [`Api::handle`]. The serving loop puts the head
/// into the request's extensions, because warp's own filters decode, clone or reject.
pub fn api_filter(
    api: Arc<Api>,
) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    warp::ext::get::<Arc<RequestHead>>()
        .and(warp::body::stream())
        .then(move |head, body| {
            let api = api.clone();
            async move {
                let head: Arc<RequestHead> = head;
                api.handle(&head, body).await
            }
        })
}

fn options(allow: &'static str) -> Response {
    let mut response = no_content();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// 204.
pub fn no_content() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}

/// 200 with a JSON body.
pub fn json(body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// 200 with a value as JSON.
pub fn to_json(value: &impl serde::Serialize) -> Response {
    // Serialising plain strings, numbers and lists cannot fail.
    json(serde_json::to_vec(value).unwrap_or_default())
}

/// The same answer as to GET, with the length of the body that is left out.
fn without_body(mut response: Response) -> Response {
    let length = response.body().len();
    if length > 0 {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = Bytes::new();
    }
    response
}

/// Counts a request as being answered for as long as it lives, also when it is cancelled.
struct InFlight<'a>(&'a HttpMetrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a HttpMetrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request's future is moved on its way into the connection's task, whatever of it is used.
    #[test]
    fn a_request_takes_little_room() {
        type Body = futures::stream::Empty<Result<Bytes, warp::Error>>;
        fn size<A>(_: impl Fn(&'static Api, &'static RequestHead, Body) -> A) -> usize {
            size_of::<A>()
        }
        let size = size(|api, head, body| api.handle(head, body));
        assert!(size <= 640, "{size} bytes");
    }
}
