//! One client's connection.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use hyper::body::{Body as _, Incoming};
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use warp::Filter;

use super::message::{RequestHead, Response};
use super::seats::{Account, Activity, Debt, Seat};
use super::tls::Tls;
use super::wire::{self, ExplainUnreadable, HeadDue};
use crate::lifecycle::{Phase, PhaseWatch};

/// One connection and what it needs.
pub struct Connection {
    /// Its share of the connection limit, released when the connection ends.
    pub seat: Seat,
    /// hyper's settings.
    pub builder: Arc<auto::Builder<TokioExecutor>>,
    /// When it has waited for too long.
    pub timeouts: Timeouts,
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
        let handshake = tokio::time::timeout(self.timeouts.header, tls.accept(stream));
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
        let account = self.seat.account();
        // Whether one connection can have many requests at a time.
        let multiplexed = Arc::new(AtomicBool::new(false));
        let filter = filter.map({
            let (account, multiplexed) = (account.clone(), multiplexed.clone());
            move |answer| owed(answer, &account, multiplexed.load(Ordering::Relaxed))
        });
        let inner = TowerToHyperService::new(warp::service(filter));
        let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
            let many = request.version() == Version::HTTP_2;
            multiplexed.store(many, Ordering::Relaxed);
            let body_due = (many && !request.body().is_end_stream()).then(|| account.owe(STREAM));
            let open = (activity.request(), body_due);
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
            () = overdue(&activity, &head_due, self.timeouts) => {
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

/// The longest time for each thing that a connection waits for, or up to half the shortest of the three more.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the head of a request to arrive; also the first one, and the TLS handshake.
    pub header: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// In which a client takes none of the answers that wait for it.
    pub answer: Duration,
}

/// Ends when a head, the time between two requests, or the taking of an answer has taken too long. One timer for a connection
/// instead of one for each request: it looks twice in the shortest time whether anything has changed.
async fn overdue(activity: &Activity, head_due: &HeadDue, timeouts: Timeouts) {
    let tick = timeouts.header.min(timeouts.idle).min(timeouts.answer) / 2;
    let (mut last, mut quiet) = (None, Duration::ZERO);
    loop {
        tokio::time::sleep(tick).await;
        let now = match (activity.owes_since(), activity.idle_since()) {
            (Some(settled), _) => Some((settled, timeouts.answer)),
            (None, Some(count)) if head_due.get() => Some((count, timeouts.header)),
            (None, Some(count)) => Some((count, timeouts.idle)),
            (None, None) => None,
        };
        quiet = if now == last {
            quiet + tick
        } else {
            Duration::ZERO
        };
        last = now;
        if now.is_some_and(|(_, longest)| quiet >= longest) {
            return;
        }
    }
}

/// What a stream of HTTP/2 takes beside the bytes of its body.
const STREAM: usize = 4 << 10;
/// Where a connection has one request at a time, a body up to this size is no more than the connection itself.
const SMALL: usize = 1 << 10;

/// The bytes of an answer that the client owes us to take, wherever hyper keeps them.
struct Owed {
    bytes: Bytes,
    _debt: Debt,
}

impl AsRef<[u8]> for Owed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn owed(answer: Response, account: &Account, multiplexed: bool) -> Response {
    let size = answer.body().len();
    if size == 0 || (!multiplexed && size <= SMALL) {
        return answer;
    }
    let size = if multiplexed { size + STREAM } else { size };
    answer.map(|bytes| {
        let debt = account.owe(size);
        Bytes::from_owner(Owed { bytes, _debt: debt })
    })
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
