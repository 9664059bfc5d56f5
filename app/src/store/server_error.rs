//! The codes of the errors that a server reports: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::borrow::Cow;

/// Somebody else has the lock, and did not give it up in time.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The role has not the right.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// A row with the same key is there.
pub const UNIQUE_VIOLATION: &str = "23505";
/// An object of this name is there: a type, a role or the like.
pub const DUPLICATE_OBJECT: &str = "42710";
/// A table of this name is there.
pub const DUPLICATE_TABLE: &str = "42P07";

/// The code of an error; `None` when the server has not reported it.
pub fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}
