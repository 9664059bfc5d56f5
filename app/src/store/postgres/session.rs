//! What a link needs of a connection. [`super::server`] is the real one; tests have others.

use std::time::Duration;

use super::deadline::Window;
use super::job::{Job, RunError};
use super::rights::Lacking;
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

    /// Checks that the connection, which was opened for other work, can do this one, too.
    fn take_on(&mut self) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why a connection does not take on other work.
#[derive(Debug)]
pub enum Refusal {
    /// It, or its role, is not able to.
    Unable(String),
    /// It cannot be used any more.
    Lost(String),
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
    /// The server, or the pooler in front of it, has as many connections as it may have.
    #[error("{0}")]
    NoRoom(String),
    /// None of several servers will do: why each of them does not.
    #[error("no server of the list will do: {reasons}")]
    NoServer {
        /// Each with its reason.
        reasons: String,
        /// Whether one of them has no room.
        no_room: bool,
    },
    /// The role has not all rights that the work needs.
    #[error("the role of the database URL lacks rights: {0}")]
    Rights(Lacking),
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

impl ConnectError {
    /// Whether it takes another connection's end to get one.
    pub const fn has_no_room(&self) -> bool {
        matches!(self, Self::NoRoom(_) | Self::NoServer { no_room: true, .. })
    }

    /// The label in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Database(_) => "database",
            Self::Timeout(_) => "timeout",
            _ if self.has_no_room() => "no_room",
            Self::NoRoom(_) | Self::NoServer { .. } => "no_server",
            Self::Rights(_) => "rights",
            Self::ReadOnly => "read_only",
            Self::Standby => "standby",
            Self::OtherServer => "other_server",
            Self::Encoding(_) => "encoding",
            Self::Schema { .. } => "schema",
        }
    }
}
