//! One client's connection.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use warp::Filter;

use super::message::{RequestHead, Response};
use super::seats::{Activity, Seat};
use super::tls::Tls;
use super::wire::{self, ExplainUnreadable, HeadDue};
use crate::lifecycle::{Phase, PhaseWatch};

/// One connection and what it needs.
pub struct Connection {
    /// Its share of the connection limit, released when the connection ends.
    pub seat: Seat,
    /// hyper's settings.
    pub builder: Arc<auto::Builder<TokioExecutor>>,
    /// The longest time that a head may take, or up to half as long again; also the first one, and the TLS handshake.
    pub header_timeout: Duration,
    /// The longest time between two requests, or up to half the shorter of both more.
    pub idle_timeout: Duration,
    /// Makes the response to a request whose head cannot be read.
    pub explain: ExplainUnreadable,
    /// When to stop.
    pub phase: PhaseWatch,
}

impl Connection {
    /// Does the TLS handshake first, within the time of a head.
    pub async fn run_tls<F>(mut self, tls: Tls, stream: TcpStream, filter: F)
    where
        F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
        F::Future: Send,
    {
        let handshake = tokio::time::timeout(self.header_timeout, tls.accept(stream));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            () = self.seat.activity.has_to_leave() => return,
            () = self.phase.reached(Phase::Stopping) => return,
        };
        match outcome {
            Ok(Ok(stream)) => self.run(stream, filter).await,
            Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => tracing::debug!("closed an idle connection"),
        }
    }

    /// Answers the connection's requests with `filter` until the client closes it, it is idle for
    /// too long, or the service stops.
    pub async fn run<F, S>(mut self, stream: S, filter: F)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
        F::Future: Send,
    {
        let (activity, peer) = (self.seat.activity.clone(), self.seat.peer);
        let inner = TowerToHyperService::new(warp::service(filter));
        let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
            let open = activity.request();
            let answer = inner.call(with_head(request, peer));
            async move {
                let _open = open;
                answer.await
            }
        });
        let (guarded, head_due) = wire::guard(stream, self.explain);
        let io = TokioIo::new(guarded);
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = idle(&activity, &head_due, self.header_timeout, self.idle_timeout) => {
                tracing::debug!("closed an idle connection");
                return;
            }
            () = activity.has_to_leave() => {
                tracing::debug!("closed an idle connection for another one");
                return;
            }
            () = self.phase.reached(Phase::Stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(error, "a connection ended early");
        }
    }
}

/// Ends when a head, or the time between two requests, has taken too long. One timer for a connection instead of one for each
/// request: it looks twice in the shorter time whether anything has changed.
async fn idle(
    activity: &Activity,
    head_due: &HeadDue,
    header_timeout: Duration,
    idle_timeout: Duration,
) {
    let tick = header_timeout.min(idle_timeout) / 2;
    let (mut last, mut quiet) = (None, Duration::ZERO);
    loop {
        tokio::time::sleep(tick).await;
        let now = activity.idle_since().map(|count| (count, head_due.get()));
        quiet = if now == last {
            quiet + tick
        } else {
            Duration::ZERO
        };
        last = now;
        let longest = match now {
            None => continue,
            Some((_, true)) => header_timeout,
            Some((_, false)) => idle_timeout,
        };
        if quiet >= longest {
            return;
        }
    }
}

/// Moves the request's head into the extensions, from where the filter takes it.
fn with_head(request: hyper::Request<Incoming>, peer: IpAddr) -> hyper::Request<Incoming> {
    let (parts, body) = request.into_parts();
    let head = RequestHead {
        method: parts.method,
        uri: parts.uri,
        version: parts.version,
        headers: parts.headers,
        peer,
    };
    let mut request = hyper::Request::new(body);
    request.extensions_mut().insert(Arc::new(head));
    request
}
