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
use super::wire::{self, ExplainUnreadable};
use crate::lifecycle::{Phase, PhaseWatch};

/// One connection and what it needs.
pub struct Connection {
    /// Its share of the connection limit, released when the connection ends.
    pub seat: Seat,
    /// hyper's settings.
    pub builder: Arc<auto::Builder<TokioExecutor>>,
    /// The longest time without a request, or up to half as long again.
    pub idle_timeout: Duration,
    /// Makes the response to a request whose head cannot be read.
    pub explain: ExplainUnreadable,
    /// When to stop.
    pub phase: PhaseWatch,
}

impl Connection {
    /// Does the TLS handshake first, within the idle timeout.
    pub async fn run_tls<F>(mut self, tls: Tls, stream: TcpStream, filter: F)
    where
        F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
        F::Future: Send,
    {
        let handshake = tokio::time::timeout(self.idle_timeout, tls.accept(stream));
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
        let io = TokioIo::new(wire::guard(stream, self.explain));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = idle(&activity, self.idle_timeout) => {
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

/// Ends when there was no request for `timeout`, or up to half as long again: one timer for a
/// connection instead of one for each request.
async fn idle(activity: &Activity, timeout: Duration) {
    let mut idle_since = None;
    let mut ticks = 0;
    loop {
        tokio::time::sleep(timeout / 2).await;
        let idle = activity.idle_since();
        ticks = if idle.is_some() && idle == idle_since {
            ticks + 1
        } else {
            0
        };
        idle_since = idle;
        if ticks == 2 {
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
        headers: parts.headers,
        peer,
    };
    let mut request = hyper::Request::new(body);
    request.extensions_mut().insert(Arc::new(head));
    request
}
