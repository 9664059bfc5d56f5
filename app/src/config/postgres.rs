//! How many connections to PostgreSQL there are, and how long requests wait for them.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::check::{DURATION, FROM_ONE, choice, duration, parse};
use super::group::option_group;
use super::option::value;
use crate::store::Pooler;

option_group! {
    /// How many connections to PostgreSQL there are, and how long requests wait for them.
    "PostgreSQL" => pub struct PostgresConnectionOptions {
        /// Connections that read greetings.
        read_connections: NonZeroUsize = value("HELLO_READ_CONNECTIONS", "2", FROM_ONE, parse),
        /// Connections that write greetings.
        write_connections: NonZeroUsize = value("HELLO_WRITE_CONNECTIONS", "2", FROM_ONE, parse),
        /// Connections for lists.
        query_connections: NonZeroUsize = value("HELLO_QUERY_CONNECTIONS", "2", FROM_ONE, parse),
        /// Connections for friendships and conditional writes.
        change_connections: NonZeroUsize = value("HELLO_CHANGE_CONNECTIONS", "1", FROM_ONE, parse),
        /// Longest time that a request waits for PostgreSQL. After that the answer is 503.
        database_deadline: Duration = value("HELLO_DATABASE_DEADLINE", "2s", DURATION, duration),
        /// Pooler between the service and PostgreSQL: `transaction` for PgBouncer in transaction mode.
        database_pooler: Pooler = value(
            "HELLO_DATABASE_POOLER", "none", "`none` or `transaction`", choice),
    }
}
