//! The server for what runs once: a migration, or the writing of made-up people.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::schema;
use super::server_error::{self, INSUFFICIENT_PRIVILEGE};
use crate::postgres_url::{PostgresUrl, server_name};

/// How long each of several servers is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a refused connection is tried again: network policies let a new pod through only once every node knows its
/// address, some seconds after its start.
const NETWORK_SETTLES: Duration = Duration::from_secs(10);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NoServer {
    message: String,
    login_refused: bool,
    /// No server has answered.
    unreached: bool,
}

impl NoServer {
    /// Whether the role of the URL is refused: its password, or its right to log in or to connect.
    pub const fn login_refused(&self) -> bool {
        self.login_refused
    }
}

impl From<sqlx::Error> for NoServer {
    fn from(error: sqlx::Error) -> Self {
        // The class of refused authorizations, and insufficient privileges.
        let code = server_error::code(&error);
        let code = code.as_deref().unwrap_or_default();
        Self {
            login_refused: code.starts_with("28") || code == INSUFFICIENT_PRIVILEGE,
            unreached: matches!(error, sqlx::Error::Io(_)),
            message: error.to_string(),
        }
    }
}

/// Connects as [`connect_first`], and tries again for some seconds while no server answers.
///
/// # Errors
/// As [`connect_first`].
pub async fn connect_with_retry(
    url: &PostgresUrl,
) -> Result<(PgConnection, PgConnectOptions), NoServer> {
    let end = Instant::now() + NETWORK_SETTLES;
    loop {
        match connect_first(url).await {
            Err(failure) if failure.unreached && Instant::now() < end => sleep(PAUSE).await,
            ended => return ended,
        }
    }
}

/// Connects to the first server of a list that serves its purpose, by the rules of the service. A single server is not
/// looked at: what it cannot do, it says itself.
///
/// # Errors
/// When there is none: why each of them does not.
pub async fn connect_first(
    url: &PostgresUrl,
) -> Result<(PgConnection, PgConnectOptions), NoServer> {
    if let [server] = url.servers() {
        return Ok((server.connect().await?, server.clone()));
    }
    let (mut failures, mut login_refused, mut unreached) = (Vec::new(), false, true);
    for server in url.servers() {
        let failure = match timeout(CONNECT_TIMEOUT, connect(server, url.wants_writes())).await {
            Ok(Ok(connection)) => return Ok((connection, server.clone())),
            Ok(Err(failure)) => {
                login_refused |= failure.login_refused;
                unreached &= failure.unreached;
                failure.message
            }
            Err(_) => format!("no connection within {CONNECT_TIMEOUT:?}"),
        };
        failures.push(format!("{}: {failure}", server_name(server)));
    }
    Err(NoServer {
        message: failures.join("; "),
        login_refused,
        unreached,
    })
}

async fn connect(server: &PgConnectOptions, wants_writes: bool) -> Result<PgConnection, NoServer> {
    let unfit = |message: &str| NoServer {
        message: message.to_owned(),
        login_refused: false,
        unreached: false,
    };
    let mut connection = server.connect().await?;
    let state = schema::postgres_state(&mut connection).await?;
    if state.standby {
        return Err(unfit("the database is a standby"));
    }
    if wants_writes && state.read_only {
        return Err(unfit("the database is read-only"));
    }
    Ok(connection)
}
