//! `serve`: starts the parts of the service, and stops them in order.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::admin::{self, Admin};
use crate::api::{self, Api, Cors, RateLimit, Route};
use crate::auth::Authenticator;
use crate::config::{ServeConfig, ServerOptions};
use crate::domain::{Calendar, SystemClock};
use crate::lifecycle::{self, Phase, PhaseControl, PhaseWatch, Signal, Signals};
use crate::serving::{
    ConnectionLimits, Listener, MemoryShares, Timeouts, Tls, TlsError, limit_of_control_group,
};
use crate::store::schema::MigrationError;
use crate::store::{
    DatabaseUrl, InvalidDatabaseUrl, PostgresOptions, PostgresStore, SqliteStore, Store,
};
use crate::telemetry::{AccessLog, LogSink, Metrics, RequestIds};

/// The largest head of a request, in bytes: the longest token, and what a client sends beside it.
const MAX_HEADER_BYTES: usize = 24 << 10;
/// Connections that may wait to be accepted. When the queue is full, clients retry only after a
/// second. The system caps the number (`net.core.somaxconn`).
const BACKLOG: u32 = 65_535;
/// Requests that may wait for one kind of database connection.
const QUEUE_CAPACITY: usize = 16_384;

/// Why the service did not start, or ended without a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The database URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// The embedded database cannot be opened.
    #[error("cannot open the embedded database: {0}")]
    Embedded(#[from] MigrationError),
    /// The certificate cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// Traces cannot be exported as the environment configures it.
    #[cfg(feature = "otlp")]
    #[error("{0}")]
    Traces(#[from] crate::telemetry::SpansError),
    /// A listener ended without a signal.
    #[error("the {0} listener ended unexpectedly")]
    Ended(&'static str),
    /// The system refuses threads or signals.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until a signal ends it.
///
/// # Errors
/// See [`ServeError`]. A PostgreSQL that is away is no error: the service waits for it.
pub async fn run(config: ServeConfig, sink: &LogSink) -> Result<(), ServeError> {
    raise_file_limit();
    let drain_delay = config.server.drain_delay;
    let mut service = Service::start(config, sink).await?;
    let mut signals = Signals::new()?;
    let signal = tokio::select! {
        signal = signals.next() => signal,
        _ = &mut service.api => return Err(ServeError::Ended("API")),
        _ = &mut service.admin => return Err(ServeError::Ended("health and metrics")),
    };
    let ending = async {
        if signal == Signal::Terminate {
            service.drain(drain_delay).await;
        }
        service.stop().await;
    };
    tokio::select! {
        () = ending => {}
        () = signals.interrupt() => tracing::warn!("interrupted: requests may be lost"),
    }
    Ok(())
}

/// The parts that run.
struct Service {
    store: Arc<dyn Store>,
    api: JoinHandle<()>,
    control: PhaseControl,
    /// Outlives the API's listener: it shows that the service is draining.
    admin: JoinHandle<()>,
    admin_control: PhaseControl,
    #[cfg(feature = "otlp")]
    spans: Option<Arc<crate::telemetry::Spans>>,
}

impl Service {
    async fn start(config: ServeConfig, sink: &LogSink) -> Result<Self, ServeError> {
        #[cfg(feature = "otlp")]
        let spans = crate::telemetry::Spans::from_environment()?.map(Arc::new);
        let tls = config.server.tls().map(Tls::start).transpose()?;
        let listener = listen(config.server.address())?;
        let admin_listener = listen(config.admin.admin_listen)?;
        let metrics = Arc::new(Metrics::new(&Route::templates()));
        let store = open_store(&config, &metrics).await?;
        let (control, phase) = lifecycle::phases();
        let (admin_control, admin_phase) = lifecycle::phases();
        let admin = Arc::new(Admin {
            store: store.clone(),
            metrics: metrics.clone(),
            phase: phase.clone(),
        });
        let (limits, admin_limits) = connection_limits(&config.server);
        let access_log = (config.log.log_level >= tracing::Level::INFO)
            .then(|| AccessLog::new(sink.writer(), config.log.log_format));
        let authenticator = config
            .oidc
            .map(|oidc| Authenticator::start(oidc, metrics.oidc.clone()));
        let api = Arc::new(Api {
            store: store.clone(),
            calendar: Calendar::new(Arc::new(SystemClock), config.greeting.time_zone),
            leap_day: config.greeting.leap_day,
            usernames: config.greeting.usernames,
            authenticator,
            body_timeout: config.server.body_timeout,
            rate_limit: config.rate_limit.map(RateLimit::new),
            cors: Cors::new(config.server.cors_origin),
            request_ids: config.server.request_id.then(RequestIds::default),
            metrics: metrics.http.clone(),
            access_log,
            #[cfg(feature = "otlp")]
            spans: spans.clone(),
            phase: phase.clone(),
        });
        log_listening(&listener, &admin_listener)?;
        let admin_listening = listening(admin_limits, None, admin_phase, Gauge::default());
        let open = metrics.http.connections.clone();
        let listening = listening(limits, tls, phase, open);
        Ok(Self {
            store,
            api: tokio::spawn(listening.serve(listener, api::filter(api))),
            control,
            admin: tokio::spawn(admin_listening.serve(admin_listener, admin::filter(admin))),
            admin_control,
            #[cfg(feature = "otlp")]
            spans,
        })
    }

    /// Continues to serve for `delay`, but asks clients and load balancers to go elsewhere.
    async fn drain(&self, delay: Duration) {
        self.control.advance(Phase::Draining);
        tracing::info!(?delay, "draining");
        tokio::time::sleep(delay).await;
    }

    /// Takes no new connections, finishes requests in progress, and closes the store.
    async fn stop(self) {
        self.control.advance(Phase::Stopping);
        tracing::info!("stopping");
        // Nothing aborts either task. If one panicked, the panic is in the log.
        let _ = self.api.await;
        self.store.close().await;
        #[cfg(feature = "otlp")]
        if let Some(spans) = self.spans {
            spans.close().await;
        }
        self.admin_control.advance(Phase::Stopping);
        let _ = self.admin.await;
        tracing::info!("stopped");
    }
}

/// How connections are accepted, and counted while they are `open`.
fn listening(
    limits: ConnectionLimits,
    tls: Option<Tls>,
    phase: PhaseWatch,
    open: Gauge,
) -> Listener {
    Listener {
        limits,
        tls,
        explain: api::explain_unreadable,
        phase,
        open,
    }
}

fn log_listening(api: &TcpListener, admin: &TcpListener) -> io::Result<()> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        api = %api.local_addr()?,
        admin = %admin.local_addr()?,
        "listening"
    );
    Ok(())
}

/// What bounds the connections of the API, and those of health and metrics.
fn connection_limits(options: &ServerOptions) -> (ConnectionLimits, ConnectionLimits) {
    let shares = MemoryShares::from_limit(options.memory_limit.or_else(limit_of_control_group));
    let max_connections = options.max_connections.map(NonZeroU32::get);
    let limits = ConnectionLimits {
        max_connections: max_connections.unwrap_or(shares.connections),
        max_connections_per_client: options.max_connections_per_client.map(NonZeroU32::get),
        timeouts: Timeouts {
            header: options.header_timeout,
            idle: options.idle_timeout,
            answer: options.answer_timeout,
        },
        max_untaken_bytes: shares.untaken_bytes,
        max_header_bytes: MAX_HEADER_BYTES,
        drain_timeout: options.drain_timeout,
    };
    let admin_limits = ConnectionLimits {
        max_connections: 64,
        max_connections_per_client: None,
        timeouts: Timeouts {
            header: Duration::from_secs(10),
            ..limits.timeouts
        },
        drain_timeout: Duration::from_millis(500),
        ..limits
    };
    (limits, admin_limits)
}

/// Raises the limit of open files to the highest that is allowed: every connection is a file to the
/// system, and the default limit is low.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where this is refused, the present limit stays.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Listens on an address. On `[::]` that is every address, those of IPv4 too; where the system has no IPv6, only those.
fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let unspecified = address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let listening = match listen_on(address) {
        Err(error) if unspecified && has_no_ipv6(&error) => {
            listen_on((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        listening => listening,
    };
    listening.map_err(|error| ServeError::Listen { address, error })
}

/// Whether the kernel was started without IPv6, or has it turned off.
fn has_no_ipv6(error: &io::Error) -> bool {
    let errors = [
        rustix::io::Errno::AFNOSUPPORT,
        rustix::io::Errno::ADDRNOTAVAIL,
    ];
    errors
        .iter()
        .any(|no| error.raw_os_error() == Some(no.raw_os_error()))
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of an earlier process may still be closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn open_store(config: &ServeConfig, metrics: &Metrics) -> Result<Arc<dyn Store>, ServeError> {
    config.database.prepare()?;
    match config.database.read()? {
        DatabaseUrl::Sqlite(options) => {
            tracing::info!(file = %options.get_filename().display(), "using embedded SQLite");
            Ok(Arc::new(SqliteStore::open(&options).await?))
        }
        DatabaseUrl::Postgres(_) => Ok(Arc::new(PostgresStore::start(PostgresOptions {
            url: config.database.clone(),
            read_connections: config.postgres.read_connections.get(),
            write_connections: config.postgres.write_connections.get(),
            query_connections: config.postgres.query_connections.get(),
            change_connections: config.postgres.change_connections.get(),
            deadline: config.postgres.database_deadline,
            connect_timeout: config.postgres.database_deadline,
            queue_capacity: QUEUE_CAPACITY,
            pooler: config.postgres.database_pooler,
            metrics: metrics.store.clone(),
        }))),
    }
}
