//! Scheduled backups.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    config::default_time_zone,
    patterns::TIME_ZONE,
    volume::{Volume, default_backup_volume},
};

/// Scheduled logical backups, made by `pg_dump`.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Time of the backups: five cron fields, such as `0 2 * * *`, or a name such as `@daily`.
    #[schemars(
        length(min = 1, max = 100),
        regex(
            pattern = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*/,?-]+( [0-9A-Za-z*/,?-]+){4})$"
        )
    )]
    pub schedule: String,
    /// IANA time zone of the schedule, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64), regex(pattern = TIME_ZONE))]
    pub time_zone: String,
    /// Formats of the files that each backup writes. Default: `custom` and `plain`.
    #[serde(default = "default_formats")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub formats: Vec<BackupFormat>,
    /// Which backups are kept. Default: the newest 7.
    #[serde(default)]
    pub retention: Retention,
    /// Where backups are stored. Default: a volume of 2 GiB.
    #[serde(default)]
    pub destination: Destination,
    /// `true` suspends the schedule. Existing backups are kept. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

fn default_formats() -> Vec<BackupFormat> {
    vec![BackupFormat::Custom, BackupFormat::Plain]
}

/// Format of a backup file.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupFormat {
    /// PostgreSQL's archive format, for `pg_restore`.
    Custom,
    /// SQL text.
    Plain,
}

impl BackupFormat {
    /// The value of the application's option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Plain => "plain",
        }
    }
}

/// Which backups are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Number of backups that are kept. Older ones are deleted after each successful backup. Default: 7.
    #[serde(default = "default_keep_last")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: i32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_last: default_keep_last(),
        }
    }
}

const fn default_keep_last() -> i32 {
    7
}

/// Where backups are stored.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Volume for the backups only. Default: 2 GiB of the default storage class.
    #[serde(default = "default_backup_volume")]
    pub volume: Volume,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            volume: default_backup_volume(),
        }
    }
}
