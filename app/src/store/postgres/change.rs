//! Setting dates of birth and removing users: many callers in one statement.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::deadline::Class;
use super::fence::{complete, fence, friendless, in_time};
use super::job::{Job, Reply, RunError, Terms};
use super::queue::Overlap;
use super::rights::WRITE_USERS;
use crate::domain::{DateOfBirth, Username};
use crate::store::StoreError;
use crate::store::schema::Right;

/// A date that is stored already is not written again. Its row is locked all the same: that waits for a writer who came
/// first, compares with the newest date, and makes this a transaction whose commit is flushed, and sent to synchronous
/// standbys, after all that it has seen.
const UPSERT: &str = concat!(
    fence!("$3", "$4"),
    "done AS (INSERT INTO users AS old (username, date_of_birth) \
         SELECT * FROM unnest($1::text[], $2::date[]) WHERE (SELECT in_time FROM fence) \
         ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth \
             WHERE old.date_of_birth <> EXCLUDED.date_of_birth RETURNING 1) \
     SELECT (SELECT in_time FROM fence) AND count(*) * ",
    in_time!("$4"),
    " >= 0, clock_timestamp() FROM done"
);

/// Locks in the order of names, as the upserts do: two batches never deadlock.
const DELETE: &str = concat!(
    fence!("$2", "$3"),
    "doomed AS MATERIALIZED (SELECT username FROM users \
         WHERE username = ANY($1) AND (SELECT in_time FROM fence) ORDER BY username FOR UPDATE), ",
    friendless!(),
    "gone AS (DELETE FROM users WHERE username IN (SELECT username FROM doomed) RETURNING 1) \
     SELECT (SELECT in_time FROM fence) \
         AND ((SELECT count(*) FROM gone) + (SELECT count(*) FROM low_gone) + (SELECT count(*) FROM high_gone)) * ",
    in_time!("$3"),
    " >= 0, clock_timestamp()"
);

/// Sets one date of birth, or removes a user when there is none.
#[derive(Debug)]
pub struct Change {
    username: Username,
    born: Option<DateOfBirth>,
    queued: Instant,
    reply: Reply<()>,
}

impl Change {
    /// Gives `username` this date of birth, or removes it.
    pub fn new(username: Username, born: Option<DateOfBirth>, reply: Reply<()>) -> Self {
        Self {
            username,
            born,
            queued: Instant::now(),
            reply,
        }
    }
}

impl Job for Change {
    const KIND: &'static str = "write";
    const MAX_BATCH: usize = 256;
    const OVERLAP: Overlap = Overlap::WhenSlow;
    const CLASS: Class = Class::Write;
    const RIGHTS: &'static [Right] = WRITE_USERS;
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
    type Output = ();

    async fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms<'_>,
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

    fn queued(&self) -> Instant {
        self.queued
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn may_retry(&mut self) -> bool {
        // Whether the lost statement took effect is unknown. Running it again later could revert a newer
        // write of another client.
        false
    }

    fn fail(self, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

async fn upsert(
    connection: &mut PgConnection,
    rows: Vec<(&str, NaiveDate)>,
    terms: Terms<'_>,
) -> Result<(), RunError> {
    let (names, dates): (Vec<&str>, Vec<NaiveDate>) = rows.into_iter().unzip();
    let query = sqlx::query_as(UPSERT)
        .persistent(terms.persistent)
        .bind(&names)
        .bind(&dates)
        .bind(terms.start_by)
        .bind(terms.done_by);
    complete(query, connection, terms).await
}

async fn delete(
    connection: &mut PgConnection,
    names: &[&str],
    terms: Terms<'_>,
) -> Result<(), RunError> {
    let query = sqlx::query_as(DELETE)
        .persistent(terms.persistent)
        .bind(names)
        .bind(terms.start_by)
        .bind(terms.done_by);
    complete(query, connection, terms).await
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
    use tokio::sync::oneshot;

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
