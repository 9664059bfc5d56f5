//! Work for a connection: what a batch is, and how it is run and answered.

use chrono::{DateTime, Utc};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::deadline::{Class, ServerClock};
use super::queue::Overlap;
use crate::store::schema::Right;
use crate::store::server_error::{INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE};
use crate::store::{StoreError, server_error};

/// Where a caller waits for its answer.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// How a batch is run.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// A statement that writes does nothing when the server begins with it at this time or later. It is
    /// [`super::deadline::Window::start_by`] by the clock of the server.
    pub start_by: DateTime<Utc>,
    /// It is rolled back when it is not done by this time, [`super::deadline::Window::done_by`] by the clock of the server.
    pub done_by: DateTime<Utc>,
    /// Whether statements may stay prepared on the connection.
    pub persistent: bool,
    /// The clock of the server, which a statement that writes reads again.
    pub clock: &'a ServerClock,
}

/// Work that can share a statement with more of its kind.
pub trait Job: Send + Sync + Sized + 'static {
    /// For logs.
    const KIND: &'static str;
    /// The most that go into one statement.
    const MAX_BATCH: usize;
    /// When a second batch may run at the same time as the first.
    const OVERLAP: Overlap;
    /// What it does, and so how much time it has.
    const CLASS: Class;
    /// What the role has to be allowed for it.
    const RIGHTS: &'static [Right];
    /// Settings of the server for connections that do only this work.
    const SETTINGS: &'static [(&'static str, &'static str)];
    /// The answer of the database to a whole batch.
    type Output: Send;

    /// Runs the whole batch.
    fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms<'_>,
    ) -> impl Future<Output = Result<Self::Output, RunError>> + Send;

    /// Gives every job of a batch its part of the answer.
    fn answer(batch: &mut Vec<Self>, output: Self::Output);

    /// When the job was queued.
    fn queued(&self) -> Instant;

    /// Whether the caller has left.
    fn is_abandoned(&self) -> bool;

    /// Whether the job may run again after its connection was lost. Each call that answers with true counts as a run.
    fn may_retry(&mut self) -> bool;

    /// Answers with an error.
    fn fail(self, error: StoreError);
}

/// How often work that changes nothing may still run again. What takes one connection, the end of a server or of a network,
/// takes the others a moment later, and so may interrupt the same work on each of them. It also ends when its caller leaves.
#[derive(Debug)]
pub struct Reruns(u8);

impl Reruns {
    /// More than the connections that one event can take from a read. The bound is for work that itself ends connections.
    const MOST: u8 = 3;

    /// For work that has not run yet.
    pub const fn new() -> Self {
        Self(Self::MOST)
    }

    /// Takes one, if there is one left.
    pub fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

/// Why a batch has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database, or the way to it, failed.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The server began after [`Terms::start_by`] or was not done by [`Terms::done_by`], and so did nothing.
    #[error("the server was too late with the statement")]
    Late,
    /// Writes go to another server by now, so this one was not asked.
    #[error("writes go to another server")]
    OtherServer,
}

/// What an error says about the connection and about what the statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The statement's own values are at fault: it did nothing, and others are not concerned.
    Values,
    /// The server cannot do it as it is: a right is lacking, or room, or what is stored cannot be read. It did nothing, and the
    /// connection can do other work. A new one would find the same.
    Unable,
    /// It took too long, or waited too long for a lock: it did nothing.
    Slow,
    /// The session is over, or what was prepared in it does not fit any more: the server ended it, the schema has
    /// changed, or a pooler has changed the server. It did nothing, and can run on a new connection.
    Stale,
    /// The server's own clock refused it: it did nothing. The connection is checked again, since its view of that clock
    /// may be wrong.
    Late,
    /// The connection, or the server behind it, cannot be used any more: it is shut down, does not accept writes, or is
    /// out of sync.
    Connection,
}

impl RunError {
    /// What the error means. A server that says only ERROR has undone the statement, and its session goes on: for what it
    /// means to say about this statement alone, another connection is not any better. What is not listed may concern the
    /// session, the schema or the server as a whole, and so costs the connection, which is then opened on a server that can do
    /// the work: 08 connection, 25 state of the transaction (25006: read-only), 28 and 3D login, 42 the schema has changed, 57
    /// shutdown, 53300 connections.
    pub fn failure(&self) -> Failure {
        // Data, constraints, and what the owner's own triggers, rules and functions refuse.
        const VALUES: [&str; 8] = ["09", "22", "23", "27", "38", "39", "44", "P0"];
        const CONFLICT: &str = "40";
        const SLOW: [&str; 2] = ["57014", LOCK_NOT_AVAILABLE];
        // Rights; disk, memory and configured limits; limits of the program; objects in use; files; internal errors, such as
        // of a damaged page.
        const UNABLE: [&str; 8] = [
            INSUFFICIENT_PRIVILEGE,
            "53100",
            "53200",
            "53400",
            "54",
            "55",
            "58",
            "XX",
        ];
        // The server ends a session (57P01, 57P05) in place of a statement's answer only when it has not committed it:
        // where it has, and waits for a standby, it closes the connection without an error.
        const STALE: [&str; 6] = ["08P01", "0A000", "26000", "42P05", "57P01", "57P05"];
        let error = match self {
            Self::Late => return Failure::Late,
            Self::OtherServer => return Failure::Stale,
            Self::Database(sqlx::Error::Database(error)) => error,
            Self::Database(_) => return Failure::Connection,
        };
        let Some(code) = error.code() else {
            return Failure::Connection;
        };
        let is_of = |classes: &[&str]| classes.iter().any(|class| code.starts_with(class));
        if is_of(&SLOW) || code.starts_with(CONFLICT) {
            Failure::Slow
        } else if is_of(&STALE) {
            Failure::Stale
        } else if ends_session(&**error) {
            Failure::Connection
        } else if is_of(&VALUES) {
            Failure::Values
        } else if is_of(&UNABLE) {
            Failure::Unable
        } else {
            Failure::Connection
        }
    }

    /// Whether the role is not allowed to do this.
    pub fn is_forbidden(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        server_error::code(error).as_deref() == Some(INSUFFICIENT_PRIVILEGE)
    }
}

/// Whether the server ends the session with this error.
fn ends_session(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}
