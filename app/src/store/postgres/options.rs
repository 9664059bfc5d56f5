//! How to reach PostgreSQL, and the bounds to keep.

use std::sync::Arc;
use std::time::Duration;

use strum::EnumString;

use crate::store::DatabaseUrlSource;
use crate::telemetry::StoreMetrics;

/// What is between the service and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Pooler {
    /// Nothing: a connection stays with one server process.
    #[default]
    None,
    /// A pooler such as PgBouncer that gives each transaction any server connection.
    Transaction,
}

/// How to reach PostgreSQL, and the bounds to keep.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where the URL comes from.
    pub url: DatabaseUrlSource,
    /// Connections that read. Never more are opened.
    pub read_connections: usize,
    /// Connections that write. Never more are opened.
    pub write_connections: usize,
    /// Connections for lists. Never more are opened.
    pub query_connections: usize,
    /// Connections for friendships and conditional writes. Never more are opened.
    pub change_connections: usize,
    /// The longest time that a caller waits for an answer.
    pub deadline: Duration,
    /// The longest time of one attempt to connect.
    pub connect_timeout: Duration,
    /// The most requests that may wait for one kind of connection.
    pub queue_capacity: usize,
    /// What is between the service and the server.
    pub pooler: Pooler,
    /// Where sizes and times of batches are counted.
    pub metrics: Arc<StoreMetrics>,
}
