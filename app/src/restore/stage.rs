//! Staging: the tables of a backup are put beside the live ones, and compared with the backup.

use futures::StreamExt as _;
use sqlx::postgres::PgConnection;

use super::error::{Reason, RestoreError};
use super::names::LIVE;
use super::parts;
use super::state::{self, Note, State};
use super::tables::{self, Table, execute};
use crate::backup::{DATABASE, Scratch, rows_of};

/// The database of the throw-away server that has nothing but what migrations make.
const REFERENCE: &str = "postgres";
/// How much is sent at once.
const CHUNK: usize = 64 << 10;

/// Refuses live tables that have more than migrations make: before anything is made. The throw-away server shows what
/// that is; an older one than that of the live data cannot.
///
/// # Errors
/// What others have made, or which version is too old.
pub async fn check_live(
    scratch: &mut Scratch,
    live: &mut PgConnection,
) -> Result<(), RestoreError> {
    scratch.ready().await?;
    let mut reference = scratch.connect(REFERENCE).await?;
    check_versions(
        major_version(&mut reference).await?,
        major_version(live).await?,
    )?;
    tables::migrate(&mut reference, LIVE).await?;
    let tables = tables::read(&mut reference, LIVE).await?;
    let own = parts::read(&mut reference, LIVE, &tables).await?;
    parts::check_live(&parts::read(live, LIVE, &tables).await?, &own)
}

/// The version of PostgreSQL of a server.
async fn major_version(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
        .fetch_one(connection)
        .await
}

fn check_versions(programs: i32, live: i32) -> Result<(), RestoreError> {
    if programs >= live {
        return Ok(());
    }
    Err(RestoreError::refused(format!(
        "the backup would be proved with PostgreSQL {programs}, and the live data is on a server of PostgreSQL {live}: \
         use programs (`spec.backup.image`) of PostgreSQL {live} or newer"
    )))
}

/// Migrates the backup that was restored into the throw-away server to this program's schema, and refuses one whose tables
/// are not of it.
///
/// # Errors
/// What differs.
pub async fn migrate_restored(scratch: &Scratch) -> Result<PgConnection, RestoreError> {
    let mut reference = scratch.connect(REFERENCE).await?;
    let tables = tables::read(&mut reference, LIVE).await?;
    let own = parts::read(&mut reference, LIVE, &tables).await?;
    let mut restored = scratch.connect(DATABASE).await?;
    tables::migrate(&mut restored, LIVE).await?;
    parts::check_backup(&parts::read(&mut restored, LIVE, &tables).await?, &own)?;
    Ok(restored)
}

/// Fills the schema `name` with the tables that were restored, and notes it.
///
/// # Errors
/// When the database fails, or has something else afterwards than the backup. The schema is removed then, as far as
/// possible.
pub async fn fill(
    live: &mut PgConnection,
    restored: &mut PgConnection,
    name: &str,
    note: Note,
) -> Result<Note, RestoreError> {
    // What a process that was killed has left.
    tables::drop_schema(live, name).await?;
    let filled = try_fill(live, restored, name, note).await;
    if filled.is_err() {
        // The first error is the one to report.
        let _ = execute(live, "ROLLBACK").await;
        if let Err(error) = tables::drop_schema(live, name).await {
            tracing::warn!(%error, name, "what was staged cannot be removed");
        }
    }
    filled
}

async fn try_fill(
    live: &mut PgConnection,
    restored: &mut PgConnection,
    name: &str,
    mut note: Note,
) -> Result<Note, RestoreError> {
    execute(live, &format!("BEGIN; CREATE SCHEMA {name}")).await?;
    state::write(live, name, &note).await?;
    execute(live, "COMMIT").await?;
    tables::migrate(live, name).await?;
    let tables = tables::read(live, name).await?;

    execute(live, "BEGIN").await?;
    for table in &tables {
        copy(restored, live, table, name).await?;
        note.rows += compare(restored, live, table, name).await?;
    }
    note.state = State::Staged;
    note.written_by = sqlx::query_scalar("SELECT pg_current_xact_id()::xid::text")
        .fetch_one(&mut *live)
        .await?;
    state::write(live, name, &note).await?;
    execute(live, "COMMIT").await?;
    Ok(note)
}

/// Gets the tables ready to be read: those who come after the swap must not be the first to find out what is in them.
///
/// # Errors
/// When the database fails.
pub async fn vacuum(
    live: &mut PgConnection,
    tables: &[Table],
    name: &str,
) -> Result<(), sqlx::Error> {
    for table in tables {
        let statement = format!("VACUUM (ANALYZE) {name}.{}", table.name);
        execute(live, &statement).await?;
    }
    Ok(())
}

/// Copies the rows of a table.
async fn copy(
    restored: &mut PgConnection,
    live: &mut PgConnection,
    table: &Table,
    name: &str,
) -> Result<(), RestoreError> {
    let (columns, table) = (table.columns.join(", "), &table.name);
    tracing::info!(table, "copying the rows");
    let mut rows = restored
        .copy_out_raw(&format!("COPY {LIVE}.{table} ({columns}) TO STDOUT"))
        .await?;
    let mut target = live
        .copy_in_raw(&format!("COPY {name}.{table} ({columns}) FROM STDIN"))
        .await?;
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) => chunk.extend_from_slice(&row),
            Err(error) => {
                target.abort("the throw-away server failed").await?;
                return Err(error.into());
            }
        }
        if chunk.len() >= CHUNK {
            target.send(chunk.as_slice()).await?;
            chunk.clear();
        }
    }
    target.send(chunk.as_slice()).await?;
    target.finish().await?;
    Ok(())
}

/// Compares the rows of a table with those that were restored; how many there are.
async fn compare(
    restored: &mut PgConnection,
    live: &mut PgConnection,
    table: &Table,
    name: &str,
) -> Result<u64, RestoreError> {
    let table = &table.name;
    let expected = rows_of(restored, &format!("{LIVE}.{table}")).await?;
    let found = rows_of(live, &format!("{name}.{table}")).await?;
    if found == expected {
        return Ok(found.rows);
    }
    let message = format!(
        "the table {table} differs from the backup after it was copied: {} rows instead of {}, or others",
        found.rows, expected.rows
    );
    Err(RestoreError::found(Reason::Mismatch, message))
}
