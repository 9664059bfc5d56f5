//! `serve`: puts the parts together, and takes them down in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpSocket};

use crate::auth::Authenticator;
use crate::config::ServeConfig;
use crate::domain::{Calendar, SystemClock};
use crate::http::{self, Admin, Api, ConnectionLimits, RateLimit, Tls, TlsError};
use crate::lifecycle::{self, Phase, Signal};
use crate::store::schema::MigrationError;
use crate::store::{
    DatabaseUrl, InvalidDatabaseUrl, PostgresOptions, PostgresStore, SqliteStore, Store,
};
use crate::telemetry::{AccessLog, LogSink, Metrics, init_logging};

/// The largest head of a request, in bytes.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Connections that may wait to be accepted. Where it is full, clients try again only after a
/// second; the system allows less than this where it is set to (`net.core.somaxconn`).
const BACKLOG: u32 = 65_535;
/// Requests that may wait for one kind of database connection.
const QUEUE_CAPACITY: usize = 16_384;

/// Why the service did not start, or ended otherwise than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
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
    /// Traces cannot be exported as the environment asks.
    #[cfg(feature = "otlp")]
    #[error("{0}")]
    Traces(#[from] crate::telemetry::SpansError),
    /// The system refuses threads or signals.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until a signal ends it.
///
/// # Errors
/// See [`ServeError`]. A PostgreSQL that is away is no error: the service waits for it.
pub async fn run(config: ServeConfig, sink: &LogSink) -> Result<(), ServeError> {
    init_logging(sink, config.log_level, config.log_format);
    raise_file_limit();
    #[cfg(feature = "otlp")]
    let spans = crate::telemetry::Spans::from_environment()?.map(Arc::new);
    let tls = config.tls.clone().map(Tls::start).transpose()?;
    let listener = listen(config.listen)?;
    let admin_listener = listen(config.admin_listen)?;
    let metrics = Arc::new(Metrics::default());
    let store = open_store(&config, &metrics).await?;
    let (control, phase) = lifecycle::phases();
    // The admin listener outlives the API's: it shows that the service is draining.
    let (admin_control, admin_phase) = lifecycle::phases();
    let admin = Arc::new(Admin {
        store: store.clone(),
        metrics: metrics.clone(),
        phase: phase.clone(),
    });
    let access_log = (config.log_level >= tracing::Level::INFO)
        .then(|| AccessLog::new(sink.writer(), config.log_format));
    let authenticator = config
        .oidc
        .map(|oidc| Authenticator::start(oidc, metrics.oidc.clone()));
    let api = Arc::new(Api {
        store: store.clone(),
        calendar: Calendar::new(Arc::new(SystemClock), config.zone),
        leap_day: config.leap_day,
        usernames: config.usernames,
        authenticator,
        body_timeout: config.body_timeout,
        rate_limit: config.rate_limit.clone().map(RateLimit::new),
        metrics: metrics.http.clone(),
        access_log,
        #[cfg(feature = "otlp")]
        spans: spans.clone(),
        phase: phase.clone(),
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        api = %listener.local_addr()?,
        admin = %admin_listener.local_addr()?,
        "listening"
    );
    let limits = ConnectionLimits {
        max_connections: config.max_connections,
        header_timeout: config.header_timeout,
        max_header_bytes: MAX_HEADER_BYTES,
        drain_timeout: config.drain_timeout,
    };
    let admin_limits = ConnectionLimits {
        max_connections: 64,
        header_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_millis(500),
        ..limits.clone()
    };
    let admin_task = tokio::spawn(http::serve(
        admin_listener,
        http::admin_filter(admin),
        admin_limits,
        None,
        admin_phase,
        Gauge::default(),
    ));
    let api_task = tokio::spawn(http::serve(
        listener,
        http::api_filter(api),
        limits,
        tls,
        phase,
        metrics.http.connections.clone(),
    ));

    let signal = lifecycle::termination().await?;
    control.advance(Phase::Draining);
    if signal == Signal::Terminate {
        tracing::info!(delay = ?config.drain_delay, "draining");
        tokio::time::sleep(config.drain_delay).await;
    }
    control.advance(Phase::Stopping);
    tracing::info!("stopping");
    // Neither task is ever aborted, and a panic aborts the process.
    let _ = api_task.await;
    store.close().await;
    #[cfg(feature = "otlp")]
    if let Some(spans) = spans {
        spans.close().await;
    }
    admin_control.advance(Phase::Stopping);
    let _ = admin_task.await;
    tracing::info!("stopped");
    Ok(())
}

/// Every connection is a file to the system, which grants few of them unless asked for more.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // What is granted already will do where this is refused.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Connections of a process before this one may still be on their way out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| ServeError::Listen { address, error })
}

async fn open_store(config: &ServeConfig, metrics: &Metrics) -> Result<Arc<dyn Store>, ServeError> {
    match config.database.read()? {
        DatabaseUrl::Sqlite(options) => {
            tracing::info!(file = %options.get_filename().display(), "using embedded SQLite");
            Ok(Arc::new(SqliteStore::open(&options).await?))
        }
        DatabaseUrl::Postgres(_) => Ok(Arc::new(PostgresStore::start(PostgresOptions {
            url: config.database.clone(),
            read_connections: config.read_connections,
            write_connections: config.write_connections,
            query_connections: config.query_connections,
            deadline: config.database_deadline,
            connect_timeout: config.database_deadline,
            queue_capacity: QUEUE_CAPACITY,
            pooler: config.pooler,
            losses: Arc::default(),
            metrics: metrics.store.clone(),
        }))),
    }
}
