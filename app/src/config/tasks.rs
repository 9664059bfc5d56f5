//! What the commands that run to an end run with: `migrate`, `seed` and `backup`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::ConfigErrors;
use super::errors::non_empty_path;
use crate::cli::{BackupArgs, MigrateArgs, SeedArgs};
use crate::commands::migrate::RolePasswords;
use crate::store::DatabaseUrlSource;
use crate::telemetry::LogFormat;

/// What `migrate` runs with.
#[derive(Debug)]
pub struct MigrateConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// How long to wait for the database.
    pub wait: Duration,
    /// Roles to make.
    pub passwords: RolePasswords,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl TryFrom<&MigrateArgs> for MigrateConfig {
    type Error = ConfigErrors;

    fn try_from(args: &MigrateArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let database = errors.required_database(&args.database);
        let wait = errors.duration("HELLO_WAIT_TIMEOUT", &args.wait_timeout);
        let log = errors.log(&args.log);
        let app = errors.secret(
            "HELLO_APP_ROLE_PASSWORD_FILE",
            args.app_role_password_file.as_deref(),
        );
        let backup = errors.secret(
            "HELLO_BACKUP_ROLE_PASSWORD_FILE",
            args.backup_role_password_file.as_deref(),
        );
        let config = (|| {
            let (log_level, log_format) = log?;
            let passwords = RolePasswords { app, backup };
            Some(Self {
                database: database?,
                wait: wait?,
                passwords,
                log_level,
                log_format,
            })
        })();
        errors.finish(config)
    }
}

/// What `seed` runs with.
#[derive(Debug)]
pub struct SeedConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// How many people to make.
    pub count: u32,
    /// What they are made from.
    pub seed: u64,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl TryFrom<&SeedArgs> for SeedConfig {
    type Error = ConfigErrors;

    fn try_from(args: &SeedArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let database = errors.required_database(&args.database);
        let log = errors.log(&args.log);
        let count = errors.parse("HELLO_SEED_COUNT", &args.count);
        let seed = errors.parse("HELLO_SEED", &args.seed);
        let config = (|| {
            let (log_level, log_format) = log?;
            Some(Self {
                database: database?,
                count: count?,
                seed: seed?,
                log_level,
                log_format,
            })
        })();
        errors.finish(config)
    }
}

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpFormat {
    /// PostgreSQL's own compressed archive.
    Custom,
    /// SQL text.
    Plain,
}

impl FromStr for DumpFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "custom" => Ok(Self::Custom),
            "plain" => Ok(Self::Plain),
            other => Err(format!("`{other}` is neither `custom` nor `plain`")),
        }
    }
}

/// What `backup` runs with.
#[derive(Debug)]
pub struct BackupConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// The folder that keeps the dumps.
    pub directory: PathBuf,
    /// Which dumps to write; none twice.
    pub formats: Vec<DumpFormat>,
    /// How many of each format to keep, at least one.
    pub keep_last: usize,
    /// The folder with PostgreSQL's programs, when not on the PATH.
    pub pg_bin: Option<PathBuf>,
    /// The least level that is logged.
    pub log_level: tracing::Level,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl TryFrom<&BackupArgs> for BackupConfig {
    type Error = ConfigErrors;

    fn try_from(args: &BackupArgs) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let database = errors.required_database(&args.database);
        let log = errors.log(&args.log);
        let keep = errors.parse::<NonZeroUsize>("HELLO_BACKUP_KEEP_LAST", &args.keep_last);
        let mut formats = Vec::new();
        for text in &args.format {
            if let Some(format) = errors.parse("HELLO_BACKUP_FORMATS", text)
                && !formats.contains(&format)
            {
                formats.push(format);
            }
        }
        let config = (|| {
            let (log_level, log_format) = log?;
            Some(Self {
                database: database?,
                directory: args.directory.clone(),
                formats,
                keep_last: keep?.get(),
                pg_bin: non_empty_path(args.pg_bin.as_deref()).map(Into::into),
                log_level,
                log_format,
            })
        })();
        errors.finish(config)
    }
}
