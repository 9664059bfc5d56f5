//! The exchange: in one transaction, the live tables go and others of the same names come.
//!
//! The tables are moved one by one, not their schemas renamed: the live schema belongs to the database's owner, and others
//! may have extensions and tables in it. A table keeps its indexes, keys and rights, and its number: sessions that have
//! prepared statements plan them again.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::error::RestoreError;
use super::loss::{self, Loss, Other};
use super::names::{LIVE, MIGRATIONS};
use super::state::{self, Note, Swap};
use super::tables::{Table, execute};
use super::{parts, rights};
use crate::store::server_error::{self, DEADLOCK, LOCK_NOT_AVAILABLE};

/// Pauses before another try, in which those who waited go on: the first one, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

/// What is exchanged.
pub struct Exchange<'a> {
    /// The tables of the service, without that of the migrations.
    pub tables: &'a [Table],
    /// What comes in, and what is lost by that.
    pub incoming: Other<'a>,
    /// The schema that the live tables go to. It does not exist yet.
    pub outgoing: &'a str,
    /// Whether rows may be lost.
    pub accept_data_loss: bool,
}

/// Exchanges them within the transaction of `connection`, which has the lock of restores, writes `note` on what goes,
/// and commits.
///
/// # Errors
/// When rows would be lost, somebody has made something of the live tables, or they stay locked.
pub async fn run(
    connection: &mut PgConnection,
    exchange: &Exchange<'_>,
    note: Note,
    lock_timeout: Duration,
) -> Result<Note, RestoreError> {
    let end = Instant::now() + lock_timeout;
    let [mut pause, longest] = PAUSES;
    execute(connection, "SAVEPOINT attempt").await?;
    let (loss, parts) = loop {
        match attempt(connection, exchange, &note.parts).await {
            Err(RestoreError::Database(error))
                if is_held_up(&error) && Instant::now() + pause < end =>
            {
                tracing::info!(%error, "a table is in use: trying again");
                execute(connection, "ROLLBACK TO SAVEPOINT attempt").await?;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            attempt => break attempt?,
        }
    };
    let brought = sqlx::query_scalar("SELECT to_regclass($1)::oid::bigint")
        .bind(format!("{LIVE}.{MIGRATIONS}"))
        .fetch_one(&mut *connection)
        .await?;
    let swap = Swap {
        time: Utc::now(),
        loss,
        brought,
    };
    let note = Note {
        swap: Some(swap),
        parts,
        ..note
    };
    state::write(connection, exchange.outgoing, &note).await?;
    execute(connection, "COMMIT").await?;
    Ok(note)
}

/// One try; what is lost, and what the tables consist of that are live then. Writers wait while the loss is counted; readers
/// only for the moment in which the tables are moved. The live tables may have `brought`, which an earlier exchange has.
async fn attempt(
    connection: &mut PgConnection,
    exchange: &Exchange<'_>,
    brought: &BTreeSet<String>,
) -> Result<(Loss, BTreeSet<String>), RestoreError> {
    // Whoever holds a table for long is noticed here, before writers wait for the count.
    lock(connection, exchange, "ACCESS EXCLUSIVE").await?;
    execute(connection, "ROLLBACK TO SAVEPOINT attempt").await?;
    lock(connection, exchange, "EXCLUSIVE").await?;
    let start = Instant::now();
    let loss = loss::count(connection, exchange.tables, &exchange.incoming).await?;
    if !exchange.accept_data_loss && !loss.is_none() {
        return Err(RestoreError::LossNotAccepted(loss));
    }
    let counted = start.elapsed();
    lock(connection, exchange, "ACCESS EXCLUSIVE").await?;
    let live = parts::read(connection, LIVE, exchange.tables).await?;
    let own = parts::read(connection, exchange.incoming.schema, exchange.tables).await?;
    parts::check_live(&live, &own.union(brought).cloned().collect())?;
    move_tables(connection, exchange).await?;
    tracing::info!(
        writers_waited = ?start.elapsed(),
        readers_waited = ?(start.elapsed() - counted),
        "tables exchanged"
    );
    Ok((loss, own))
}

async fn lock(
    connection: &mut PgConnection,
    exchange: &Exchange<'_>,
    mode: &str,
) -> Result<(), sqlx::Error> {
    let names = names(exchange).map(|name| format!("ONLY {LIVE}.{name}"));
    let names = names.collect::<Vec<_>>().join(", ");
    execute(connection, &format!("LOCK TABLE {names} IN {mode} MODE")).await
}

async fn move_tables(
    connection: &mut PgConnection,
    exchange: &Exchange<'_>,
) -> Result<(), sqlx::Error> {
    let (incoming, outgoing) = (exchange.incoming.schema, exchange.outgoing);
    let mut statements = format!("CREATE SCHEMA {outgoing}");
    for name in names(exchange) {
        rights::copy(connection, name, incoming).await?;
        statements.push_str(&format!(
            "; ALTER TABLE {LIVE}.{name} SET SCHEMA {outgoing}; ALTER TABLE {incoming}.{name} SET SCHEMA {LIVE}"
        ));
    }
    statements.push_str(&format!("; DROP SCHEMA {incoming}"));
    execute(connection, &statements).await
}

/// All tables, quoted.
fn names<'a>(exchange: &'a Exchange<'_>) -> impl Iterator<Item = &'a str> {
    let tables = exchange.tables.iter().map(|table| table.name.as_str());
    tables.chain([MIGRATIONS])
}

/// Whether others hold a lock, or waited for one of this session: another try may succeed.
fn is_held_up(error: &sqlx::Error) -> bool {
    let code = server_error::code(error);
    matches!(code.as_deref(), Some(LOCK_NOT_AVAILABLE | DEADLOCK))
}
