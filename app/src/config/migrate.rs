//! What `migrate` runs with.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::check::{DURATION, duration};
use super::database::DatabaseOptions;
use super::group::{OptionGroup, option_group};
use super::option::{path, secret_file, value};
use super::{CommandConfig, ConfigErrors, LogOptions, Section};
use crate::secret::Secret;
use crate::store::DatabaseUrlSource;

option_group! {
    /// How the database is waited for, and which roles are created.
    "Migration" => pub struct MigrateOptions {
        /// Longest time to wait for the database to accept connections.
        wait_timeout: Duration = value("HELLO_WAIT_TIMEOUT", "60s", DURATION, duration),
        /// Password of the role `hello_app`, which is created or updated. Unset: the role is left alone.
        app_role_password_file: Option<Secret> = secret_file(
            "HELLO_APP_ROLE_PASSWORD_FILE", "the path of a file that holds the password"),
        /// Password of the role `hello_backup`, which is created or updated. Unset: the role is left
        /// alone.
        backup_role_password_file: Option<Secret> = secret_file(
            "HELLO_BACKUP_ROLE_PASSWORD_FILE", "the path of a file that holds the password"),
        /// File that gets one line about the result, such as `/dev/termination-log` of a Kubernetes container.
        report_file: Option<PathBuf> = path("HELLO_REPORT_FILE", "the path of a file"),
    }
}

/// Passwords of the roles to create or update; a role without one is left alone.
#[derive(Debug, Default)]
pub struct RolePasswords {
    /// Of `hello_app`.
    pub app: Option<Secret>,
    /// Of `hello_backup`.
    pub backup: Option<Secret>,
}

/// What `migrate` runs with.
#[derive(Debug)]
pub struct MigrateConfig {
    /// Where the database is.
    pub database: DatabaseUrlSource,
    /// How long to wait for the database.
    pub wait: Duration,
    /// Roles to create or update.
    pub passwords: RolePasswords,
    /// Where the result is written, beside the log.
    pub report_file: Option<PathBuf>,
    /// What is logged.
    pub log: LogOptions,
}

impl CommandConfig for MigrateConfig {
    fn sections() -> Vec<Section> {
        vec![
            DatabaseOptions::section(),
            Section::from_group::<MigrateOptions>(),
            Section::from_group::<LogOptions>(),
        ]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        let database = DatabaseOptions::required(matches, errors);
        let options = MigrateOptions::read_group(matches, errors);
        let log = LogOptions::read_group(matches, errors);
        let options = options?;
        Some(Self {
            database: database?,
            wait: options.wait_timeout,
            passwords: RolePasswords {
                app: options.app_role_password_file,
                backup: options.backup_role_password_file,
            },
            report_file: options.report_file,
            log: log?,
        })
    }
}
