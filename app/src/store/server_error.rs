//! The codes of the errors that a server reports: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::borrow::Cow;

/// Somebody else has the lock, and did not give it up in time.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The role has not the right.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The code of an error; `None` when the server has not reported it.
pub fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}
