//! What the commands of `backup` run with.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use strum::EnumString;

use super::check::{DURATION, FROM_ONE, choice, duration, parse};
use super::database::DatabaseOptions;
use super::destination::{DestinationConfig, DestinationOptions};
use super::encryption::IdentityOptions;
use super::group::{OptionGroup, option_group};
use super::option::{filled_list, list, path, required_path, value};
use super::{CommandConfig, ConfigErrors, LogOptions, Section};
use crate::age::Recipient;
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

/// The `accepts` of numbers of backups that may be zero.
const FROM_ZERO: &str = "a whole number";

option_group! {
    /// What a backup has, and how many are kept.
    "Backup" => pub struct BackupOptions {
        /// Formats of the dump: `custom` for pg_restore, `plain` for SQL text. May be given more than
        /// once. Both are made of one dump.
        format: Vec<DumpFormat> = filled_list(
            "HELLO_BACKUP_FORMATS", "custom", "`custom` and `plain`, or one of them, separated by commas", choice),
        /// Public key of age (`age1…`) that the files are encrypted to. May be given more than once: each of the keys opens them.
        encrypt_to: Vec<Recipient> = list(
            "HELLO_BACKUP_ENCRYPT_TO", "recipients of age, separated by commas", parse),
        /// Number of proved backups to keep, the newest first. Others are deleted after a backup that was proved.
        keep_last: NonZeroUsize = value("HELLO_BACKUP_KEEP_LAST", "7", FROM_ONE, parse),
        /// Keeps the newest backup of each of so many days (UTC) that have one, too.
        keep_daily: usize = value("HELLO_BACKUP_KEEP_DAILY", "0", FROM_ZERO, parse),
        /// Keeps the newest backup of each of so many weeks that have one, too.
        keep_weekly: usize = value("HELLO_BACKUP_KEEP_WEEKLY", "0", FROM_ZERO, parse),
        /// Keeps the newest backup of each of so many months that have one, too.
        keep_monthly: usize = value("HELLO_BACKUP_KEEP_MONTHLY", "0", FROM_ZERO, parse),
        /// Longest time to wait for a locked table, and for a migration to end.
        lock_timeout: Duration = value("HELLO_BACKUP_LOCK_TIMEOUT", "1m", DURATION, duration),
        /// File that gets the result as one JSON object, such as `/dev/termination-log` of a Kubernetes container.
        result_file: Option<PathBuf> = path("HELLO_BACKUP_RESULT_FILE", "the path of a file"),
    }
}

option_group! {
    /// What a backup is restored with to prove it.
    "Proof" => pub struct ProofOptions {
        /// Folder with PostgreSQL's programs. Unset: the PATH is searched.
        pg_bin: Option<PathBuf> = path("PG_BIN", "the path of a folder"),
        /// Folder shared with a running `backup scratch-server`, whose server is used. Unset: a server is started in a
        /// temporary folder, and ends with the command.
        scratch: Option<PathBuf> = path("HELLO_BACKUP_SCRATCH", "the path of a folder"),
    }
}

option_group! {
    /// Where the throw-away server keeps everything.
    "Throw-away server" => pub struct ScratchServerOptions {
        /// Folder for the server's data and its socket. It is shared with the command that backs up or verifies.
        directory: PathBuf = required_path("HELLO_SCRATCH_DIRECTORY", "the path of a folder"),
        /// Folder with PostgreSQL's programs. Unset: the PATH is searched.
        pg_bin: Option<PathBuf> = path("PG_BIN", "the path of a folder"),
    }
}

/// What `backup run` runs with.
#[derive(Debug)]
pub struct BackupConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// Where backups are kept.
    pub destination: DestinationConfig,
    /// What a backup has, and how many are kept.
    pub options: BackupOptions,
    /// What it is proved with.
    pub proof: ProofOptions,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for BackupConfig {
    fn sections() -> Vec<Section> {
        vec![
            DatabaseOptions::section(),
            DestinationOptions::section(),
            Section::from_group::<BackupOptions>(),
            Section::from_group::<ProofOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let database = DatabaseOptions::required(matches, errors);
        let destination = DestinationOptions::required(matches, errors);
        let options = BackupOptions::read_group(matches, errors);
        let proof = ProofOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            database: database?,
            destination: destination?,
            options: options?,
            proof: proof?,
            log: log?,
        })
    }
}

/// What `backup verify` runs with, beside the name of the backup.
#[derive(Debug)]
pub struct VerifyConfig {
    /// Where backups are kept.
    pub destination: DestinationConfig,
    /// What it is opened with, when it is encrypted.
    pub identity: IdentityOptions,
    /// What it is proved with.
    pub proof: ProofOptions,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for VerifyConfig {
    fn sections() -> Vec<Section> {
        vec![
            DestinationOptions::section(),
            Section::from_group::<IdentityOptions>(),
            Section::from_group::<ProofOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let destination = DestinationOptions::required(matches, errors);
        let identity = IdentityOptions::read_group(matches, errors);
        let proof = ProofOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            destination: destination?,
            identity: identity?,
            proof: proof?,
            log: log?,
        })
    }
}

/// What `backup fetch` runs with, beside the name of the backup and the folder of the copy.
#[derive(Debug)]
pub struct FetchConfig {
    /// Where backups are kept.
    pub destination: DestinationConfig,
    /// What the copy is opened with.
    pub identity: IdentityOptions,
}

impl CommandConfig for FetchConfig {
    fn sections() -> Vec<Section> {
        vec![
            DestinationOptions::section(),
            Section::from_group::<IdentityOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let destination = DestinationOptions::required(matches, errors);
        let identity = IdentityOptions::read_group(matches, errors);
        Some(Self {
            destination: destination?,
            identity: identity?,
        })
    }
}

/// What `backup scratch-server` runs with.
#[derive(Debug)]
pub struct ScratchServerConfig {
    /// Where the server keeps everything.
    pub options: ScratchServerOptions,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for ScratchServerConfig {
    fn sections() -> Vec<Section> {
        vec![
            Section::from_group::<ScratchServerOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let options = ScratchServerOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        Some(Self {
            options: options?,
            log: log?,
        })
    }
}
