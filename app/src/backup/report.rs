//! The result of a backup, for those who read it by program: one JSON object.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::error::{BackupError, Reason, at};
use super::manifest::Manifest;
use crate::termination_message::{self, LONGEST_TEXT, shortened};

/// How many warnings are reported, and how long each may be.
const WARNINGS: (usize, usize) = (4, 300);

/// The result of a backup.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It was proved.
    Verified(Report),
    /// It was not made, or not proved.
    Failed(Failure),
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Always [`Reason::Verified`].
    pub reason: Reason,
    /// The time of the snapshot.
    pub time: DateTime<Utc>,
    /// The name of the set.
    pub set: String,
    /// Which of the folder's backups it is.
    pub sequence: u64,
    /// How large it is.
    pub size_bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// The version of its schema.
    pub schema_version: i64,
    /// How long it took to restore it.
    pub restore_seconds: f64,
    /// How many backups there are that count.
    pub count: usize,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// Why nothing was made.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The cause in one word.
    pub reason: Reason,
    /// When it failed.
    pub time: DateTime<Utc>,
    /// The cause for people.
    pub message: String,
}

impl Report {
    /// Reports the set of `manifest`, which was proved.
    pub fn new(manifest: &Manifest, count: usize, warnings: Vec<String>) -> Self {
        let seconds = manifest.proof.map_or(0.0, |proof| proof.restore_seconds);
        let shorten = |warning: String| shortened(&warning, WARNINGS.1);
        Self {
            reason: Reason::Verified,
            time: manifest.time,
            set: manifest.name.clone(),
            sequence: manifest.sequence,
            size_bytes: manifest.size_bytes(),
            rows: manifest.contents.rows(),
            schema_version: manifest.schema_version,
            restore_seconds: (seconds * 1000.0).round() / 1000.0,
            count,
            warnings: warnings.into_iter().take(WARNINGS.0).map(shorten).collect(),
        }
    }
}

impl Failure {
    /// Reports an error of now.
    pub fn new(error: &BackupError) -> Self {
        Self {
            reason: error.reason(),
            time: Utc::now(),
            message: shortened(&error.to_string(), LONGEST_TEXT),
        }
    }
}

impl Outcome {
    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // it has neither maps nor other texts than its own
    }

    /// Writes it to a file, which may be one that cannot be replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), BackupError> {
        termination_message::write(path, &self.to_json()).map_err(at(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::termination_message::LONGEST;

    #[test]
    fn a_result_fits_into_a_termination_message() {
        let message = "pg_restore: \"error\"\n\u{1}é".repeat(5_000);
        let failure = Failure::new(&BackupError::found(Reason::RestoreFailed, message));
        let json = Outcome::Failed(failure).to_json();
        assert!(
            json.len() <= LONGEST && json.len() > 2_000,
            "{}",
            json.len()
        );
        assert!(
            json.starts_with(r#"{"reason":"RestoreFailed","time":""#),
            "{json}"
        );
        let warnings = vec!["\"".repeat(9_999); 9];
        let report = Report {
            reason: Reason::Verified,
            time: Utc::now(),
            set: "hello-20260101T000000Z".into(),
            sequence: u64::MAX,
            size_bytes: u64::MAX,
            rows: u64::MAX,
            schema_version: i64::MIN,
            restore_seconds: 0.123,
            count: usize::MAX,
            warnings: warnings
                .into_iter()
                .take(WARNINGS.0)
                .map(|warning| shortened(&warning, WARNINGS.1))
                .collect(),
        };
        let json = Outcome::Verified(report).to_json();
        assert!(json.len() <= LONGEST, "{}", json.len());
    }
}
