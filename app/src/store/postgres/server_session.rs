//! One connection to a real server: how work is run on it, and how it is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{Instant, timeout};

use super::deadline::{Class, Deadline, ServerClock, Window};
use super::job::{Job, RunError, Terms};
use super::lookup::ORDINARY_PLANS;
use super::options::Pooler;
use super::refusals::is_lost_statement;
use super::rights::{Lacking, Rights};
use super::session::{ConnectError, Refusal, Session};
use crate::store::schema::{self, PostgresState};

/// How long a check or the end of a connection may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The server that takes the writes, as one that was connected to last for writes: [`PostgresState::started`], 0 at first. All
/// else goes there too, so that what was acknowledged is read: a former primary may be alive and not know of the failover.
#[derive(Debug, Default)]
pub struct WrittenServer(AtomicI64);

impl WrittenServer {
    /// Notes a server that is asked to write.
    pub fn note(&self, started: i64) {
        self.0.store(started, Ordering::SeqCst);
    }

    /// Whether a server is this one, as far as is known.
    pub fn is(&self, started: i64) -> bool {
        let known = self.0.load(Ordering::SeqCst);
        known == 0 || known == started
    }
}

/// An open connection, and the clock of its server.
pub struct ServerSession {
    /// The connection.
    pub connection: PgConnection,
    /// The clock, as its answers show it.
    pub clock: ServerClock,
    /// Whether a server that takes no writes will not do.
    pub needs_writes: bool,
    /// As it was when the connection was opened.
    pub pooler: Pooler,
    /// [`Job::KIND`] of the work that the connection was opened for, and that its settings fit.
    pub kind: &'static str,
    /// How long callers wait.
    pub deadline: Deadline,
    /// Where a pooler is noted that is noticed.
    pub pooled: Arc<AtomicBool>,
    /// [`PostgresState::started`] of its server.
    pub started: i64,
    /// The server that takes the writes.
    pub written: Arc<WrittenServer>,
    /// What is known of the rights of the role.
    pub rights: Arc<Rights>,
}

impl ServerSession {
    /// Whether this role may do the work of `J`, and on this schema: a statement that concerns nothing.
    pub async fn try_out<J: Job>(&mut self) -> Result<(), RunError> {
        let (now, limit) = (Instant::now(), self.deadline.limit(J::CLASS));
        let window = Window {
            start_by: now,
            done_by: now + limit,
            end: now + limit * 2,
        };
        Session::<J>::run(self, &[], window).await.map(drop)
    }

    /// The longest time of a statement: less than usual for a list that has waited for its turn. One that goes on after
    /// its caller's time would cost the connection.
    fn statement_limit<J: Job>(&self, window: Window) -> Duration {
        let limit = self.deadline.limit(J::CLASS);
        let left = window.done_by.saturating_duration_since(Instant::now());
        // So that one that has hardly waited needs no transaction. It ends in time all the same.
        let is_late = left + limit / 16 < limit;
        if J::CLASS == Class::List && is_late {
            left
        } else {
            limit
        }
    }

    /// What begins a transaction with limits of its own, and with the settings for work that the connection was not opened for.
    fn begin<J: Job>(&self, limit: Duration, window: Window) -> String {
        // A transaction whose end does not come in time is undone: what its statements did has to take effect
        // before the wait for the answer is over, or never.
        let open = match J::CLASS {
            Class::Write => window.end.saturating_duration_since(window.done_by),
            Class::List | Class::Read => self.deadline.limit(J::CLASS),
        };
        let (limit, open) = (milliseconds(limit), milliseconds(open));
        let mut begin = format!(
            "BEGIN; SET LOCAL statement_timeout = '{limit}'; SET LOCAL idle_in_transaction_session_timeout = '{open}'"
        );
        if self.kind != J::KIND {
            for (name, value) in ORDINARY_PLANS {
                begin.push_str(&format!("; SET LOCAL {name} = '{value}'"));
            }
        }
        begin
    }

    /// Reads the state of the server, whose clock may have stepped, and tries the work out on it. Where the role need not be
    /// `permitted` to do all of it, what it may do goes on.
    async fn try_again<J: Job>(
        &mut self,
        needs_writes: bool,
        permitted: bool,
    ) -> Result<(), ConnectError> {
        let state = schema::postgres_state(&mut self.connection).await?;
        self.clock = ServerClock::new(state.time, Instant::now());
        // A pooler may have another server behind it now.
        if J::CLASS == Class::Write && state.started != self.started {
            self.written.note(state.started);
        }
        self.started = state.started;
        usable(&state, needs_writes)?;
        self.rights.note(&state.lacking);
        if let (true, Some(lacking)) = (permitted, self.rights.lacking::<J>()) {
            return Err(ConnectError::Rights(lacking));
        }
        match self.try_out::<J>().await {
            Ok(()) => Ok(()),
            Err(RunError::Database(error)) => Err(error.into()),
            Err(RunError::Late) => Err(ConnectError::Timeout(CHECK_TIMEOUT)),
            Err(RunError::OtherServer) => Err(ConnectError::OtherServer),
        }
    }

