//! One client's connection.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use warp::Filter;

use super::explained::Explained;
use super::framing::FramingGuard;
use super::tls::Tls;
use super::{RequestHead, Response};
use crate::lifecycle::{Phase, PhaseWatch};

/// What a connection is run with.
pub struct Connection {
    /// Its place among the connections there may be; free again when it is done.
    pub _slot: OwnedSemaphorePermit,
    /// How HTTP is spoken.
    pub builder: Arc<auto::Builder<TokioExecutor>>,
    /// The longest it may go without a request, give or take half.
    pub idle_timeout: Duration,
    /// Who is at the other end.
    pub peer: IpAddr,
    /// Whether the service is on its way down.
    pub phase: PhaseWatch,
}

/// What a connection has done.
#[derive(Debug, Default)]
struct Activity {
    /// Requests that came, ever.
    begun: AtomicUsize,
    /// Requests that were answered or given up.
    ended: AtomicUsize,
}

impl Activity {
    /// The number of requests so far when none is being answered.
    fn idle_since(&self) -> Option<usize> {
        let ended = self.ended.load(Ordering::Relaxed);
        (self.begun.load(Ordering::Relaxed) == ended).then_some(ended)
    }
}

/// Counts a request as ended, also when it is cancelled.
struct Ending(Arc<Activity>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Does the TLS handshake first, within the time that a head may take.
    pub async fn run_tls<F>(mut self, tls: Tls, stream: TcpStream, filter: F)
    where
        F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
        F::Future: Send,
    {
        let handshake = tokio::time::timeout(self.idle_timeout, tls.accept(stream));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            () = self.phase.reached(Phase::Stopping) => return,
        };
        match outcome {
            Ok(Ok(stream)) => self.run(stream, filter).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
            Err(_) => tracing::debug!("closed a silent connection"),
        }
    }

    /// Answers the connection's requests with `filter` until the client leaves, goes silent, or
    /// the service stops.
    pub async fn run<F, S>(mut self, stream: S, filter: F)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
        F::Future: Send,
    {
        let activity = Arc::new(Activity::default());
        let inner = TowerToHyperService::new(warp::service(filter));
        let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
            activity.begun.fetch_add(1, Ordering::Relaxed);
            let ending = Ending(activity.clone());
            let answer = inner.call(with_head(request, self.peer));
            async move {
                let _ending = ending;
                answer.await
            }
        });
        let io = TokioIo::new(FramingGuard::new(Explained::new(stream)));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = silence(&activity, self.idle_timeout) => {
                tracing::debug!("closed a silent connection");
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

/// Ends when there was no request for `timeout`, or up to half as long again: one timer a
/// connection instead of one a request.
async fn silence(activity: &Activity, timeout: Duration) {
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

/// Moves the request's head to where the filter takes it from.
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
