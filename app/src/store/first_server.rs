//! The server for what runs once: a migration, or the writing of made-up people.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::timeout;

use super::schema;
use super::server_error::{self, INSUFFICIENT_PRIVILEGE};
use crate::postgres_url::{PostgresUrl, server_name};

/// How long each of several servers is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NoServer {
    message: String,
    login_refused: bool,
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
            message: error.to_string(),
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
    let (mut failures, mut login_refused) = (Vec::new(), false);
    for server in url.servers() {
        let failure = match timeout(CONNECT_TIMEOUT, connect(server, url.wants_writes())).await {
            Ok(Ok(connection)) => return Ok((connection, server.clone())),
            Ok(Err(failure)) => {
                login_refused |= failure.login_refused;
                failure.message
            }
            Err(_) => format!("no connection within {CONNECT_TIMEOUT:?}"),
        };
        failures.push(format!("{}: {failure}", server_name(server)));
    }
    Err(NoServer {
        message: failures.join("; "),
        login_refused,
    })
}

async fn connect(server: &PgConnectOptions, wants_writes: bool) -> Result<PgConnection, NoServer> {
    let unfit = |message: &str| NoServer {
        message: message.to_owned(),
        login_refused: false,
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