    /// Says why the role may not do a statement: which rights it lacks, unless that is known already.
    async fn explain<J: Job>(&mut self, forbidden: &RunError) {
        if self.rights.lacking::<J>().is_some() {
            return;
        }
        if let Ok(state) = schema::postgres_state(&mut self.connection).await {
            self.rights.note(&state.lacking);
        }
        // Such as a rule for single rows.
        if self.rights.lacking::<J>().is_none() {
            tracing::error!(kind = J::KIND, error = %forbidden, "the role may not do a statement");
        }
    }

    /// Runs a batch, in a transaction where it needs one.
    async fn run_batch<J: Job>(
        &mut self,
        batch: &[J],
        window: Window,
    ) -> Result<J::Output, RunError> {
        if !self.written.is(self.started) {
            return Err(RunError::OtherServer);
        }
        let terms = Terms {
            start_by: self.clock.at(window.start_by),
            done_by: self.clock.at(window.done_by),
            persistent: self.pooler == Pooler::None,
            clock: &self.clock,
        };
        let limit = self.statement_limit::<J>(window);
        let is_at_home = self.pooler == Pooler::None && self.kind == J::KIND;
        if is_at_home && limit == self.deadline.limit(J::CLASS) {
            let output = J::run(&mut self.connection, batch, terms).await;
            return output.inspect_err(|error| {
                if is_lost_statement(error) {
                    notice_pooler(&self.pooled, error);
                }
            });
        }
        let begin = AssertSqlSafe(self.begin::<J>(limit, window));
        let mut transaction = self.connection.begin_with(begin).await?;
        let output = J::run(&mut transaction, batch, terms).await?;
        transaction.commit().await?;
        Ok(output)
    }
}

impl<J: Job> Session<J> for ServerSession {
    async fn run(&mut self, batch: &[J], window: Window) -> Result<J::Output, RunError> {
        let answer = self.run_batch(batch, window).await;
        if let Err(error) = &answer
            && error.is_forbidden()
        {
            self.explain::<J>(error).await;
        }
        answer
    }

    async fn check(&mut self) -> Result<(), String> {
        // Without this right there is nothing to read, and the service is not ready.
        let permitted = J::CLASS == Class::Read;
        let check = self.try_again::<J>(self.needs_writes, permitted);
        match timeout(CHECK_TIMEOUT, check).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("idle connection is dead".into()),
        }
    }

    async fn take_on(&mut self) -> Result<(), Refusal> {
        let needs_writes = self.needs_writes || J::CLASS == Class::Write;
        let answer = timeout(CHECK_TIMEOUT, self.try_again::<J>(needs_writes, true)).await;
        let Ok(answer) = answer else {
            return Err(Refusal::Lost("no answer to a check".into()));
        };
        answer.map_err(|error| match &error {
            ConnectError::Database(sqlx::Error::Database(_)) => Refusal::Unable(error.to_string()),
            ConnectError::Database(_) | ConnectError::OtherServer => {
                Refusal::Lost(error.to_string())
            }
            _ => Refusal::Unable(error.to_string()),
        })
    }

    async fn close(self) {
        // The server notices by itself, if later.
        let _ = timeout(CHECK_TIMEOUT, self.connection.close()).await;
    }
}

/// A duration as a setting of the server.
pub fn milliseconds(limit: Duration) -> String {
    format!("{}ms", limit.as_millis().max(1))
}

/// Whether a server in this state can do the work.
pub fn usable(state: &PostgresState, needs_writes: bool) -> Result<(), ConnectError> {
    let needed = schema::postgres_version();
    // A newer schema is fine: during a rolling update the old pods serve on the new one.
    if let Some(lacking) = Lacking::schema(&state.lacking) {
        return Err(ConnectError::Rights(lacking));
    }
    if state.version < needed {
        let found = state.version;
        return Err(ConnectError::Schema { found, needed });
    }
    if state.encoding != schema::ENCODING {
        return Err(ConnectError::Encoding(state.encoding.clone()));
    }
    if state.standby {
        return Err(ConnectError::Standby);
    }
    if needs_writes && state.read_only {
        return Err(ConnectError::ReadOnly);
    }
    Ok(())
}

/// From now on, connections are used as a pooler needs it.
pub fn notice_pooler(pooled: &AtomicBool, error: &dyn std::fmt::Display) {
    if !pooled.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %error,
            "there is a pooler in front of the database: HELLO_DATABASE_POOLER should be transaction"
        );
    }
}
