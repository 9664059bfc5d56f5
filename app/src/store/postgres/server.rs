//! Connections to a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::time::{Instant, timeout};

use super::deadline::{Class, Deadline, ServerClock, Window};
use super::job::{Job, RunError, Terms};
use super::lookup::ORDINARY_PLANS;
use super::options::Pooler;
use super::refusals::{is_crowded, is_lost_statement, is_refused_setting, is_rejected_login};
use super::session::{Connect, ConnectError, Refusal, Session};
use crate::postgres_url::{PostgresUrl, server_name};
use crate::store::schema::PostgresState;
use crate::store::{DatabaseUrl, DatabaseUrlSource, InvalidDatabaseUrl, schema};

/// How long a check or the end of a connection may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The server behind a URL.
#[derive(Debug)]
pub struct Server {
    /// Where the URL comes from.
    pub url: DatabaseUrlSource,
    /// The longest time of one attempt to connect.
    pub connect_timeout: Duration,
    /// How long callers wait.
    pub deadline: Deadline,
    /// Whether a connection may change its server with every transaction: as configured, or as noticed.
    pub pooled: Arc<AtomicBool>,
    /// Where the last connection for writes was opened.
    pub written: Arc<WrittenServer>,
}

/// The server that takes the writes, as one that was connected to last for writes: [`PostgresState::started`], 0 at first. All
/// else goes there too, so that what was acknowledged is read: a former primary may be alive and not know of the failover.
#[derive(Debug, Default)]
pub struct WrittenServer(AtomicI64);

impl WrittenServer {
    /// Notes a server that is asked to write.
    fn note(&self, started: i64) {
        self.0.store(started, Ordering::SeqCst);
    }

    /// Whether a server is this one, as far as is known.
    fn is(&self, started: i64) -> bool {
        let known = self.0.load(Ordering::SeqCst);
        known == 0 || known == started
    }
}

/// One of the servers of a URL, and what is asked of it.
struct Target<'a> {
    server: &'a PgConnectOptions,
    /// Where it is in the list.
    place: usize,
    /// Whether it will not do when it takes no writes.
    needs_writes: bool,
}

/// An open connection, and the clock of its server.
pub struct ServerSession {
    connection: PgConnection,
    clock: ServerClock,
    /// Whether a server that takes no writes will not do.
    needs_writes: bool,
    /// As it was when the connection was opened.
    pooler: Pooler,
    /// [`Job::KIND`] of the work that the connection was opened for, and that its settings fit.
    kind: &'static str,
    deadline: Deadline,
    pooled: Arc<AtomicBool>,
    /// [`PostgresState::started`] of its server.
    started: i64,
    written: Arc<WrittenServer>,
}

impl<J: Job> Connect<J> for Server {
    type Session = ServerSession;

    async fn connect(&self) -> Result<ServerSession, ConnectError> {
        let url = postgres(self.url.read()?)?;
        let (mut failures, mut no_room) = (Vec::new(), false);
        for (place, server) in url.servers().iter().enumerate() {
            let target = Target {
                server,
                place,
                needs_writes: J::CLASS == Class::Write || url.wants_writes(),
            };
            let attempt = timeout(self.connect_timeout, self.attempt::<J>(&target));
            let error = match attempt.await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(ConnectError::Database(error))) if is_crowded(&error) => {
                    ConnectError::NoRoom(error.to_string())
                }
                Ok(Err(error)) => error,
                Err(_) if self.pooler() == Pooler::Transaction => {
                    let time = self.connect_timeout;
                    ConnectError::NoRoom(format!("no connection of the pooler within {time:?}"))
                }
                Err(_) => ConnectError::Timeout(self.connect_timeout),
            };
            // Connections that write go no further than those that read: what is read is what was written.
            let is_last_word = matches!(error, ConnectError::ReadOnly) && !url.wants_writes();
            if url.servers().len() == 1 || is_last_word {
                return Err(error);
            }
            no_room |= error.has_no_room();
            failures.push(format!("{}: {error}", server_name(server)));
        }
        Err(ConnectError::NoServer {
            reasons: failures.join("; "),
            no_room,
        })
    }
}

impl Server {
    async fn attempt<J: Job>(&self, target: &Target<'_>) -> Result<ServerSession, ConnectError> {
        let limit = self.deadline.limit(J::CLASS);
        let pooler = self.pooler();
        let mut connection = match self.log_in::<J>(target, pooler, limit).await {
            Err(error) if is_refused_setting(&error) => {
                notice_pooler(&self.pooled, &error);
                return Err(error);
            }
            answer => answer?,
        };
        let state = schema::postgres_state(&mut connection).await?;
        let clock = ServerClock::new(state.time, Instant::now());
        self.admit::<J>(&state, target.needs_writes)?;
        let mut session = ServerSession {
            connection,
            clock,
            needs_writes: target.needs_writes,
            pooler,
            kind: J::KIND,
            deadline: self.deadline,
            pooled: self.pooled.clone(),
            started: state.started,
            written: self.written.clone(),
        };
        match session.try_out::<J>().await {
            Ok(()) => Ok(session),
            Err(RunError::Database(error)) => Err(error.into()),
            Err(RunError::Late) => Err(ConnectError::Timeout(self.connect_timeout)),
            Err(RunError::OtherServer) => Err(ConnectError::OtherServer),
        }
    }

