//! The accept loop. warp's own server sets no TCP_NODELAY, no header timeout, no connection limit
//! and no deadline for draining.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::metrics::gauge::Gauge;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use warp::Filter;

use super::connection::{Connection, Timeouts};
use super::message::Response;
use super::seats::{Seat, Seats};
use super::tls::Tls;
use super::wire::ExplainUnreadable;
use crate::lifecycle::{Phase, PhaseWatch};

/// Limits of one listener.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections at a time. Another one takes the place of an idle one, and waits while there is none.
    pub max_connections: u32,
    /// The same for one client, if there is a limit. When none of its connections is idle, another one is closed at once.
    pub max_connections_per_client: Option<u32>,
    /// When a connection has waited for too long.
    pub timeouts: Timeouts,
    /// The most bytes that may wait for clients to take them. Beyond, who keeps most of them waiting has to leave.
    pub max_untaken_bytes: usize,
    /// The largest head of a request, in bytes.
    pub max_header_bytes: usize,
    /// The longest time that open requests may take after the service stops.
    pub drain_timeout: Duration,
}

/// How one listener serves its connections.
#[derive(Debug)]
pub struct Listener {
    /// The limits.
    pub limits: ConnectionLimits,
    /// Certificates, when the listener speaks TLS.
    pub tls: Option<Tls>,
    /// Makes the response to a request whose head cannot be read.
    pub explain: ExplainUnreadable,
    /// When to stop.
    pub phase: PhaseWatch,
    /// Counts open connections.
    pub open: Gauge,
}

/// Counts a connection as open for as long as it exists, also when its task panics.
struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Listener {
    /// Answers requests on `socket` with `filter` until the service stops. Then it finishes open
    /// requests, for at most the drain timeout.
    pub async fn serve<F>(mut self, socket: TcpListener, filter: F)
    where
        F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
        F::Future: Send,
    {
        let seats = Seats::new(
            self.limits.max_connections,
            self.limits.max_connections_per_client,
            self.limits.max_untaken_bytes,
        );
        let builder = Arc::new(connection_builder(&self.limits));
        loop {
            let accepted = tokio::select! {
                () = self.phase.reached(Phase::Stopping) => break,
                accepted = accept(&socket, &seats) => accepted,
            };
            let Some((stream, seat)) = accepted else {
                continue;
            };
            let connection = Connection {
                seat,
                builder: builder.clone(),
                timeouts: self.limits.timeouts,
                explain: self.explain,
                phase: self.phase.clone(),
            };
            let (filter, tls) = (filter.clone(), self.tls.clone());
            let open = self.open.clone();
            tokio::spawn(async move {
                let _open = Open::new(open);
                // Without it, responses wait for the client's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                match tls {
                    None => connection.run(stream, filter).await,
                    // In a box of its own, so that connections without TLS need no memory for it.
                    Some(tls) => Box::pin(connection.run_tls(tls, stream, filter)).await,
                }
            });
        }
        drop(socket);
        // Every connection has a seat until it ends.
        let drained = tokio::time::timeout(self.limits.drain_timeout, seats.empty()).await;
        if drained.is_err() {
            tracing::warn!("requests were still open at the end of the drain timeout");
        }
    }
}

fn connection_builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's own header timeout starts a timer for every request; `Connection` has one in all.
    builder
        .http1()
        .header_read_timeout(None)
        // A client may say that it will send no more, and still waits for its answer.
        .half_close(true)
        .max_buf_size(limits.max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(32)
        // What a client may send before anybody reads it. No body that is accepted is larger than the first.
        .initial_stream_window_size(16 << 10)
        .initial_connection_window_size(64 << 10)
        .keep_alive_interval(limits.timeouts.header)
        .keep_alive_timeout(limits.timeouts.header);
    builder
}

/// The next connection, once there is a seat for it. `None` when accepting fails.
async fn accept(socket: &TcpListener, seats: &Arc<Seats>) -> Option<(TcpStream, Seat)> {
    match socket.accept().await {
        Ok((stream, peer)) => Some((stream, seats.take(peer.ip()).await?)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            // Only time brings them back. Any other error is of the one connection, and the next one may be fine.
            if is_out_of_resources(&error) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None
        }
    }
}

/// Whether the system has no file descriptor or no memory for a connection.
fn is_out_of_resources(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .into_iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_resources_is_waited_for() {
        let is =
            |errno: Errno| is_out_of_resources(&io::Error::from_raw_os_error(errno.raw_os_error()));
        for lack in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is(lack), "{lack}");
        }
        // What accept(2) passes on from a connection that failed before it was accepted.
        for other in [
            Errno::CONNABORTED,
            Errno::NETDOWN,
            Errno::PROTO,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::PERM,
            Errno::INTR,
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
