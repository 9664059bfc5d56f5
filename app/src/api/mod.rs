//! The API over HTTP: one infallible handler. [`routes`] is the table of what it answers.

mod authorization;
mod body;
mod client_address;
mod conditional;
mod context;
mod cors;
mod cursor;
mod documentation;
mod friends;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hello;
pub mod openapi;
#[cfg(test)]
mod openapi_definition;
mod problem;
mod problem_kind;
mod query;
mod rate_limit;
mod response;
mod routes;
mod template;
mod username;
mod users;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use futures::stream::FusedStream as _;
use futures::{FutureExt, Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, header};
use prometheus_client::metrics::gauge::Gauge;
use warp::Filter;

use crate::lifecycle::Phase;
use crate::serving::{RequestHead, Response, without_body};
use crate::telemetry::{Entry, TraceId, TraceParent, UNMATCHED, X_REQUEST_ID, panic_message};

pub use client_address::{ForwardedHeader, Network, TrustedProxies};
pub use context::Api;
pub use cors::{Cors, Origin};
pub use problem::{Problem, explain_unreadable};
pub use problem_kind::ProblemKind;
pub use rate_limit::{Rate, RateLimit, RateLimitOptions};
pub use routes::Route;

use routes::Found;

/// The longest path with query that is accepted, in bytes. The longest name there is, 64 letters of
/// four bytes each, decomposed and percent-encoded, is shorter.
const MAX_TARGET: usize = 4096;

impl Api {
    /// Answers one request, whatever it contains. A handler that panics answers 500.
    pub async fn handle<B: Buf>(
        &self,
        head: &RequestHead,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Response {
        let started = Instant::now();
        let _in_flight = InFlight::new(&self.metrics.in_flight);
        let found = Found::from_path(head.uri.path());
        let route = found.map(|found| found.route);
        let parent = TraceParent::from_headers(&head.headers);
        let trace = parent.map(|parent| parent.trace_id);
        #[cfg(feature = "otlp")]
        let span = self.spans.as_ref().map(|spans| {
            spans.start(
                &head.method,
                route.map(Route::template),
                parent,
                &head.headers,
            )
        });
        #[cfg(feature = "otlp")]
        let trace = span.as_ref().map_or(trace, |span| span.trace_id());
        // What a panic can leave half done is the request's own, or guarded by the store.
        let mut body = pin!(body.fuse());
        let answer = AssertUnwindSafe(self.dispatch(head, found, body.as_mut()));
        let mut response = self.respond(head, route, answer.catch_unwind().await);
        let unread = !body.is_terminated()
            && body::is_declared(&head.headers)
            && !response.headers().contains_key(header::CONNECTION);
        if unread {
            // In a box of its own, so that the other requests need no memory for it.
            response = Box::pin(settled(response, &head.headers, body)).await;
        }
        if self.phase.get() != Phase::Serving {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.record(head, route, trace, &response, started.elapsed());
        #[cfg(feature = "otlp")]
        if let Some(span) = span {
            span.end(response.status());
        }
        response
    }

    /// Counts and logs an answered request.
    fn record(
        &self,
        head: &RequestHead,
        route: Option<Route>,
        trace: Option<TraceId>,
        response: &Response,
        elapsed: Duration,
    ) {
        let status = response.status();
        self.metrics.record(
            route.map(|route| route as usize),
            &head.method,
            status,
            elapsed,
        );
        if let Some(log) = &self.access_log {
            log.record(Entry {
                method: &head.method,
                route: route.map_or(UNMATCHED, Route::template),
                status,
                elapsed,
                trace,
                request_id: request_id(response),
            });
        }
    }

    async fn dispatch<B: Buf>(
        &self,
        head: &RequestHead,
        found: Option<Found<'_>>,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Response, Problem> {
        if let Some(limit) = &self.rate_limit {
            limit.check(head)?;
        }
        if !head.names_its_host() {
            return Err(Problem::new(ProblemKind::MalformedRequest));
        }
        let target = head.uri.path_and_query();
        if target.is_some_and(|target| target.as_str().len() > MAX_TARGET) {
            return Err(Problem::new(ProblemKind::UriTooLong));
        }
        if head.method == Method::OPTIONS && head.uri.path() == "*" {
            return Ok(response::options(Route::Hello.allow()));
        }
        let Some(found) = found else {
            return Err(Problem::new(ProblemKind::NotFound));
        };
        authorization::check(self, head, found.access(&head.method)).await?;
        routes::call(found, self, head, body).await
    }

    /// The response to what a handler made of a request.
    fn respond(
        &self,
        head: &RequestHead,
        route: Option<Route>,
        outcome: Result<Result<Response, Problem>, Box<dyn Any + Send>>,
    ) -> Response {
        let id = self
            .request_ids
            .as_ref()
            .map(|ids| ids.for_headers(&head.headers));
        let text = id.as_ref().and_then(|id| id.to_str().ok());
        let mut response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(problem)) => problem.into_response(text),
            Err(panic) => self.after_panic(route, text, &*panic),
        };
        if let Some(id) = id {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some(cors) = &self.cors {
            cors.apply(head, &mut response);
        }
        if head.method == Method::HEAD {
            response = without_body(response);
        }
        response
    }

    /// Counts and logs a panic of a handler, and makes the response.
    fn after_panic(
        &self,
        route: Option<Route>,
        request_id: Option<&str>,
        panic: &(dyn Any + Send),
    ) -> Response {
        self.metrics.handler_panics.inc();
        tracing::error!(
            route = route.map_or(UNMATCHED, Route::template),
            request_id,
            panic = panic_message(panic),
            "a handler panicked"
        );
        Problem::new(ProblemKind::InternalError).into_response(request_id)
    }
}

/// The id of the request that is answered.
fn request_id(response: &Response) -> Option<&str> {
    response.headers().get(X_REQUEST_ID)?.to_str().ok()
}

/// The response, once the rest of the request's body is read; it ends the connection where that is not possible.
async fn settled<B: Buf>(
    mut response: Response,
    headers: &HeaderMap,
    rest: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response {
    if !body::discard(headers, rest).await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The warp filter that hands every request to [`Api::handle`]. Serving puts the head into the
/// extensions of the request, because warp's own filters decode, clone or reject.
pub fn filter(
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

/// Counts a request as in flight until it is dropped, also when it is cancelled.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
