//! The two kinds of work a connection does, each many callers at a time.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::Beside;
use crate::domain::{DateOfBirth, Username};
use crate::store::StoreError;

/// Where a caller waits for its answer.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// How a batch is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A batch that writes must do nothing when the server comes to it only after this moment, by
    /// the server's clock.
    pub fence: DateTime<Utc>,
    /// Whether statements may stay prepared on the connection.
    pub persistent: bool,
}

/// Work that can share a statement with more of its kind.
pub trait Job: Send + Sync + Sized + 'static {
    /// For logs.
    const KIND: &'static str;
    /// The most that go into one statement.
    const MAX_BATCH: usize;
    /// When a second batch may run beside the first.
    const BESIDE: Beside;
    /// Whether the connection must be allowed to write.
    const WRITES: bool;
    /// What the database answers to a whole batch.
    type Output: Send;

    /// Does the whole batch.
    fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms,
    ) -> impl Future<Output = Result<Self::Output, RunError>> + Send;

    /// Gives every job of a batch its part of the answer.
    fn answer(batch: &mut Vec<Self>, output: Self::Output);

    /// When the job was asked for.
    fn asked(&self) -> Instant;

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Whether the job may run again after its connection was lost; true at most once.
    fn may_retry(&mut self) -> bool;

    /// Answers with an error.
    fn fail(self, error: StoreError);
}

/// Why a batch was not done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database, or the way to it, failed.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The server came to it after the fence, and so did nothing.
    #[error("the server came to the statement too late")]
    Late,
}

/// Look up one date of birth.
#[derive(Debug)]
pub struct Lookup {
    username: Username,
    asked: Instant,
    retried: bool,
    reply: Reply<Option<DateOfBirth>>,
}

impl Lookup {
    /// Asks for `username`.
    pub fn new(username: Username, reply: Reply<Option<DateOfBirth>>) -> Self {
        Self {
            username,
            asked: Instant::now(),
            retried: false,
            reply,
        }
    }
}

impl Job for Lookup {
    const KIND: &'static str = "read";
    const MAX_BATCH: usize = 128;
    const BESIDE: Beside = Beside::HalfAsMuch;
    const WRITES: bool = false;
    type Output = Vec<(String, NaiveDate)>;

