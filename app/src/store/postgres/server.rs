//! Connections to a real server.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, timeout};

use super::deadline::{ServerClock, Window};
use super::job::{Job, RunError, Terms};
use super::options::Pooler;
use super::session::{Connect, ConnectError, Session};
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
    /// What is between the service and the server.
    pub pooler: Pooler,
}

/// An open connection, and the clock of its server.
pub struct ServerSession {
    connection: PgConnection,
    clock: ServerClock,
    pooler: Pooler,
}

impl<J: Job> Connect<J> for Server {
    type Session = ServerSession;

    async fn connect(&self) -> Result<ServerSession, ConnectError> {
        timeout(self.connect_timeout, self.attempt(J::WRITES))
            .await
            .unwrap_or(Err(ConnectError::Timeout(self.connect_timeout)))
    }
}

impl Server {
    async fn attempt(&self, writes: bool) -> Result<ServerSession, ConnectError> {
        let mut connection = self.log_in().await?;
        let state = schema::postgres_state(&mut connection).await?;
        let clock = ServerClock::new(state.time, Instant::now());
        if writes && state.read_only {
            return Err(ConnectError::ReadOnly);
        }
        let needed = schema::postgres_version();
        // A newer schema is fine: during a rolling update the old pods serve on the new one.
        if state.version < needed {
            return Err(ConnectError::Schema {
                found: state.version,
                needed,
            });
        }
        Ok(ServerSession {
            connection,
            clock,
            pooler: self.pooler,
        })
    }

    /// Logs in with the present URL, or with the previous one until the server has the new password.
    async fn log_in(&self) -> Result<PgConnection, ConnectError> {
        let present = self.options(self.url.read()?)?;
        match present.connect().await {
            Err(rejected) if is_rejected_login(&rejected) => match self.url.read_previous() {
                Some(previous) => Ok(self.options(previous)?.connect().await?),
                None => Err(rejected.into()),
            },
            answer => Ok(answer?),
        }
    }

    fn options(&self, url: DatabaseUrl) -> Result<PgConnectOptions, ConnectError> {
        let DatabaseUrl::Postgres(url) = url else {
            return Err(InvalidDatabaseUrl::Scheme.into());
        };
        // The driver would log slow statements, and measures every one for that.
        let options = url
            .options()
            .clone()
            .application_name("hello-app")
            .disable_statement_logging();
        Ok(match self.pooler {
            Pooler::None => options,
            // The server behind a connection changes with every transaction: nothing may be left
            // there, and poolers refuse start-up parameters that they cannot track.
            Pooler::Transaction => options.extra_float_digits(None),
        })
    }
}

/// Whether the server rejects the password, or does not know the role.
fn is_rejected_login(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("28P01" | "28000"))
}

impl<J: Job> Session<J> for ServerSession {
    async fn run(&mut self, batch: &[J], window: Window) -> Result<J::Output, RunError> {
        let start_by = self.clock.at(window.start_by);
        match self.pooler {
            Pooler::None => {
                let terms = Terms {
                    start_by,
                    persistent: true,
                };
                J::run(&mut self.connection, batch, terms).await
            }
            Pooler::Transaction => {
                let terms = Terms {
                    start_by,
                    persistent: false,
                };
                let mut transaction = self.connection.begin().await?;
                let output = J::run(&mut transaction, batch, terms).await?;
                transaction.commit().await?;
                Ok(output)
            }
        }
    }

    async fn check(&mut self) -> Result<(), String> {
        match timeout(CHECK_TIMEOUT, self.connection.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("idle connection is dead".into()),
        }
    }

    async fn close(self) {
        // The server notices by itself, if later.
        let _ = timeout(CHECK_TIMEOUT, self.connection.close()).await;
    }
}
