//! The clauses that every statement which writes has: it begins in time, waits for locks only so long as it has time, and
//! is rolled back unless it is done in time.

use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::QueryAs;
use tokio::time::Instant;

use super::job::{RunError, Terms};
use crate::store::server_error;

/// The head of a statement: `fence.in_time` is whether it begins by `$start`, and its waits for locks end by `$done`. The
/// setting ends with the statement's transaction, also behind a pooler.
macro_rules! fence {
    ($start:literal, $done:literal) => {
        concat!(
            "WITH fence AS MATERIALIZED (SELECT clock_timestamp() < ",
            $start,
            " AND set_config('lock_timeout', greatest(1, (extract(epoch FROM ",
            $done,
            " - clock_timestamp()) * 1000)::int)::text, true) <> '' AS in_time), "
        )
    };
}

/// Removes the friendships of `doomed` users, as the foreign keys would do it after the statement has compared the time.
macro_rules! friendless {
    () => {
        "low_gone AS (DELETE FROM friendships USING doomed WHERE low = doomed.username RETURNING 1), \
         high_gone AS (DELETE FROM friendships USING doomed WHERE high = doomed.username RETURNING 1), "
    };
}

/// The number 1; an error, which undoes the statement, when it is not done by `$done`. The server must compute it last:
/// beside an aggregate of all that the statement did.
macro_rules! in_time {
    ($done:literal) => {
        concat!("1 / (clock_timestamp() < ", $done, ")::int")
    };
}

pub(super) use {fence, friendless, in_time};

/// Runs a statement with these clauses whose values are whether it began in time, and the server's clock.
pub async fn complete(
    query: QueryAs<'_, Postgres, (bool, DateTime<Utc>), PgArguments>,
    connection: &mut PgConnection,
    terms: Terms<'_>,
) -> Result<(), RunError> {
    let sent = Instant::now();
    let (in_time, time) = query.fetch_one(connection).await.map_err(late_or)?;
    terms.clock.observe(time, sent, Instant::now());
    if in_time { Ok(()) } else { Err(RunError::Late) }
}

/// An error of a statement with these clauses.
pub fn late_or(error: sqlx::Error) -> RunError {
    const DIVISION_BY_ZERO: &str = "22012";
    if server_error::code(&error).as_deref() == Some(DIVISION_BY_ZERO) {
        RunError::Late
    } else {
        error.into()
    }
}
