//! Where people are kept: one trait a resource, implemented by PostgreSQL and by SQLite.

mod database_url;
pub mod people;
mod postgres;
mod precondition;
pub mod schema;
mod sql;
mod sqlite;

use futures::future::BoxFuture;

use crate::domain::{DateOfBirth, Username};

pub use database_url::{DatabaseUrl, DatabaseUrlSource, InvalidDatabaseUrl};
pub use people::{Friendships, Users};
pub use postgres::{Losses, Pooler, PostgresOptions, PostgresStore};
pub use precondition::Precondition;
pub use sqlite::SqliteStore;

/// Why the store gave no answer. The caller turns each into 503: the request itself was fine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or went away during the statement.
    #[error("the database is away")]
    Unavailable,
    /// No answer within the deadline.
    #[error("the database did not answer in time")]
    Timeout,
    /// Too much is waiting already.
    #[error("too many requests wait for the database")]
    Overloaded,
    /// The database answered with an error; the text is for the log only.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

/// The outcome of a store operation, some time later.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Dates of birth by user name.
pub trait Birthdays: Send + Sync {
    /// The date of birth of `username`, if known.
    fn get(&self, username: Username) -> StoreFuture<'_, Option<DateOfBirth>>;

    /// Remembers a date of birth; answers only once it is durable.
    fn put(&self, username: Username, born: DateOfBirth) -> StoreFuture<'_, ()>;

    /// Forgets a user; answers only once that is durable. Succeeds when there was none.
    fn delete(&self, username: Username) -> StoreFuture<'_, ()>;

    /// Like [`Birthdays::put`], or like [`Birthdays::delete`] when there is no date, but only when
    /// `precondition` holds; tells whether it did. Nobody's change comes between the two.
    fn change_if(
        &self,
        username: Username,
        born: Option<DateOfBirth>,
        precondition: Precondition,
    ) -> StoreFuture<'_, bool>;
}

/// How fit the store is to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Never been reachable with a migrated schema yet.
    Starting,
    /// Serving.
    Ready,
    /// Was serving, but is away.
    Away,
}

/// A whole store.
pub trait Store: Birthdays + Users + Friendships {
    /// The last known state; never asks the database, so it is cheap and cannot hang.
    fn health(&self) -> Health;

    /// Finishes what was accepted and lets go of all connections.
    fn close(&self) -> BoxFuture<'_, ()>;
}
