//! Changes that are made only in certain states. They do not share statements with others: a
//! change that another one of the same batch overtakes must not count as made.

use sqlx::postgres::PgConnection;

use super::change::{RunError, Terms};
use super::query::Statement;
use crate::domain::{DateOfBirth, Username};
use crate::store::Precondition;

// Each compares under the row's lock, with the newest committed date: a writer that comes first
// is waited for. They tell whether they came in time, and whether the change was made.

/// The day of the year as [`crate::domain::MonthDay`] numbers it.
macro_rules! month_day {
    ($column:literal) => {
        concat!(
            "((extract(month FROM ",
            $column,
            ") * 100 + extract(day FROM ",
            $column,
            "))::smallint)"
        )
    };
}

const UPDATE: &str = concat!(
    "WITH fence AS MATERIALIZED (SELECT clock_timestamp() < $2 AS open), \
     done AS (UPDATE users SET date_of_birth = $5 \
         WHERE username = $1 AND (",
    month_day!("date_of_birth"),
    " = ANY($3)) = $4 AND (SELECT open FROM fence) \
         RETURNING username) \
     SELECT open, EXISTS (SELECT FROM done) FROM fence"
);

const UPSERT: &str = concat!(
    "WITH fence AS MATERIALIZED (SELECT clock_timestamp() < $2 AS open), \
     done AS (INSERT INTO users AS old (username, date_of_birth) \
         SELECT $1::text, $5::date FROM fence WHERE open \
         ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth \
         WHERE (",
    month_day!("old.date_of_birth"),
    " = ANY($3)) = $4 \
         RETURNING username) \
     SELECT open, EXISTS (SELECT FROM done) FROM fence"
);

const DELETE: &str = concat!(
    "WITH fence AS MATERIALIZED (SELECT clock_timestamp() < $2 AS open), \
     done AS (DELETE FROM users \
         WHERE username = $1 AND (",
    month_day!("date_of_birth"),
    " = ANY($3)) = $4 AND (SELECT open FROM fence) \
         RETURNING username) \
     SELECT open, EXISTS (SELECT FROM done) \
         OR ($5 AND NOT EXISTS (SELECT FROM users WHERE username = $1)) FROM fence"
);

/// Sets a date of birth, or removes a user when there is none, under a condition.
pub struct ChangeIf {
    /// Whose.
    pub username: Username,
    /// The new date.
    pub born: Option<DateOfBirth>,
    /// When to do it.
    pub precondition: Precondition,
}

impl Statement for ChangeIf {
    type Output = bool;
    const REPEATABLE: bool = false;

    async fn run(&self, connection: &mut PgConnection, terms: Terms) -> Result<bool, RunError> {
        let Precondition { absent, listed, .. } = self.precondition;
        let statement = match self.born {
            Some(_) if absent => UPSERT,
            Some(_) => UPDATE,
            None => DELETE,
        };
        let query = sqlx::query_as(statement)
            .bind(self.username.as_str())
            .bind(terms.fence)
            .bind(self.precondition.numbers())
            .bind(listed);
        let query = match self.born {
            Some(born) => query.bind(born.as_date()),
            None => query.bind(absent),
        };
        let (in_time, done): (bool, bool) = query
            .persistent(terms.persistent)
            .fetch_one(connection)
            .await?;
        if in_time {
            Ok(done)
        } else {
            Err(RunError::Late)
        }
    }
}
