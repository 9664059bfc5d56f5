//! Backups: dumps of one instant of the database, each of which is restored and compared before it counts.

mod authorities;
mod contents;
mod destination;
mod dump;
mod error;
mod inspect;
mod locale;
mod manifest;
mod preflight;
mod programs;
mod progress;
mod prove;
mod prune;
mod report;
mod retention;
mod scratch;
mod seal;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnection;

use self::contents::Sequence;
pub use self::contents::{pin_session, rows_of};
use self::destination::{Catalog, Destination, Folder, Writer};
use self::dump::Archive;
pub use self::error::{BackupError, Reason};
pub use self::inspect::{Candidate, fetch, list, verify};
pub use self::manifest::Manifest;
use self::manifest::{Encryption, FORMAT_VERSION, dump_name, restorable, set_name};
use self::programs::{Programs, Source};
use self::prove::{Expected, Restored};
use self::report::{Failure, Outcome, Report};
use self::retention::Policy;
pub use self::scratch::serve as scratch_server;
pub use self::scratch::{DATABASE, Scratch};
use self::snapshot::Snapshot;
use crate::config::{BackupConfig, DumpFormat};
use crate::lifecycle;
use crate::postgres_url::ProgramUrl;
use crate::store::{DatabaseUrl, connect_with_retry};

/// How long the database is tried to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Takes a backup, proves it, and only then deletes old ones. The result is returned as JSON, and written into a file
/// where one is given, also when there is no backup.
///
/// # Errors
/// See [`BackupError`]. A backup that fails leaves all others as they were.
pub async fn run(config: &BackupConfig) -> Result<String, BackupError> {
    let result = locked(config).await;
    let outcome = match &result {
        Ok(report) => Outcome::Verified(report.clone()),
        Err(error) => Outcome::Failed(Failure::new(error)),
    };
    if let Some(path) = &config.options.result_file {
        outcome.write(path)?;
    }
    result.map(|_| outcome.to_json())
}

async fn locked(config: &BackupConfig) -> Result<Report, BackupError> {
    let encrypts = !config.options.encrypt_to.is_empty();
    let writer = Writer::open(Destination::new(&config.destination)?, encrypts).await?;
    let mut scratch = None;
    let result = tokio::select! {
        report = steps(config, &writer, &mut scratch) => report,
        _ = lifecycle::termination() => Err(BackupError::Interrupted),
    };
    if let Some(scratch) = scratch {
        scratch.stop().await;
    }
    writer.clean().await;
    let result = result.map_err(|error| writer.explained(error));
    // One that cannot be read is named by who writes next.
    if let Err(error) = &result
        && error.reason() == Reason::DestinationFull
        && let Ok(catalog) = writer.catalog().await
    {
        prune::make_room(&writer, &catalog, Policy::from(&config.options), None).await;
    }
    result
}

