//! Restores: a proved backup is staged beside the live data, compared, counted, and exchanged for it in one transaction;
//! what was live stays until it is dropped, and comes back by the same exchange.
//!
//! How far a restore has come is read from the database itself, so that whoever was killed is continued by a second run.

mod error;
mod exchange;
mod loss;
mod names;
mod parts;
mod report;
mod rights;
mod session;
mod stage;
mod state;
mod swap;
mod tables;

use std::collections::BTreeSet;
use std::time::Instant;

pub use self::error::{Outlook, RestoreError};
use self::loss::Other;
use self::report::{Done, Report};
use self::session::Session;
use self::state::{Found, Note, State};
use self::swap::Direction;
use crate::backup::{Candidate, Scratch};
use crate::config::{RestoreConfig, StageConfig};
use crate::lifecycle;
use crate::store::schema;

/// Does it until a signal ends this process.
async fn interruptible<T>(
    command: impl Future<Output = Result<T, RestoreError>>,
) -> Result<T, RestoreError> {
    tokio::select! {
        result = command => result,
        _ = lifecycle::termination() => Err(RestoreError::Interrupted),
    }
}

/// Proves a backup again, puts its tables beside the live ones, and counts what the live data has and the backup lacks. The
/// result is returned as JSON, and written into a file where one is given: this is so for all commands.
///
/// # Errors
/// See [`RestoreError`]. The live data is never touched.
pub async fn stage(config: &StageConfig) -> Result<String, RestoreError> {
    reported(&config.restore, staged(config)).await
}

/// Exchanges the live data for what was staged.
///
/// # Errors
/// See [`RestoreError`]. Nothing has changed then.
pub async fn swap(config: &RestoreConfig, accept_data_loss: bool) -> Result<String, RestoreError> {
    let direction = Direction::swap(&config.options.id);
    let exchange = direction.exchange(config, accept_data_loss);
    reported(config, interruptible(exchange)).await
}

/// Exchanges the live data for what was live before the swap.
///
/// # Errors
/// See [`RestoreError`]. Nothing has changed then.
pub async fn undo(config: &RestoreConfig, accept_data_loss: bool) -> Result<String, RestoreError> {
    let direction = Direction::undo(&config.options.id);
    let exchange = direction.exchange(config, accept_data_loss);
    reported(config, interruptible(exchange)).await
}

/// Removes what was live before the swap.
///
/// # Errors
/// When others use it.
pub async fn drop_previous(config: &RestoreConfig) -> Result<String, RestoreError> {
    let schema = names::previous(&config.options.id);
    let removal = removed(config, &schema, Done::Dropped);
    reported(config, interruptible(removal)).await
}

/// Removes what was staged and never swapped, or was undone.
///
/// # Errors
/// When others use it.
pub async fn discard(config: &RestoreConfig) -> Result<String, RestoreError> {
    let schema = names::staged(&config.options.id);
    let removal = removed(config, &schema, Done::Discarded);
    reported(config, interruptible(removal)).await
}

async fn reported(
    config: &RestoreConfig,
    command: impl Future<Output = Result<Report, RestoreError>>,
) -> Result<String, RestoreError> {
    let start = Instant::now();
    let result = command.await.map(|report| Report {
        seconds: (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        ..report
    });
    let json = report::to_json(&result);
    if let Some(path) = &config.options.result_file {
        report::write(path, &json)?;
    }
    result.map(|_| json)
}

/// Stages it. The throw-away server ends with it, however it ends.
async fn staged(config: &StageConfig) -> Result<Report, RestoreError> {
    let mut scratch = None;
    let result = interruptible(stage_with(config, &mut scratch)).await;
    if let Some(scratch) = scratch {
        scratch.stop().await;
    }
    result
}

async fn stage_with(
    config: &StageConfig,
    scratch: &mut Option<Scratch>,
) -> Result<Report, RestoreError> {
    let (restore, options) = (&config.restore, &config.restore.options);
    let mut session = Session::open(&restore.database).await?;
    let _lock = session.lock(options.lock_timeout).await?;
    session.check_version().await?;
    session.check_rights().await?;
    let found = Found::read(&mut session.connection, &options.id).await?;
    let note = match found.into_staged()? {
        Some(note) => note,
        None => fill(config, &mut session, scratch).await?,
    };
    let name = names::staged(&options.id);
    let connection = &mut session.connection;
    tables::migrate(connection, &name).await?;
    let tables = tables::read(connection, &name).await?;
    stage::vacuum(connection, &tables, &name).await?;
    let other = Other {
        schema: &name,
        since: note.backup_time,
        begun_by: None,
    };
    let loss = loss::count(connection, &tables, &other).await?;
    Ok(Report {
        set: Some(note.set),
        loss: Some(loss),
        rows: Some(note.rows),
        schema_version: Some(schema::postgres_version()),
        ..Report::new(Done::Staged)
    })
}

/// Proves the backup and copies it.
async fn fill(
    config: &StageConfig,
    session: &mut Session,
    scratch: &mut Option<Scratch>,
) -> Result<Note, RestoreError> {
    let (name, identity) = (&config.source.backup, &config.identity);
    let candidate = Candidate::find(&config.destination, name, identity).await?;
    check_backup_version(candidate.manifest.schema_version)?;
    candidate.check_identities()?;
    candidate.check_programs(&config.proof).await?;
    let scratch = scratch.insert(candidate.request_server(&config.proof)?);
    stage::check_live(scratch, &mut session.connection).await?;
    candidate.prove(&config.proof, scratch).await?;
    let mut restored = stage::migrate_restored(scratch).await?;
    let note = Note {
        state: State::Staging,
        set: candidate.manifest.name.clone(),
        backup_time: candidate.manifest.time,
        rows: 0,
        written_by: None,
        parts: BTreeSet::new(),
        swap: None,
    };
    let name = names::staged(&config.restore.options.id);
    stage::fill(&mut session.connection, &mut restored, &name, note).await
}

/// Refuses a backup that this program cannot bring to its own schema.
fn check_backup_version(found: i64) -> Result<(), RestoreError> {
    let own = schema::postgres_version();
    if found > own {
        return Err(RestoreError::refused(format!(
            "the schema of the backup is at version {found}, newer than this program's {own}: use the program of its \
             version, or a newer one"
        )));
    }
    if found == 0 {
        let message = "the backup has no tables of the service";
        return Err(RestoreError::refused(message));
    }
    Ok(())
}

async fn removed(config: &RestoreConfig, schema: &str, done: Done) -> Result<Report, RestoreError> {
    let mut session = Session::open(&config.database).await?;
    let _lock = session.lock(config.options.lock_timeout).await?;
    if let Some(note) = state::read(&mut session.connection, schema).await? {
        tracing::info!(schema, set = note.set, "removing");
        tables::drop_schema(&mut session.connection, schema).await?;
    }
    Ok(Report::new(done))
}
