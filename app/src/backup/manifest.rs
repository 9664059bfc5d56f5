//! What a backup says of itself: the last file of its set, without which it is none.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::locale::Locale;
use crate::age::Recipient;
use crate::config::DumpFormat;

/// The time in a name.
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// What the names of all files begin with.
pub const PREFIX: &str = "hello-";
/// The formats that a set may have, the one to restore from first.
const FORMATS: [DumpFormat; 2] = [DumpFormat::Custom, DumpFormat::Plain];
/// What an encrypted file has at the end of its name.
const ENCRYPTED: &str = ".age";
/// How the name of a manifest ends.
const MANIFEST: &str = ".json";
/// The version of the format below.
pub const FORMAT_VERSION: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of this format.
    pub format_version: u32,
    /// The common part of the names of the set's files.
    pub name: String,
    /// Which of the backups of the folder it is; clocks may be wrong.
    pub sequence: u64,
    /// The time of the snapshot, by the clock of the machine that made it.
    pub time: DateTime<Utc>,
    /// How it was proved; none when it was not.
    pub proof: Option<Proof>,
    /// The files.
    pub files: Vec<SetFile>,
    /// How the files are encrypted; none when they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// What the database had at the time of the snapshot; sequences are as the dump has them.
    pub contents: Contents,
    /// Names of roles that may be among the owners and in the rights of what is in the dump.
    pub roles: Vec<String>,
    /// How the database encodes and sorts texts.
    pub locale: Locale,
    /// The version of the service's schema.
    pub schema_version: i64,
    /// The version of the server.
    pub server_version: String,
    /// The version of pg_dump.
    pub tool_version: String,
}

/// How a backup was proved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// How long it took to restore it.
    pub restore_seconds: f64,
}

/// How the files of a set are encrypted: in the format of age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Whom they are encrypted to. The files themselves do not say it.
    pub recipients: Vec<String>,
}

impl Encryption {
    /// To these recipients; none without any.
    pub fn to(recipients: &[Recipient]) -> Option<Self> {
        let recipients: Vec<_> = recipients.iter().map(ToString::to_string).collect();
        (!recipients.is_empty()).then_some(Self { recipients })
    }
}

/// A file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetFile {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// The SHA-256 of what was read back, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// The name of its own file.
    pub fn file_name(&self) -> String {
        manifest_name(&self.name)
    }

    /// The names of its other files.
    pub fn file_names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// How long the files are together.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// The file that is restored from, and its format: the archive where there is one.
    pub fn restorable(&self) -> Option<(&SetFile, DumpFormat)> {
        restorable(&self.name, &self.files)
    }
}

/// The one of the `files` of a set that is restored from, and its format: the archive where there is one.
pub fn restorable<'a>(set: &str, files: &'a [SetFile]) -> Option<(&'a SetFile, DumpFormat)> {
    FORMATS.into_iter().find_map(|format| {
        let name = dump_name(set, format);
        let is_it = |file: &&SetFile| plain_name(&file.name) == name;
        Some((files.iter().find(is_it)?, format))
    })
}

/// The name of a set of this time.
pub fn set_name(time: DateTime<Utc>) -> String {
    format!("{PREFIX}{}", time.format(TIME))
}

/// Whether [`set_name`] gives this name.
fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|time| NaiveDateTime::parse_from_str(time, TIME).is_ok())
}

/// The name of the dump of a set.
pub fn dump_name(set: &str, format: DumpFormat) -> String {
    match format {
        DumpFormat::Custom => format!("{set}.dump"),
        DumpFormat::Plain => format!("{set}.sql"),
    }
}

/// The name of the encrypted file that `name` becomes.
pub fn encrypted_name(name: &str) -> String {
    format!("{name}{ENCRYPTED}")
}

/// The name that the file `name` has when it is not encrypted.
pub fn plain_name(name: &str) -> &str {
    name.strip_suffix(ENCRYPTED).unwrap_or(name)
}

/// The names of all dumps that a set may have, encrypted or not.
pub fn dump_names(set: &str) -> impl Iterator<Item = String> {
    let plain = FORMATS.map(|format| dump_name(set, format));
    let encrypted = plain.clone().map(|name| encrypted_name(&name));
    plain.into_iter().chain(encrypted)
}

/// The name of the manifest of a set.
pub fn manifest_name(set: &str) -> String {
    format!("{set}{MANIFEST}")
}

/// The set whose manifest has this name.
pub fn set_of_manifest(file: &str) -> Option<&str> {
    file.strip_suffix(MANIFEST)
}

/// The set that a file of this name belongs to.
pub fn set_of(file: &str) -> Option<&str> {
    let (set, _) = file.split_once('.')?;
    let is_ours = file == manifest_name(set) || dump_names(set).any(|name| name == file);
    (is_ours && is_name(set)).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_sets_are_names_of_sets() {
        assert!(is_name(&set_name(Utc::now())));
        for other in [
            "hello-x",
            "hello-20261301T000000Z",
            "hello-20260101T000000Z.dump",
            "other-20260101T000000Z",
            "hello-../../20260101T000000Z",
            "",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn only_files_of_sets_belong_to_sets() {
        let set = Some("hello-20260101T000000Z");
        for (name, expected) in [
            ("hello-20260101T000000Z.dump", set),
            ("hello-20260101T000000Z.sql", set),
            ("hello-20260101T000000Z.json", set),
            ("hello-20260101T000000Z.dump.age", set),
            ("hello-20260101T000000Z.sql.age", set),
            ("hello-20260101T000000Z.json.age", None),
            ("hello-20260101T000000Z.dump.age.age", None),
            ("hello-20260101T000000Z.dump.gz", None),
            (".hello-20260101T000000Z.dump.partial", None),
            ("notes.json", None),
        ] {
            assert_eq!(set_of(name), expected, "{name}");
        }
    }
}
