//! What `backup` runs with.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ArgMatches;
use strum::EnumString;

use super::check::{FROM_ONE, choice, parse};
use super::database::DatabaseOptions;
use super::group::{OptionGroup, option_group};
use super::option::{filled_list, path, required_path, value};
use super::{CommandConfig, ConfigErrors, LogOptions, Section};
use crate::store::DatabaseUrlSource;

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum DumpFormat {
    /// PostgreSQL's own compressed archive.
    Custom,
    /// SQL text.
    Plain,
}

option_group! {
    /// Where dumps are kept, in which formats, and how many.
    "Backup" => pub struct BackupOptions {
        /// Folder that keeps the dumps.
        directory: PathBuf = required_path("HELLO_BACKUP_DIRECTORY", "the path of a folder"),
        /// Formats of the dump: `custom` for pg_restore, `plain` for SQL text. May be given more than
        /// once.
        format: Vec<DumpFormat> = filled_list(
            "HELLO_BACKUP_FORMATS", "custom", "`custom` and `plain`, or one of them, separated by commas", choice),
        /// Number of dumps of each format to keep. Older ones are deleted after a good dump.
        keep_last: NonZeroUsize = value("HELLO_BACKUP_KEEP_LAST", "7", FROM_ONE, parse),
        /// Folder with pg_dump and pg_restore. Unset: the PATH is searched.
        pg_bin: Option<PathBuf> = path("PG_BIN", "the path of a folder"),
    }
}

/// What `backup` runs with.
#[derive(Debug)]
pub struct BackupConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// Where dumps are kept, in which formats, and how many.
    pub options: BackupOptions,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for BackupConfig {
    fn sections() -> Vec<Section> {
        vec![
            DatabaseOptions::section(),
            Section::from_group::<BackupOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let database = DatabaseOptions::required(matches, errors);
        let options = BackupOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            database: database?,
            options: options?,
            log: log?,
        })
    }
}
