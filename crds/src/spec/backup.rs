//! Scheduled backups, each proved by restoring it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    config::default_time_zone,
    destination::Destination,
    patterns::{NO_WHITE_SPACE, RECIPIENT, SIZE, TIME_ZONE},
};

/// Scheduled logical backups, made by `pg_dump`. Each is restored into a throw-away server and compared before it counts.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// `false` makes no backups. Earlier ones stay where they are. Default: `true`.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
    /// Time of the backups: five cron fields, such as `0 2 * * *`, or a name such as `@daily`. Default: every night, at a
    /// minute between 02:00 and 04:59 that depends on the namespace and the name of the HelloService.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 100),
        regex(
            pattern = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*/,?-]+( [0-9A-Za-z*/,?-]+){4})$"
        )
    )]
    pub schedule: Option<String>,
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
    /// Where backups are stored: in a volume or in a bucket. Default: a volume of 2 GiB.
    #[serde(default)]
    pub destination: Destination,
    /// Encryption of the files before they are stored. Default: none; a bucket may encrypt by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// How backups are proved.
    #[serde(default)]
    pub verify: Verify,
    /// Image with PostgreSQL's programs, also for the throw-away server. Its major version must not be below the database's.
    /// Default: the image of the managed database, else the operator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = NO_WHITE_SPACE))]
    pub image: Option<String>,
    /// `true` suspends the schedule. Existing backups are kept. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            enabled: default_enabled(),
            schedule: None,
            time_zone: default_time_zone(),
            formats: default_formats(),
            retention: Retention::default(),
            destination: Destination::default(),
            encryption: None,
            verify: Verify::default(),
            image: None,
            suspend: false,
        }
    }
}

const fn default_enabled() -> bool {
    true
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

/// Which backups are kept: each that one of the rules keeps. Only proved ones count. The newest proved one is always kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Keeps so many of the newest backups. Default: 7.
    #[serde(default = "default_keep_last")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: i32,
    /// Keeps the newest backup of each of so many days. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub keep_daily: i32,
    /// Keeps the newest backup of each of so many weeks. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub keep_weekly: i32,
    /// Keeps the newest backup of each of so many months. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub keep_monthly: i32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_last: default_keep_last(),
            keep_daily: 0,
            keep_weekly: 0,
            keep_monthly: 0,
        }
    }
}

const fn default_keep_last() -> i32 {
    7
}

/// Encryption of the files of backups, in the format of age. The manifest, which has no rows of tables, stays readable.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Public keys, such as `age-keygen` prints. The secret key of each of them opens the files. The cluster does not need it,
    /// except for a restore.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 62, max = 62), regex(pattern = RECIPIENT))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub recipients: Vec<String>,
}

/// How backups are proved.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// Where the throw-away server keeps its data while a backup is proved.
    #[serde(default)]
    pub scratch: Scratch,
}

/// Where a throw-away server keeps its data: on the disk of the pod's node.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scratch {
    /// Most that the server may use, as a Kubernetes quantity. A pod that uses more is evicted. Default: twice
    /// the `storage.size` of the database; no limit with an external database, whose size is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = SIZE))]
    pub size: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::HelloServiceSpec;

    #[test]
    fn a_managed_database_has_backups_unless_they_are_disabled_and_another_one_when_asked_for() {
        assert_eq!(
            Backup::default(),
            serde_json::from_value(json!({})).unwrap()
        );
        let managed = json!({"managed": {}});
        let external = json!({"external": {"secretRef": {"name": "db"}}});
        let cnpg = json!({"cloudNativePG": {}});
        let daily = json!({"schedule": "@daily"});
        let off = json!({"enabled": false, "schedule": "@daily"});
        for (database, backup, wanted) in [
            (&managed, None, Some("")),
            (&external, None, None),
            (&cnpg, None, None),
            (&managed, Some(&daily), Some("@daily")),
            (&external, Some(&daily), Some("@daily")),
            (&cnpg, Some(&daily), Some("@daily")),
            (&managed, Some(&off), None),
            (&external, Some(&off), None),
        ] {
            let mut spec = json!({"database": database});
            if let Some(backup) = backup {
                spec["backup"] = backup.clone();
            }
            let spec: HelloServiceSpec = serde_json::from_value(spec).unwrap();
            let found = spec.wanted_backup();
            let found = found.map(|backup| backup.schedule.clone().unwrap_or_default());
            assert_eq!(found.as_deref(), wanted, "{database} {backup:?}");
        }
        // Without a word about the database, it is a managed one.
        let spec: HelloServiceSpec = serde_json::from_value(json!({})).unwrap();
        assert_eq!(spec.wanted_backup().as_deref(), Some(&Backup::default()));
    }
}
