//! The connection to the API server: HTTP/2, so that every watch and call shares one.
//!
//! kube's own stack speaks HTTP/1.1, where each watch and each concurrent call needs a connection
//! of its own, and where a peer that is gone without closing its connection is not noticed.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
};
use tower::{BoxError, Service, ServiceBuilder, limit::ConcurrencyLimit, timeout::TimeoutLayer};

/// Longest time that one call to the API server may take.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Longest time until a connection stands, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Connections that may be opened at once. Until the first one stands it is not known that it can be shared, and
/// every waiting call would open its own.
const CONNECTING: usize = 2;
/// Interval of keep-alive pings on a connection on which nothing arrives.
const PING: Duration = Duration::from_secs(5);
/// The connection is given up when a ping is not answered for this long.
const PONG: Duration = Duration::from_secs(5);
/// A connection on which bytes stay unacknowledged for so long is given up by the kernel, also after this process has
/// ended. A write that the network holds back is thus not delivered after the lease; see [`crate::kubernetes::fence`].
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(2);
/// Longest time until an answer begins, also that of a watch: without it a watch whose request was
/// lost would wait forever. Calls have a shorter deadline of their own.
pub const ANSWER: Duration = Duration::from_secs(15);

/// Bytes of one answer that may wait to be read: bounds the memory of a list.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same for all answers together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A client of the cluster that this pod runs in, or of the kubeconfig's current context.
///
/// # Errors
/// When there is neither, or its settings cannot be used.
pub async fn infer() -> Result<Client, BoxError> {
    connect(Config::infer().await?)
}

/// A client without hidden retries: the queue decides when to try again.
///
/// # Errors
/// When the settings name a proxy, certificates or credentials that cannot be used.
pub fn connect(config: Config) -> Result<Client, BoxError> {
    if config.proxy_url.is_some() {
        // kube's error names the feature that it lacks.
        return Ok(Client::try_from(config)?);
    }
    Ok(builder(config)?.with_layer(&response_timeout()).build())
}

/// The topmost layer: gives a request up whose answer does not begin.
#[must_use]
pub fn response_timeout() -> TimeoutLayer {
    TimeoutLayer::new(ANSWER)
}

/// The layers below [`response_timeout`], for a test to put its own in between.
///
/// # Errors
/// When the settings name certificates or credentials that cannot be used.
pub fn builder(
    config: Config,
) -> Result<
    ClientBuilder<
        impl Service<
            Request<Body>,
            Response = Response<Incoming>,
            Error = BoxError,
            Future: Send + 'static,
        > + Send
        + 'static,
    >,
    BoxError,
> {
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport(&config)?);
    Ok(ClientBuilder::new(service, config.default_namespace))
}

type Connector = TimeoutConnector<ConcurrencyLimit<HttpsConnector<HttpConnector>>>;

fn transport(config: &Config) -> Result<legacy::Client<Connector, Body>, BoxError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let mut tls = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = config.tls_server_name.clone() {
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name.try_into()?));
    }
    let tls = tls.enable_all_versions().wrap_connector(tcp);
    let mut connector = TimeoutConnector::new(ConcurrencyLimit::new(tls, CONNECTING));
    connector.set_connect_timeout(Some(CONNECT));
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG)
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector))
}
