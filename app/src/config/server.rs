//! Where the program listens, and what bounds the connections of clients.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::check::{ADDRESS, BYTES, DURATION, FROM_ONE, bytes, choice, duration, parse};
use super::group::option_group;
use super::option::{list, optional, path, value};
use crate::api::Origin;
use crate::serving::TlsFiles;

/// The port of the API unless another one is given.
const DEFAULT_PORT: u16 = 8080;

option_group! {
    /// Where health and metrics are served.
    "Health and metrics" => pub struct AdminOptions {
        /// Address of health checks and metrics.
        admin_listen: SocketAddr = value("HELLO_ADMIN_LISTEN", "127.0.0.1:9090", ADDRESS, parse),
    }
}

option_group! {
    /// Where the API listens, and what bounds the connections of clients.
    "API" => pub struct ServerOptions {
        /// Address of the API. Unset: the port in PORT on all addresses, or 127.0.0.1:8080.
        listen: Option<SocketAddr> = optional("HELLO_LISTEN", ADDRESS, parse),
        /// Port of the API on all addresses, as serverless platforms set it. Ignored when an address
        /// is given.
        port: Option<u16> = optional("PORT", "a port number", parse),
        /// Threads that serve requests. Unset: 1 on up to two cores, otherwise one for each core.
        threads: Option<NonZeroUsize> = optional("HELLO_THREADS", FROM_ONE, parse),
        /// Memory that the program may use. Clients may fill half of it with connections, and an eighth with answers that
        /// they do not take. Unset: the limit of its control group, such as a container's.
        memory_limit: Option<u64> = optional("HELLO_MEMORY_LIMIT", BYTES, bytes),
        /// Most connections of clients at a time. Unset: one for each 120 KiB of the memory limit, up to 20000.
        max_connections: Option<NonZeroU32> = optional("HELLO_MAX_CONNECTIONS", FROM_ONE, parse),
        /// Most connections of one client at a time: of an IPv4 address, or an IPv6 network of 64 bits. Behind a
        /// proxy, all clients have its address. Unset: no limit.
        max_connections_per_client: Option<NonZeroU32> = optional(
            "HELLO_MAX_CONNECTIONS_PER_CLIENT", FROM_ONE, parse),
        /// Longest time that the head of a request may take to arrive.
        header_timeout: Duration = value("HELLO_HEADER_TIMEOUT", "60s", DURATION, duration),
        /// Longest time that a connection may be idle between two requests. Longer than that of the load
        /// balancer in front.
        idle_timeout: Duration = value("HELLO_IDLE_TIMEOUT", "620s", DURATION, duration),
        /// Longest time in which a client takes none of the answers that wait for it.
        answer_timeout: Duration = value("HELLO_ANSWER_TIMEOUT", "60s", DURATION, duration),
        /// Longest time that the body of a request may take to arrive.
        body_timeout: Duration = value("HELLO_BODY_TIMEOUT", "10s", DURATION, duration),
        /// Time to go on serving after SIGTERM, until load balancers have noticed.
        drain_delay: Duration = value("HELLO_DRAIN_DELAY", "5s", DURATION, duration),
        /// Longest time that requests in progress may take after that.
        drain_timeout: Duration = value("HELLO_DRAIN_TIMEOUT", "20s", DURATION, duration),
        /// Origins whose pages may use the API from a browser (CORS). Unset: none but its own.
        cors_origin: Vec<Origin> = list(
            "HELLO_CORS_ORIGIN", "origins such as https://app.example, separated by commas, or `*`", parse),
        /// Whether each answer has an `X-Request-Id`: that of the request, or a new one. It is in problems and
        /// in the log, too.
        request_id: bool = value("HELLO_REQUEST_ID", "true", "`true` or `false`", choice),
        /// Certificate of the API. With it, the API serves TLS. Certificate and key are read again
        /// when they change. Unset: no TLS.
        tls_certificate_file: Option<PathBuf> = path(
            "HELLO_TLS_CERTIFICATE_FILE", "the path of a PEM file: the certificate first, then its issuers")
            .needs("tls_key_file"),
        /// Private key of the certificate.
        tls_key_file: Option<PathBuf> = path("HELLO_TLS_KEY_FILE", "the path of a PEM file")
            .needs("tls_certificate_file"),
    }
}

impl ServerOptions {
    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        match (self.listen, self.port) {
            (Some(listen), _) => listen,
            (None, Some(port)) => (Ipv6Addr::UNSPECIFIED, port).into(),
            (None, None) => (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
        }
    }

    /// The files of the certificate, when the API serves TLS.
    pub fn tls(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.tls_certificate_file.clone()?,
            key: self.tls_key_file.clone()?,
        })
    }
}
