//! What a link needs of a connection. [`super::server`] is the real one; tests have others.

use std::time::Duration;

use super::deadline::Window;
use super::job::{Job, RunError};
use crate::store::InvalidDatabaseUrl;

/// Opens connections that can do the work of `J`.
pub trait Connect<J: Job>: Send + Sync + 'static {
    /// A connection that is open.
    type Session: Session<J>;

    /// Connects, and checks that the server can do this work.
    fn connect(&self) -> impl Future<Output = Result<Self::Session, ConnectError>> + Send;
}

/// An open connection.
pub trait Session<J: Job>: Send + Sized {
    /// Runs a batch. A batch that writes does nothing when the server begins too late.
    fn run(
        &mut self,
        batch: &[J],
        window: Window,
    ) -> impl Future<Output = Result<J::Output, RunError>> + Send;

    /// Checks that the connection still works and that its server can still do the work, and reads the server's clock
    /// again; the error is the reason why not.
    fn check(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why there is no usable connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// The server, or the way to it, failed.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The attempt took too long.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// None of several servers will do: why each of them does not.
    #[error("no server of the list will do: {0}")]
    NoServer(String),
    /// The server rejects writes.
    #[error("the database is read-only")]
    ReadOnly,
    /// The server follows another one, and may lack what that has acknowledged.
    #[error("the database is a standby")]
    Standby,
    /// Writes go to another server.
    #[error("the database is not the one that takes the writes")]
    OtherServer,
    /// The database cannot hold all names.
    #[error("the database has the encoding {0}, this program needs UTF8")]
    Encoding(String),
    /// The schema is older than this program.
    #[error("the schema is at version {found}, this program needs {needed}")]
    Schema {
        /// The version of the database.
        found: i64,
        /// The version that is needed.
        needed: i64,
    },
}
