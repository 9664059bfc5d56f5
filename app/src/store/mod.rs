//! Where people are kept: one trait for each resource, implemented by PostgreSQL and by SQLite.

mod database_url;
mod error;
mod first_server;
pub mod migration;
pub mod people;
mod postgres;
mod precondition;
pub mod schema;
pub mod server_error;
pub mod settings;
mod sql;
mod sqlite;

use futures::future::BoxFuture;

use crate::domain::{DateOfBirth, Username};

pub use database_url::{DatabaseUrl, DatabaseUrlSource, InvalidDatabaseUrl};
pub use error::StoreError;
pub use first_server::{NoServer, connect_first, connect_with_retry};
pub use people::{Friendships, Users};
pub use postgres::{Pooler, PostgresOptions, PostgresStore};
pub use precondition::Precondition;
pub use sqlite::SqliteStore;

/// The answer of a store operation, some time later.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Dates of birth by user name.
pub trait Birthdays: Send + Sync {
    /// The date of birth of `username`, if known.
    fn get(&self, username: Username) -> StoreFuture<'_, Option<DateOfBirth>>;

    /// Stores a date of birth; answers only once it is durable.
    fn put(&self, username: Username, born: DateOfBirth) -> StoreFuture<'_, ()>;

    /// Removes a user; answers only once that is durable. Succeeds when there was none.
    fn delete(&self, username: Username) -> StoreFuture<'_, ()>;

    /// Like [`Birthdays::put`], or like [`Birthdays::delete`] when there is no date, but only when
    /// `precondition` holds; answers whether it did. No other change comes between the two.
    fn change_if(
        &self,
        username: Username,
        born: Option<DateOfBirth>,
        precondition: Precondition,
    ) -> StoreFuture<'_, bool>;
}

/// Whether the store can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It was never reachable with a migrated schema.
    Starting,
    /// Serving.
    Ready,
    /// It served before, but is away.
    Away,
}

/// A whole store.
pub trait Store: Birthdays + Users + Friendships {
    /// The last known state. It does not ask the database, so it is cheap and cannot hang.
    fn health(&self) -> Health;

    /// Finishes what was accepted and closes all connections.
    fn close(&self) -> BoxFuture<'_, ()>;
}