    async fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms,
    ) -> Result<Self::Output, RunError> {
        let names: Vec<&str> = batch.iter().map(|job| job.username.as_str()).collect();
        let rows =
            sqlx::query_as("SELECT username, date_of_birth FROM users WHERE username = ANY($1)")
                .persistent(terms.persistent)
                .bind(&names)
                .fetch_all(connection)
                .await?;
        Ok(rows)
    }

    fn answer(batch: &mut Vec<Self>, rows: Self::Output) {
        let found: HashMap<&str, NaiveDate> = rows
            .iter()
            .map(|(name, born)| (name.as_str(), *born))
            .collect();
        for job in batch.drain(..) {
            let born = found
                .get(job.username.as_str())
                .copied()
                .map(DateOfBirth::from_stored);
            // The caller may have gone away; then nobody misses the answer.
            let _ = job.reply.send(Ok(born));
        }
    }

    fn asked(&self) -> Instant {
        self.asked
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn may_retry(&mut self) -> bool {
        !std::mem::replace(&mut self.retried, true)
    }

    fn fail(self, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Set one date of birth, or remove a user when there is none.
#[derive(Debug)]
pub struct Change {
    username: Username,
    born: Option<DateOfBirth>,
    asked: Instant,
    reply: Reply<()>,
}

impl Change {
    /// Asks for `username` to have this date of birth, or to be gone.
    pub fn new(username: Username, born: Option<DateOfBirth>, reply: Reply<()>) -> Self {
        Self {
            username,
            born,
            asked: Instant::now(),
            reply,
        }
    }
}

impl Job for Change {
    const KIND: &'static str = "write";
    const MAX_BATCH: usize = 256;
    const BESIDE: Beside = Beside::WhenSlow;
    const WRITES: bool = true;
    type Output = ();

    async fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms,
    ) -> Result<(), RunError> {
        let (upserts, deletes) = last_change_per_user(batch);
        if !upserts.is_empty() {
            upsert(connection, upserts, terms).await?;
        }
        if !deletes.is_empty() {
            delete(connection, &deletes, terms).await?;
        }
        Ok(())
    }

    fn answer(batch: &mut Vec<Self>, (): ()) {
        for job in batch.drain(..) {
            let _ = job.reply.send(Ok(()));
        }
    }

    fn asked(&self) -> Instant {
        self.asked
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn may_retry(&mut self) -> bool {
        // Whether the lost statement took effect is unknown; running it again later could undo
        // somebody else's newer write.
        false
    }

    fn fail(self, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

async fn upsert(
    connection: &mut PgConnection,
    rows: Vec<(&str, NaiveDate)>,
    terms: Terms,
) -> Result<(), RunError> {
    let (names, dates): (Vec<&str>, Vec<NaiveDate>) = rows.into_iter().unzip();
    let done = sqlx::query(
        "INSERT INTO users (username, date_of_birth) \
         SELECT * FROM unnest($1::text[], $2::date[]) WHERE (SELECT clock_timestamp() < $3) \
         ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth",
    )
    .persistent(terms.persistent)
    .bind(&names)
    .bind(&dates)
    .bind(terms.fence)
    .execute(connection)
    .await?;
    if done.rows_affected() == 0 {
        Err(RunError::Late)
    } else {
        Ok(())
    }
}

async fn delete(
    connection: &mut PgConnection,
    names: &[&str],
    terms: Terms,
) -> Result<(), RunError> {
    // Locked in the order of names, as the upserts are: two batches never deadlock.
    let in_time: bool = sqlx::query_scalar(
        "WITH fence AS MATERIALIZED (SELECT clock_timestamp() < $2 AS open), \
         doomed AS MATERIALIZED (SELECT username FROM users \
             WHERE username = ANY($1) AND (SELECT open FROM fence) ORDER BY username FOR UPDATE), \
         gone AS (DELETE FROM users WHERE username IN (SELECT username FROM doomed)) \
         SELECT open FROM fence",
    )
    .persistent(terms.persistent)
    .bind(names)
    .bind(terms.fence)
    .fetch_one(connection)
    .await?;
    if in_time { Ok(()) } else { Err(RunError::Late) }
}

/// The last change to each user, as upserts and deletions, both in the order of names.
fn last_change_per_user(batch: &[Change]) -> (Vec<(&str, NaiveDate)>, Vec<&str>) {
    let last: BTreeMap<&str, Option<DateOfBirth>> = batch
        .iter()
        .map(|job| (job.username.as_str(), job.born))
        .collect();
    let mut upserts = Vec::with_capacity(last.len());
    let mut deletes = Vec::new();
    for (name, born) in last {
        match born {
            Some(born) => upserts.push((name, born.as_date())),
            None => deletes.push(name),
        }
    }
    (upserts, deletes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, born: Option<&str>) -> Change {
        let born = born.map(|date| DateOfBirth::from_stored(date.parse().unwrap()));
        Change::new(
            Username::from_stored(name.into()),
            born,
            oneshot::channel().0,
        )
    }

    #[test]
    fn the_last_change_of_a_batch_wins_and_names_are_in_order() {
        let batch = [
            change("zoe", Some("1990-01-01")),
            change("bob", Some("1990-01-01")),
            change("amy", None),
            change("bob", None),
            change("zoe", Some("1991-02-02")),
            change("amy", Some("1992-03-03")),
            change("Amy", None),
        ];
        let (upserts, deletes) = last_change_per_user(&batch);
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(
            upserts,
            [("amy", date("1992-03-03")), ("zoe", date("1991-02-02"))]
        );
        assert_eq!(deletes, ["Amy", "bob"]);
    }
}
