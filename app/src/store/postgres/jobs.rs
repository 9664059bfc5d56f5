//! The two kinds of work a connection does, each many callers at a time.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;

use crate::domain::{DateOfBirth, Username};
use crate::store::StoreError;

/// Where a caller waits for its answer.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Work that can share a statement with more of its kind.
pub trait Job: Send + Sync + Sized + 'static {
    /// For logs and metrics.
    const KIND: &'static str;
    /// The most that go into one statement.
    const MAX_BATCH: usize;
    /// Whether the connection must be allowed to write.
    const WRITES: bool;

    /// Does the whole batch, and answers and removes every job of it that is done. Jobs left in
    /// `batch` after an error have no answer yet.
    fn run(
        connection: &mut PgConnection,
        batch: &mut Vec<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Whether the job may run again after its connection was lost; true at most once.
    fn may_retry(&mut self) -> bool;

    /// Answers with an error.
    fn fail(self, error: StoreError);
}

/// Look up one date of birth.
#[derive(Debug)]
pub struct Lookup {
    username: Username,
    retried: bool,
    reply: Reply<Option<DateOfBirth>>,
}

impl Lookup {
    /// Asks for `username`.
    pub fn new(username: Username, reply: Reply<Option<DateOfBirth>>) -> Self {
        Self {
            username,
            retried: false,
            reply,
        }
    }
}

impl Job for Lookup {
    const KIND: &'static str = "read";
    const MAX_BATCH: usize = 128;
    const WRITES: bool = false;

    async fn run(connection: &mut PgConnection, batch: &mut Vec<Self>) -> Result<(), sqlx::Error> {
        let names: Vec<&str> = batch.iter().map(|job| job.username.as_str()).collect();
        let rows: Vec<(String, NaiveDate)> =
            sqlx::query_as("SELECT username, date_of_birth FROM users WHERE username = ANY($1)")
                .bind(&names)
                .fetch_all(connection)
                .await?;
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
        Ok(())
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
    reply: Reply<()>,
}

impl Change {
    /// Asks for `username` to have this date of birth, or to be gone.
    pub fn new(username: Username, born: Option<DateOfBirth>, reply: Reply<()>) -> Self {
        Self {
            username,
            born,
            reply,
        }
    }
}

impl Job for Change {
    const KIND: &'static str = "write";
    const MAX_BATCH: usize = 256;
    const WRITES: bool = true;

    async fn run(connection: &mut PgConnection, batch: &mut Vec<Self>) -> Result<(), sqlx::Error> {
        let (upserts, deletes) = last_change_per_user(batch);
        if !upserts.is_empty() {
            let (names, dates): (Vec<&str>, Vec<NaiveDate>) = upserts.into_iter().unzip();
            sqlx::query(
                "INSERT INTO users (username, date_of_birth) \
                 SELECT * FROM unnest($1::text[], $2::date[]) \
                 ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth",
            )
            .bind(&names)
            .bind(&dates)
            .execute(&mut *connection)
            .await?;
        }
        if !deletes.is_empty() {
            // Locked in the order of names, as the upserts are: two batches never deadlock.
            sqlx::query(
                "DELETE FROM users WHERE username IN \
                 (SELECT username FROM users WHERE username = ANY($1) ORDER BY username FOR UPDATE)",
            )
            .bind(&deletes)
            .execute(connection)
            .await?;
        }
        for job in batch.drain(..) {
            let _ = job.reply.send(Ok(()));
        }
        Ok(())
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