/// The steps of a backup, in order.
async fn steps(
    config: &BackupConfig,
    writer: &Writer,
    scratch: &mut Option<Scratch>,
) -> Result<Report, BackupError> {
    let (options, policy) = (&config.options, Policy::from(&config.options));
    let (proof, lock_timeout) = (&config.proof, options.lock_timeout);
    let programs = Programs::new(proof.pg_bin.as_deref());
    let (tool, tool_version) = programs.version().await?;
    let (mut connection, program_url) = connect(config).await?;
    let found = preflight::check(&mut connection, tool, lock_timeout).await?;
    let catalog = writer.catalog().await?;
    prune::make_room(writer, &catalog, policy, catalog.newest_size()).await;
    let (time, name) = free_name(&catalog, Utc::now());
    writer.begin(&name).await?;

    let requested = Scratch::request(
        proof.scratch.as_deref(),
        proof.pg_bin.as_deref(),
        &found.locale,
    );
    let requested = requested.map(|started| scratch.insert(started));
    let snapshot = Snapshot::take(connection, &found.relations, lock_timeout).await?;
    let (source, id) = (
        Source::new(&program_url, writer.folder())?,
        snapshot.id.clone(),
    );
    // The server gets ready while the database is dumped. That there is none does not keep the dump from being made.
    let (archive, prepared) = tokio::try_join!(
        Archive::dump(&programs, &source, &id, lock_timeout, writer, &name),
        async { Ok(prepared(requested, &found.roles).await) },
    )?;
    let extensions = snapshot.contents.extensions.clone();
    // What the dump is compared with is read while it is restored: so one process of the database is busy at a time.
    let (seen, (files, restored)) = tokio::try_join!(snapshot.read(), async {
        let files = archive.write(&programs, options).await?;
        let format = restorable(&name, &files).map(|(_, format)| format);
        let restored = restored(
            &programs,
            prepared,
            writer.plain(),
            &name,
            format,
            &extensions,
        );
        let restored = restored.await;
        Ok((files, restored))
    })?;
    let mut manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: name.clone(),
        sequence: catalog.next_sequence(),
        time,
        proof: None,
        files,
        encryption: Encryption::to(&options.encrypt_to),
        contents: seen.contents,
        roles: found.roles,
        locale: found.locale,
        schema_version: seen.schema_version,
        server_version: found.server_version,
        tool_version,
    };
    let proved = restored.and_then(|restored| prove(restored, &mut manifest, &seen.later));
    let failure = match proved {
        // The dump may be good all the same, and is better than none.
        Err(error) if error.reason() == Reason::NotProved => Some(error),
        proved => proved.map(|()| None)?,
    };
    writer.publish(&manifest).await?;
    let (count, warnings) = prune::prune(writer, policy, &manifest).await?;
    failure.map_or_else(|| Ok(Report::new(&manifest, count, warnings)), Err)
}

/// A session of the database whose settings are pinned, and the address of its server for programs.
async fn connect(config: &BackupConfig) -> Result<(PgConnection, ProgramUrl), BackupError> {
    let DatabaseUrl::Postgres(url) = config.database.read()? else {
        return Err(BackupError::NotPostgres);
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect_with_retry(&url)).await;
    let (mut connection, server) = connected.map_err(|_| {
        let message = format!("the database cannot be reached within {CONNECT_TIMEOUT:?}");
        BackupError::found(Reason::DumpFailed, message)
    })??;
    pin_session(&mut connection).await?;
    Ok((connection, url.program_of(&server).clone()))
}

/// Restores what is not published yet of the set. Without encryption it is what was read back from where it is kept;
/// with it, what was encrypted.
async fn restored(
    programs: &Programs,
    prepared: Result<&mut Scratch, BackupError>,
    folder: &Folder,
    set: &str,
    format: Option<DumpFormat>,
    extensions: &BTreeSet<String>,
) -> Result<Restored, BackupError> {
    let scratch = prepared?;
    let format = format.ok_or_else(|| error::not_proved("no format was asked for"))?;
    let path = folder.partial(&dump_name(set, format));
    prove::restore(programs, scratch, &path, format, extensions).await
}

/// Compares what was restored, and notes the proof. `later` is what the sequences were after the dump.
fn prove(
    restored: Restored,
    manifest: &mut Manifest,
    later: &BTreeMap<String, Sequence>,
) -> Result<(), BackupError> {
    let contents = &manifest.contents;
    let (proof, restored) = restored.compare(&Expected { contents, later })?;
    manifest.proof = Some(proof);
    manifest.contents.sequences = restored.sequences;
    Ok(())
}

/// The throw-away server, once it is ready to restore into.
async fn prepared<'a>(
    requested: Result<&'a mut Scratch, BackupError>,
    roles: &[String],
) -> Result<&'a mut Scratch, BackupError> {
    let scratch = requested?;
    scratch.prepare(roles).await?;
    Ok(scratch)
}

/// A name that no set has, for one of this time or shortly after: a clock may have been set back.
fn free_name(catalog: &Catalog, mut time: DateTime<Utc>) -> (DateTime<Utc>, String) {
    loop {
        let name = set_name(time);
        if catalog.entries.iter().all(|entry| entry.name != name) {
            return (time, name);
        }
        time += TimeDelta::seconds(1);
    }
}
