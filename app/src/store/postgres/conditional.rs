//! Changes that are made only in certain states. They do not share statements with others: in a batch
//! only the last change to a user is made, and the others would count as made too.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::fence::{fence, friendless, in_time, late_or};
use super::job::{RunError, Terms};
use super::query::Statement;
use crate::domain::{DateOfBirth, Username};
use crate::store::Precondition;

// Each compares under the lock of the row, with the newest committed date: a writer that is first is
// waited for. The answer is whether the server began in time, whether the change was made, and
// the server's clock. A date that is stored already
// is not written again, but its row is locked, see [`super::change`].

/// Whether a date is one under which the change is made.
macro_rules! fits {
    ($column:literal) => {
        concat!(
            // The day of the year as [`crate::domain::MonthDay`] numbers it.
            "(((extract(month FROM ",
            $column,
            ") * 100 + extract(day FROM ",
            $column,
            "))::smallint) = ANY($3)) = $4"
        )
    };
}

/// The date to compare with is that of `held`: the update itself would see only the one that was there when it began.
const UPDATE: &str = concat!(
    fence!("$2", "$6"),
    "held AS MATERIALIZED (SELECT date_of_birth FROM users \
         WHERE username = $1 AND ",
    fits!("date_of_birth"),
    " AND (SELECT in_time FROM fence) FOR NO KEY UPDATE), \
     done AS (UPDATE users SET date_of_birth = $5 \
         WHERE username = $1 AND EXISTS (SELECT FROM held WHERE date_of_birth <> $5) RETURNING 1) \
     SELECT (SELECT in_time FROM fence), count(*) * (1 + 0 * (SELECT count(*) FROM done)) * ",
    in_time!("$6"),
    " > 0, clock_timestamp() FROM held"
);

/// A user who was made since the statement began is not `held`, and so written again also when the date is the same.
const UPSERT: &str = concat!(
    fence!("$2", "$6"),
    "held AS MATERIALIZED (SELECT date_of_birth FROM users \
         WHERE username = $1 AND (SELECT in_time FROM fence) FOR NO KEY UPDATE), \
     same AS MATERIALIZED (SELECT FROM held WHERE date_of_birth = $5 AND ",
    fits!("date_of_birth"),
    "), \
     done AS (INSERT INTO users AS old (username, date_of_birth) \
         SELECT $1::text, $5::date FROM fence WHERE in_time AND NOT EXISTS (SELECT FROM same) \
         ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth \
         WHERE ",
    fits!("old.date_of_birth"),
    " RETURNING 1) \
     SELECT (SELECT in_time FROM fence), (count(*) + (SELECT count(*) FROM same)) * ",
    in_time!("$6"),
    " > 0, clock_timestamp() FROM done"
);

const DELETE: &str = concat!(
    fence!("$2", "$6"),
    "doomed AS MATERIALIZED (SELECT username FROM users \
         WHERE username = $1 AND ",
    fits!("date_of_birth"),
    " AND (SELECT in_time FROM fence) FOR UPDATE), ",
    friendless!(),
    "gone AS (DELETE FROM users WHERE username IN (SELECT username FROM doomed) RETURNING username) \
     SELECT (SELECT in_time FROM fence), \
         count(*) * (1 + 0 * ((SELECT count(*) FROM low_gone) + (SELECT count(*) FROM high_gone))) * ",
    in_time!("$6"),
    " > 0 OR ($5 AND NOT EXISTS (SELECT FROM users WHERE username = $1)), clock_timestamp() FROM gone"
);

/// Sets a date of birth, or removes a user when there is none, under a condition.
pub struct ChangeIf {
    /// The user.
    pub username: Username,
    /// The new date, or none.
    pub born: Option<DateOfBirth>,
    /// The states in which to do it.
    pub precondition: Precondition,
}

impl Statement for ChangeIf {
    type Output = bool;
    const REPEATABLE: bool = false;

    async fn run(&self, connection: &mut PgConnection, terms: Terms<'_>) -> Result<bool, RunError> {
        let Precondition { absent, listed, .. } = self.precondition;
        let statement = match self.born {
            Some(_) if absent => UPSERT,
            Some(_) => UPDATE,
            None => DELETE,
        };
        let query = sqlx::query_as(statement)
            .bind(self.username.as_str())
            .bind(terms.start_by)
            .bind(self.precondition.numbers())
            .bind(listed);
        let query = match self.born {
            Some(born) => query.bind(born.as_date()),
            None => query.bind(absent),
        };
        let sent = Instant::now();
        let (in_time, done, time): (bool, bool, DateTime<Utc>) = query
            .bind(terms.done_by)
            .persistent(terms.persistent)
            .fetch_one(connection)
            .await
            .map_err(late_or)?;
        terms.clock.observe(time, sent, Instant::now());
        if in_time {
            Ok(done)
        } else {
            Err(RunError::Late)
        }
    }
}
