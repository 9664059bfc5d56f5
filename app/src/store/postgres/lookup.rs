//! Looking up dates of birth: many callers in one statement.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::deadline::Class;
use super::job::{Job, Reply, Reruns, RunError, Terms};
use super::queue::Overlap;
use super::rights::READ_USERS;
use crate::domain::{DateOfBirth, Username};
use crate::store::StoreError;
use crate::store::schema::Right;

/// What [`Lookup::SETTINGS`] change, as other work needs it that is done on a connection for this one.
pub const ORDINARY_PLANS: [(&str, &str); 2] =
    [("plan_cache_mode", "auto"), ("enable_seqscan", "on")];

/// Looks up one date of birth.
#[derive(Debug)]
pub struct Lookup {
    username: Username,
    queued: Instant,
    reruns: Reruns,
    reply: Reply<Option<DateOfBirth>>,
}

impl Lookup {
    /// A lookup of `username`.
    pub fn new(username: Username, reply: Reply<Option<DateOfBirth>>) -> Self {
        Self {
            username,
            queued: Instant::now(),
            reruns: Reruns::new(),
            reply,
        }
    }
}

impl Job for Lookup {
    const KIND: &'static str = "read";
    const MAX_BATCH: usize = 128;
    const OVERLAP: Overlap = Overlap::FromHalf;
    const CLASS: Class = Class::Read;
    const RIGHTS: &'static [Right] = READ_USERS;
    /// There is one good plan, by the primary key: to plan again for each statement takes the server longer than to run it.
    const SETTINGS: &'static [(&'static str, &'static str)] = &[
        ("plan_cache_mode", "force_generic_plan"),
        // As planned while the table was small, it would read all of it when it has grown.
        ("enable_seqscan", "off"),
    ];
    type Output = Vec<(String, NaiveDate)>;

    async fn run(
        connection: &mut PgConnection,
        batch: &[Self],
        terms: Terms<'_>,
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
            // Fails only when the caller has left.
            let _ = job.reply.send(Ok(born));
        }
    }

    fn queued(&self) -> Instant {
        self.queued
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn may_retry(&mut self) -> bool {
        self.reruns.take()
    }

    fn fail(self, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}
