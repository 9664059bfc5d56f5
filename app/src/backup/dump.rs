//! One dump: written and checked under a temporary name, then given its final one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::destination::{Folder, create_private, sync};
use super::error::{BackupError, at};
use super::programs::Programs;
use super::retention::dump_name;
use crate::config::DumpFormat;

/// The end of a plain dump that is complete.
const PLAIN_END: &[u8] = b"PostgreSQL database dump complete";
/// How many of the last bytes hold that end.
const END_BYTES: u64 = 256;

/// One dump.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DumpFile {
    /// The name in the folder.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// Takes a dump in one format.
///
/// # Errors
/// See [`BackupError`]. Nothing then has the dump's final name.
pub async fn take(
    programs: &Programs<'_>,
    folder: &Folder,
    format: DumpFormat,
    time: DateTime<Utc>,
) -> Result<DumpFile, BackupError> {
    let name = dump_name(format, time);
    let partial = folder.partial(&name);
    create_private(&partial)?;
    programs.pg_dump(flag(format), &partial).await?;
    sync(&partial)?;
    match format {
        DumpFormat::Custom => programs.pg_restore_list(&partial).await?,
        DumpFormat::Plain => check_plain(&partial)?,
    }
    let size_bytes = std::fs::metadata(&partial).map_err(at(&partial))?.len();
    std::fs::rename(&partial, folder.join(&name)).map_err(at(&partial))?;
    tracing::info!(name, size_bytes, "dump written and checked");
    Ok(DumpFile { name, size_bytes })
}

fn flag(format: DumpFormat) -> &'static str {
    match format {
        DumpFormat::Custom => "--format=custom",
        DumpFormat::Plain => "--format=plain",
    }
}

/// Checks that a plain dump ends as complete dumps do.
fn check_plain(path: &Path) -> Result<(), BackupError> {
    let mut file = File::open(path).map_err(at(path))?;
    let length = file.metadata().map_err(at(path))?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))
        .map_err(at(path))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).map_err(at(path))?;
    if end
        .windows(PLAIN_END.len())
        .any(|window| window == PLAIN_END)
    {
        Ok(())
    } else {
        Err(BackupError::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_plain_dump_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let end = "--\n-- PostgreSQL database dump complete\n--\n\n";
        std::fs::write(file.path(), end).unwrap();
        check_plain(file.path()).unwrap();
        std::fs::write(file.path(), format!("{}{end}", "x".repeat(9999))).unwrap();
        check_plain(file.path()).unwrap();
        for truncated in ["INSERT INTO users", "", &end[..30]] {
            std::fs::write(file.path(), truncated).unwrap();
            assert!(check_plain(file.path()).is_err(), "{truncated}");
        }
    }
}
