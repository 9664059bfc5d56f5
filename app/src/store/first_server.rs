//! The server for what runs once: a migration, or the writing of made-up people.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::timeout;

use super::schema;
use crate::postgres_url::{PostgresUrl, server_name};

/// How long each of several servers is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoServer(String);

/// Connects to the first server of a list that serves its purpose, by the rules of the service. A single server is not
/// looked at: what it cannot do, it says itself.
///
/// # Errors
/// When there is none: why each of them does not.
pub async fn connect_first(
    url: &PostgresUrl,
) -> Result<(PgConnection, PgConnectOptions), NoServer> {
    if let [server] = url.servers() {
        let connection = server.connect().await;
        let connection = connection.map_err(|error| NoServer(error.to_string()))?;
        return Ok((connection, server.clone()));
    }
    let mut failures = Vec::new();
    for server in url.servers() {
        let failure = match timeout(PATIENCE, connect(server, url.wants_writes())).await {
            Ok(Ok(connection)) => return Ok((connection, server.clone())),
            Ok(Err(failure)) => failure,
            Err(_) => format!("no connection within {PATIENCE:?}"),
        };
        failures.push(format!("{}: {failure}", server_name(server)));
    }
    Err(NoServer(failures.join("; ")))
}

async fn connect(server: &PgConnectOptions, wants_writes: bool) -> Result<PgConnection, String> {
    let text = |error: sqlx::Error| error.to_string();
    let mut connection = server.connect().await.map_err(text)?;
    let state = schema::postgres_state(&mut connection)
        .await
        .map_err(text)?;
    if state.standby {
        return Err("the database is a standby".into());
    }
    if wants_writes && state.read_only {
        return Err("the database is read-only".into());
    }
    Ok(connection)
}
