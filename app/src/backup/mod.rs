//! Backups: dumps of one instant of the database, each of which is restored and compared before it counts.

mod authorities;
mod contents;
mod destination;
mod dump;
mod error;
mod inspect;
mod manifest;
mod preflight;
mod programs;
mod progress;
mod prove;
mod prune;
mod report;
mod retention;
mod scratch;
mod snapshot;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::destination::{Catalog, Folder, write_private};
use self::dump::Archive;
pub use self::error::BackupError;
use self::error::Reason;
pub use self::inspect::{fetch, list, verify};
use self::manifest::{FORMAT_VERSION, Manifest, manifest_name, set_name};
use self::programs::{Programs, Source};
use self::prove::Expected;
use self::report::{Failure, Outcome, Report};
use self::retention::Policy;
use self::scratch::Scratch;
pub use self::scratch::serve as scratch_server;
use self::snapshot::Snapshot;
use crate::config::BackupConfig;
use crate::lifecycle;
use crate::store::{DatabaseUrl, connect_first};

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
    let folder = Folder::lock(&config.folder.directory)?;
    let mut scratch = None;
    let result = tokio::select! {
        report = steps(config, &folder, &mut scratch) => report,
        _ = lifecycle::termination() => Err(BackupError::Interrupted),
    };
    if let Some(scratch) = scratch {
        scratch.stop().await;
    }
    folder.clean();
    if let Err(error) = &result
        && error.reason() == Reason::DestinationFull
    {
        prune::make_room(&folder, Policy::from(&config.options), None);
    }
    result
}

/// The steps of a backup, in order.
async fn steps(
    config: &BackupConfig,
    folder: &Folder,
    scratch: &mut Option<Scratch>,
) -> Result<Report, BackupError> {
    let (options, policy) = (&config.options, Policy::from(&config.options));
    let pg_bin = config.proof.pg_bin.as_deref();
    let programs = Programs::new(pg_bin);
    let (tool, tool_version) = programs.version().await?;
    let DatabaseUrl::Postgres(url) = config.database.read()? else {
        return Err(BackupError::NotPostgres);
    };
    let (mut connection, server) = tokio::time::timeout(CONNECT_TIMEOUT, connect_first(&url))
        .await
        .map_err(|_| unreached())??;
    contents::pin_session(&mut connection).await?;
    let found = preflight::check(&mut connection, tool, options.lock_timeout).await?;
    let catalog = Catalog::read(folder.path())?;
    prune::make_room(folder, policy, catalog.newest_size());

    // It starts while the database is dumped. That there is none does not keep the dump from being made.
    let requested = Scratch::request(config.proof.scratch.as_deref(), pg_bin, &found.locale);
    let requested = requested.map(|started| scratch.insert(started));
    let mut snapshot = Snapshot::take(connection, &found.relations, options.lock_timeout).await?;
    let (time, name) = free_name(folder, Utc::now());
    let source = Source::new(url.program_of(&server), folder)?;
    let id = snapshot.id.clone();
    let (seen, archive) = tokio::try_join!(
        snapshot.read(),
        Archive::dump(&programs, &source, &id, options.lock_timeout, folder, &name),
    )?;
    let later = snapshot.end(&found.relations).await?;
    let mut manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: name.clone(),
        sequence: catalog.next_sequence(),
        time,
        proof: None,
        files: archive.write(&programs, &options.format).await?,
        contents: seen.contents,
        roles: found.roles,
        locale: found.locale,
        schema_version: seen.schema_version,
        server_version: found.server_version,
        tool_version,
    };
    let expected = Expected {
        contents: &manifest.contents,
        later: &later,
        roles: &manifest.roles,
    };
    let proof = match (requested, manifest.restorable()) {
        (Ok(scratch), Some((file, format))) => {
            let path = folder.partial(&file.name);
            prove::restore_and_compare(&programs, scratch, &path, format, expected).await
        }
        (Err(error), _) => Err(error),
        (_, None) => Err(error::not_proved("no format was asked for")),
    };
    let failure = match proof {
        Ok((proof, restored)) => {
            manifest.proof = Some(proof);
            manifest.contents.sequences = restored.sequences;
            None
        }
        // The dump may be good all the same, and is better than none.
        Err(error) if error.reason() == Reason::NotProved => Some(error),
        Err(error) => return Err(error),
    };
    publish(folder, &manifest)?;
    let (count, warnings) = prune::prune(folder, policy, &manifest)?;
    failure.map_or_else(|| Ok(Report::new(&manifest, count, warnings)), Err)
}

/// Makes a set of the files: from here on it exists.
fn publish(folder: &Folder, manifest: &Manifest) -> Result<(), BackupError> {
    let name = manifest_name(&manifest.name);
    let json = serde_json::to_vec_pretty(manifest).unwrap_or_default(); // its keys are texts
    write_private(&folder.partial(&name), &json)?;
    folder.publish(&manifest.file_names(), &name)
}

/// A name that no set of the folder has, for one of this time or shortly after: a clock may have been set back.
fn free_name(folder: &Folder, mut time: DateTime<Utc>) -> (DateTime<Utc>, String) {
    loop {
        let name = set_name(time);
        let is_free = ["dump", "sql", "json"]
            .iter()
            .all(|extension| !folder.join(&format!("{name}.{extension}")).exists());
        if is_free {
            return (time, name);
        }
        time += TimeDelta::seconds(1);
    }
}

fn unreached() -> BackupError {
    let message = format!("the database cannot be reached within {CONNECT_TIMEOUT:?}");
    BackupError::found(Reason::DumpFailed, message)
}
