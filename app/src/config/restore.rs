//! What the commands of `restore` run with.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ArgMatches;

use super::backup::ProofOptions;
use super::check::{DURATION, duration, non_empty, parse};
use super::database::DatabaseOptions;
use super::destination::{DestinationConfig, DestinationOptions};
use super::encryption::IdentityOptions;
use super::group::{OptionGroup, option_group};
use super::option::{path, required, value};
use super::{CommandConfig, ConfigErrors, LogOptions, Section};
use crate::store::DatabaseUrlSource;

/// The name of one restore, which all its commands have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreId(String);

impl RestoreId {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no [`RestoreId`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a name of a restore")]
pub struct InvalidRestoreId(String);

impl FromStr for RestoreId {
    type Err = InvalidRestoreId;

    fn from_str(text: &str) -> Result<Self, InvalidRestoreId> {
        const LONGEST: usize = 40;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRestoreId(text.to_owned()))
        }
    }
}

option_group! {
    /// Which restore it is, and how it is reported.
    "Restore" => pub struct RestoreOptions {
        /// Name of the restore, of your choice. All its commands are given the same.
        id: RestoreId = required("HELLO_RESTORE_ID", "up to 40 of the characters a-z, 0-9 and -", parse),
        /// Longest time to wait for a migration, a backup or another restore to end, and for locked tables.
        lock_timeout: Duration = value("HELLO_RESTORE_LOCK_TIMEOUT", "10m", DURATION, duration),
        /// File that gets the result as one JSON object, such as `/dev/termination-log` of a Kubernetes container.
        result_file: Option<PathBuf> = path("HELLO_RESTORE_RESULT_FILE", "the path of a file"),
    }
}

option_group! {
    /// What is restored.
    "Restored backup" => pub struct SourceOptions {
        /// Name of the backup, or `latest` for the newest that was proved.
        backup: String = value("HELLO_RESTORE_BACKUP", "latest", "the name of a backup, or `latest`", non_empty),
    }
}

/// What every command of `restore` runs with.
#[derive(Debug)]
pub struct RestoreConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// Which restore it is.
    pub options: RestoreOptions,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for RestoreConfig {
    fn sections() -> Vec<Section> {
        vec![
            DatabaseOptions::section(),
            Section::from_group::<RestoreOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let database = DatabaseOptions::required(matches, errors);
        let options = RestoreOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            database: database?,
            options: options?,
            log: log?,
        })
    }
}

/// What `restore stage` runs with.
#[derive(Debug)]
pub struct StageConfig {
    /// What it has in common with the others.
    pub restore: RestoreConfig,
    /// Where the backups are.
    pub destination: DestinationConfig,
    /// Which of them it is.
    pub source: SourceOptions,
    /// What it is opened with, when it is encrypted.
    pub identity: IdentityOptions,
    /// What it is proved with.
    pub proof: ProofOptions,
}

impl CommandConfig for StageConfig {
    fn sections() -> Vec<Section> {
        let mut sections = RestoreConfig::sections();
        sections.push(DestinationOptions::section());
        sections.push(Section::from_group::<SourceOptions>());
        sections.push(Section::from_group::<IdentityOptions>());
        sections.push(Section::from_group::<ProofOptions>());
        sections
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let restore = RestoreConfig::read(matches, errors);
        let destination = DestinationOptions::required(matches, errors);
        let source = SourceOptions::read_group(matches, errors);
        let identity = IdentityOptions::read_group(matches, errors);
        let proof = ProofOptions::read_group(matches, errors);
        Some(Self {
            restore: restore?,
            destination: destination?,
            source: source?,
            identity: identity?,
            proof: proof?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_into_a_schema_name_is_a_name_of_a_restore() {
        for text in ["a", "0b7c1f0e-51a4-4a50-9a0c-5f8f7a1f3c0d", &"x".repeat(40)] {
            assert!(RestoreId::from_str(text).is_ok(), "{text}");
        }
        for text in ["", "A", "a_b", "a b", "ä", "a\"b", &"x".repeat(41)] {
            assert!(RestoreId::from_str(text).is_err(), "{text}");
        }
    }
}
