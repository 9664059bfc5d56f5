//! The swap and its undoing, which are the same exchange in two directions.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::error::{Reason, RestoreError};
use super::exchange::{self, Exchange};
use super::loss::{self, Other};
use super::names::{self, LIVE, MIGRATIONS};
use super::report::{Done, Report};
use super::session::{self, Session};
use super::state::{Found, Note, State};
use super::tables;
use crate::config::{RestoreConfig, RestoreId};
use crate::store::schema;

/// Which data comes in, and where the live data goes.
pub struct Direction {
    incoming: String,
    outgoing: String,
    done: Done,
    /// The note of an exchange in this direction that is done.
    finished: fn(&Found) -> Option<&Note>,
    plan: fn(&Found) -> Result<Plan, RestoreError>,
}

/// What an exchange begins with.
struct Plan {
    /// The note on the data that goes.
    note: Note,
    /// Since when the live data and the other went apart.
    since: DateTime<Utc>,
    /// The transaction that wrote what the live data began with.
    begun_by: Option<String>,
    /// The table of migrations that has to be live, where that matters.
    live: Option<i64>,
}

impl Direction {
    /// What was staged becomes live.
    pub fn swap(id: &RestoreId) -> Self {
        Self {
            incoming: names::staged(id),
            outgoing: names::previous(id),
            done: Done::Swapped,
            finished: Found::swapped,
            plan: |found| {
                let staged = found.to_swap()?;
                let note = Note {
                    state: State::Previous,
                    ..staged.clone()
                };
                let since = staged.backup_time;
                Ok(Plan {
                    note,
                    since,
                    begun_by: None,
                    live: None,
                })
            },
        }
    }

    /// What was live before becomes live again. Only what was written since the swap is lost.
    pub fn undo(id: &RestoreId) -> Self {
        Self {
            incoming: names::previous(id),
            outgoing: names::staged(id),
            done: Done::Undone,
            finished: Found::undone,
            plan: |found| {
                let (previous, swap) = found.to_undo()?;
                let note = Note {
                    state: State::Undone,
                    ..previous.clone()
                };
                Ok(Plan {
                    since: swap.time,
                    begun_by: previous.written_by.clone(),
                    live: Some(swap.brought),
                    note,
                })
            },
        }
    }

    /// Exchanges the two, unless that is done.
    ///
    /// # Errors
    /// See [`RestoreError`]. Nothing has changed then.
    pub async fn exchange(
        &self,
        config: &RestoreConfig,
        accept_data_loss: bool,
    ) -> Result<Report, RestoreError> {
        let (id, lock_timeout) = (&config.options.id, config.options.lock_timeout);
        let mut session = Session::open(&config.database).await?;
        let found = Found::read(&mut session.connection, id).await?;
        if let Some(note) = (self.finished)(&found) {
            return Ok(self.report(note));
        }
        let plan = (self.plan)(&found)?;
        session.check_version().await?;
        session.check_rights().await?;
        self.migrate(&mut session, lock_timeout).await?;
        if !accept_data_loss {
            // Before anybody waits for it.
            self.refuse_loss(&mut session.connection, &plan).await?;
        }
        session::begin(&mut session.connection, lock_timeout).await?;
        // Another run may have come first.
        let found = Found::read(&mut session.connection, id).await?;
        if let Some(note) = (self.finished)(&found) {
            return Ok(self.report(note));
        }
        let plan = (self.plan)(&found)?;
        session.check_version().await?;
        let note = self
            .exchange_locked(
                &mut session.connection,
                plan,
                accept_data_loss,
                lock_timeout,
            )
            .await?;
        Ok(self.report(&note))
    }

    /// Migrates what comes in to this program's schema, when another version had it staged or live.
    async fn migrate(
        &self,
        session: &mut Session,
        lock_timeout: Duration,
    ) -> Result<(), RestoreError> {
        let found = tables::version(&mut session.connection, &self.incoming).await?;
        if found == Some(schema::postgres_version()) {
            return Ok(());
        }
        let _lock = session.lock(lock_timeout).await?;
        tables::migrate(&mut session.connection, &self.incoming).await?;
        Ok(())
    }

    async fn refuse_loss(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
    ) -> Result<(), RestoreError> {
        let tables = tables::read(connection, &self.incoming).await?;
        let loss = loss::count(connection, &tables, &self.other(plan)).await?;
        if loss.is_none() {
            Ok(())
        } else {
            Err(RestoreError::LossNotAccepted(loss))
        }
    }

    /// Exchanges them within the transaction that has the lock, so that nobody else restores or migrates.
    async fn exchange_locked(
        &self,
        connection: &mut PgConnection,
        plan: Plan,
        accept_data_loss: bool,
        lock_timeout: Duration,
    ) -> Result<Note, RestoreError> {
        let live: Option<i64> = sqlx::query_scalar("SELECT to_regclass($1)::oid::bigint")
            .bind(format!("{LIVE}.{MIGRATIONS}"))
            .fetch_one(&mut *connection)
            .await?;
        if plan.live.is_some() && plan.live != live {
            return Err(RestoreError::refused(
                "the live data is not what this restore has brought, but what another one has: undo that first",
            ));
        }
        let found = tables::version(connection, &self.incoming).await?;
        if found != Some(schema::postgres_version()) {
            let message = "another program migrates the same data: run this command again";
            return Err(RestoreError::found(Reason::Locked, message));
        }
        let tables = tables::read(connection, &self.incoming).await?;
        let exchange = Exchange {
            tables: &tables,
            incoming: self.other(&plan),
            outgoing: &self.outgoing,
            accept_data_loss,
        };
        exchange::run(connection, &exchange, plan.note.clone(), lock_timeout).await
    }

    fn other<'a>(&'a self, plan: &'a Plan) -> Other<'a> {
        Other {
            schema: &self.incoming,
            since: plan.since,
            begun_by: plan.begun_by.as_deref(),
        }
    }

    fn report(&self, note: &Note) -> Report {
        let swap = note.swap.as_ref();
        Report {
            time: swap.map_or_else(Utc::now, |swap| swap.time),
            set: Some(note.set.clone()),
            loss: swap.map(|swap| swap.loss.clone()),
            rows: Some(note.rows),
            schema_version: Some(schema::postgres_version()),
            previous: (self.done == Done::Swapped).then(|| self.outgoing.clone()),
            ..Report::new(self.done)
        }
    }
}