    /// Whether a server in this state can do the work. The last one that is asked to write, also in vain, is the one for
    /// all.
    fn admit<J: Job>(&self, state: &PostgresState, needs_writes: bool) -> Result<(), ConnectError> {
        let usable = usable(state, needs_writes);
        if J::CLASS == Class::Write && matches!(usable, Ok(()) | Err(ConnectError::ReadOnly)) {
            self.written.note(state.started);
        }
        usable?;
        if self.written.is(state.started) {
            Ok(())
        } else {
            Err(ConnectError::OtherServer)
        }
    }

    fn pooler(&self) -> Pooler {
        if self.pooled.load(Ordering::Relaxed) {
            Pooler::Transaction
        } else {
            Pooler::None
        }
    }

    /// Logs in with the present URL, or with the previous one until the server has the new password.
    async fn log_in<J: Job>(
        &self,
        target: &Target<'_>,
        pooler: Pooler,
        limit: Duration,
    ) -> Result<PgConnection, ConnectError> {
        let present = options::<J>(target.server, pooler, limit);
        let rejected = match present.connect().await {
            Err(error) if is_rejected_login(&error) => error,
            answer => return Ok(answer?),
        };
        let previous = self.url.read_previous().map(postgres).transpose()?;
        let servers = previous.as_deref().map(PostgresUrl::servers);
        let Some(previous) = servers.and_then(|servers| servers.get(target.place)) else {
            return Err(rejected.into());
        };
        match options::<J>(previous, pooler, limit).connect().await {
            // The server got the new one between the two.
            Err(error) if is_rejected_login(&error) => Ok(present.connect().await?),
            answer => Ok(answer?),
        }
    }
}

fn postgres(url: DatabaseUrl) -> Result<Box<PostgresUrl>, ConnectError> {
    match url {
        DatabaseUrl::Postgres(url) => Ok(url),
        DatabaseUrl::Sqlite(_) => Err(InvalidDatabaseUrl::Scheme.into()),
    }
}

fn options<J: Job>(server: &PgConnectOptions, pooler: Pooler, limit: Duration) -> PgConnectOptions {
    // The driver would log slow statements, and measures every one for that.
    let options = server
        .clone()
        .application_name("hello-app")
        .disable_statement_logging();
    match pooler {
        // Whatever happens to this program, no statement occupies a process of the server for long.
        Pooler::None => options.options(J::SETTINGS.iter().copied()).options([
            ("statement_timeout", milliseconds(limit)),
            ("idle_in_transaction_session_timeout", milliseconds(limit)),
        ]),
        // The server behind a connection changes with every transaction: nothing may be left
        // there, and poolers refuse start-up parameters that they cannot track.
        Pooler::Transaction => options.extra_float_digits(None),
    }
}

fn milliseconds(limit: Duration) -> String {
    format!("{}ms", limit.as_millis().max(1))
}

/// Whether a server in this state can do the work.
fn usable(state: &PostgresState, needs_writes: bool) -> Result<(), ConnectError> {
    let needed = schema::postgres_version();
    // A newer schema is fine: during a rolling update the old pods serve on the new one.
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
fn notice_pooler(pooled: &AtomicBool, error: &dyn std::fmt::Display) {
    if !pooled.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %error,
            "there is a pooler in front of the database: HELLO_DATABASE_POOLER should be transaction"
        );
    }
}

impl ServerSession {
    /// Whether this role may do the work of `J`, and on this schema: a statement that concerns nothing.
    async fn try_out<J: Job>(&mut self) -> Result<(), RunError> {
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

    /// Reads the state of the server, whose clock may have stepped, and tries the work out on it.
    async fn try_again<J: Job>(&mut self, needs_writes: bool) -> Result<(), ConnectError> {
        let state = schema::postgres_state(&mut self.connection).await?;
        self.clock = ServerClock::new(state.time, Instant::now());
        // A pooler may have another server behind it now.
        if J::CLASS == Class::Write && state.started != self.started {
            self.written.note(state.started);
        }
        self.started = state.started;
        usable(&state, needs_writes)?;
        match self.try_out::<J>().await {
            Ok(()) => Ok(()),
            Err(RunError::Database(error)) => Err(error.into()),
            Err(RunError::Late) => Err(ConnectError::Timeout(CHECK_TIMEOUT)),
            Err(RunError::OtherServer) => Err(ConnectError::OtherServer),
        }
    }
}

impl<J: Job> Session<J> for ServerSession {
    async fn run(&mut self, batch: &[J], window: Window) -> Result<J::Output, RunError> {
        if !self.written.is(self.started) {
            return Err(RunError::OtherServer);
        }
        let terms = Terms {
            start_by: self.clock.at(window.start_by),
            done_by: self.clock.at(window.done_by),
            persistent: self.pooler == Pooler::None,
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

    async fn check(&mut self) -> Result<(), String> {
        let check = self.try_again::<J>(self.needs_writes);
        match timeout(CHECK_TIMEOUT, check).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("idle connection is dead".into()),
        }
    }

    async fn take_on(&mut self) -> Result<(), Refusal> {
        let needs_writes = self.needs_writes || J::CLASS == Class::Write;
        let answer = timeout(CHECK_TIMEOUT, self.try_again::<J>(needs_writes)).await;
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
