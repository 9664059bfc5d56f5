//! The accept loop. warp's own server sets no TCP_NODELAY, no header timeout, no connection limit
//! and no deadline for draining.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::Filter;

use super::Response;
use super::connection::Connection;
use super::tls::Tls;
use crate::lifecycle::{Phase, PhaseWatch};

/// What one listener grants its clients.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections at a time; more wait in the system's backlog.
    pub max_connections: u32,
    /// The longest a request's head may take to arrive, and a connection may be idle; it may be
    /// up to half as long again.
    pub header_timeout: Duration,
    /// The largest head of a request, in bytes.
    pub max_header_bytes: usize,
    /// The longest that open requests may take once the service stops.
    pub drain_timeout: Duration,
}

/// Answers requests on `listener` with `filter` until the service stops, then finishes what is
/// under way, at most for the drain timeout.
pub async fn serve<F>(
    listener: TcpListener,
    filter: F,
    limits: ConnectionLimits,
    tls: Option<Tls>,
    mut phase: PhaseWatch,
    open: Gauge,
) where
    F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let slots = Arc::new(Semaphore::new(limits.max_connections as usize));
    let builder = Arc::new(connection_builder(&limits));
    loop {
        let accepted = tokio::select! {
            () = phase.reached(Phase::Stopping) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else {
            continue;
        };
        let connection = Connection {
            _slot: slot,
            builder: builder.clone(),
            idle_timeout: limits.header_timeout,
            peer,
            phase: phase.clone(),
        };
        let (filter, tls, open) = (filter.clone(), tls.clone(), open.clone());
        tokio::spawn(async move {
            open.inc();
            // Without it, answers wait for the client's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            match tls {
                None => connection.run(stream, filter).await,
                // In a box of its own, so that connections without it take no memory for it.
                Some(tls) => Box::pin(connection.run_tls(tls, stream, filter)).await,
            }
            open.dec();
        });
    }
    drop(listener);
    // Every connection holds a slot until it is done.
    let all = slots.acquire_many(limits.max_connections);
    if tokio::time::timeout(limits.drain_timeout, all)
        .await
        .is_err()
    {
        tracing::warn!("requests were still open at the end of the drain timeout");
    }
}

fn connection_builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's own header timeout sets up a timer for every request; `Connection` has one in all.
    builder
        .http1()
        .header_read_timeout(None)
        .max_buf_size(limits.max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(128)
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// The next connection, once there is a slot for it. `None` when accepting failed.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip(), slot)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            // Out of file descriptors, most likely: they come back only with time.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
