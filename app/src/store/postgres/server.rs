//! Connections to a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, timeout};

use super::deadline::{Class, Deadline, ServerClock};
use super::job::{Job, RunError};
use super::options::Pooler;
use super::refusals::{is_crowded, is_refused_setting, is_rejected_login};
use super::rights::Rights;
use super::server_session::{ServerSession, WrittenServer, milliseconds, notice_pooler, usable};
use super::session::{Connect, ConnectError};
use crate::aside::Aside;
use crate::postgres_url::{PostgresUrl, server_name};
use crate::store::schema::PostgresState;
use crate::store::{DatabaseUrl, DatabaseUrlSource, InvalidDatabaseUrl, schema};

/// So many times its time an attempt to connect has, once others before it had too little.
const MOST_PATIENCE: u32 = 4;

/// The server behind a URL.
#[derive(Debug)]
pub struct Server {
    /// Where the URL comes from.
    pub url: DatabaseUrlSource,
    /// Reads it.
    pub aside: Aside,
    /// The time of one attempt to connect.
    pub connect_timeout: Duration,
    /// Attempts in a row that had too little: a server, or a machine of this program, that is so busy would never answer in
    /// time, and the more often it is asked the less.
    pub too_short: AtomicU32,
    /// How long callers wait.
    pub deadline: Deadline,
    /// Whether a connection may change its server with every transaction: as configured, or as noticed.
    pub pooled: Arc<AtomicBool>,
    /// Where the last connection for writes was opened.
    pub written: Arc<WrittenServer>,
    /// What is known of the rights of the role.
    pub rights: Arc<Rights>,
}

/// One of the servers of a URL, and what is asked of it.
struct Target<'a> {
    server: &'a PgConnectOptions,
    /// Where it is in the list.
    place: usize,
    /// Whether it will not do when it takes no writes.
    needs_writes: bool,
}

impl<J: Job> Connect<J> for Server {
    type Session = ServerSession;

    async fn connect(&self) -> Result<ServerSession, ConnectError> {
        let url = postgres(self.read(DatabaseUrlSource::read).await??)?;
        let (mut failures, mut no_room) = (Vec::new(), false);
        for (place, server) in url.servers().iter().enumerate() {
            let target = Target {
                server,
                place,
                needs_writes: J::CLASS == Class::Write || url.wants_writes(),
            };
            let time = self.attempt_time();
            let attempt = timeout(time, self.attempt::<J>(&target));
            let error = match attempt.await {
                Ok(Ok(session)) => {
                    self.too_short.store(0, Ordering::Relaxed);
                    return Ok(session);
                }
                Ok(Err(ConnectError::Database(error))) if is_crowded(&error) => {
                    ConnectError::NoRoom(error.to_string())
                }
                Ok(Err(error)) => error,
                Err(_) if self.pooler() == Pooler::Transaction => {
                    ConnectError::NoRoom(format!("no connection of the pooler within {time:?}"))
                }
                Err(_) => {
                    self.too_short.fetch_add(1, Ordering::Relaxed);
                    ConnectError::Timeout(time)
                }
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
    /// The time of the next attempt to connect.
    fn attempt_time(&self) -> Duration {
        let too_short = self.too_short.load(Ordering::Relaxed);
        self.connect_timeout * too_short.saturating_add(1).min(MOST_PATIENCE)
    }

    /// Reads of the source of the URL, which may be a file on a network that hangs.
    async fn read<T: Send + 'static>(
        &self,
        read: fn(&DatabaseUrlSource) -> T,
    ) -> Result<T, InvalidDatabaseUrl> {
        let url = self.url.clone();
        let answer = self.aside.run(self.connect_timeout, move || read(&url));
        answer.await.map_err(|error| self.url.unreadable(error))
    }

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
        self.rights.note(&state.lacking);
        if let Some(lacking) = self.rights.lacking::<J>() {
            return Err(ConnectError::Rights(lacking));
        }
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
            rights: self.rights.clone(),
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
        let previous = self.read(DatabaseUrlSource::read_previous).await?;
        let previous = previous.map(postgres).transpose()?;
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
