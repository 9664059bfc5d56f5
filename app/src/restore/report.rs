//! The result of a command, for those who read it by program: one JSON object.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::error::{Reason, RestoreError};
use super::loss::Loss;
use crate::termination_message::{self, LONGEST_TEXT, shortened};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Done {
    /// The backup is beside the live data.
    Staged,
    /// It is the live data.
    Swapped,
    /// The former data is live again.
    Undone,
    /// The former data is removed.
    Dropped,
    /// What was restored and is not live is removed.
    Discarded,
}

/// What was done, and with what.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was done.
    pub reason: Done,
    /// When.
    pub time: DateTime<Utc>,
    /// The name of the backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// What the live data has, or had, and the other has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// How many rows the backup has in the tables of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The version of the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// The schema of the data that was live before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Why nothing was done.
#[derive(Debug, Serialize)]
struct Failure<'a> {
    reason: Reason,
    time: DateTime<Utc>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<&'a Loss>,
}

impl Report {
    /// Nothing but that it was done.
    pub fn new(reason: Done) -> Self {
        Self {
            reason,
            time: Utc::now(),
            set: None,
            loss: None,
            rows: None,
            schema_version: None,
            previous: None,
            seconds: 0.0,
        }
    }
}

/// One line of JSON for either result.
pub fn to_json(result: &Result<Report, RestoreError>) -> String {
    let json = match result {
        Ok(report) => serde_json::to_string(report),
        Err(error) => serde_json::to_string(&Failure {
            reason: error.reason(),
            time: Utc::now(),
            message: shortened(&error.to_string(), LONGEST_TEXT),
            loss: match error {
                RestoreError::LossNotAccepted(loss) => Some(loss),
                _ => None,
            },
        }),
    };
    json.unwrap_or_default() // they have neither maps nor other texts than their own
}

/// Writes a result to a file, which may be one that cannot be replaced.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, json: &str) -> Result<(), RestoreError> {
    termination_message::write(path, json).map_err(|error| RestoreError::Report {
        path: path.into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::termination_message::LONGEST;

    #[test]
    fn a_result_fits_into_a_termination_message() {
        let error = RestoreError::refused("view \"é\"\n\u{1}".repeat(5_000));
        let json = to_json(&Err(error));
        assert!(json.len() <= LONGEST, "{}", json.len());
        assert!(
            json.starts_with(r#"{"reason":"Refused","time":""#),
            "{json}"
        );
        let report = Report {
            set: Some("hello-20260101T000000Z".into()),
            loss: Some(Loss::default()),
            previous: Some("x".repeat(63)),
            ..Report::new(Done::Swapped)
        };
        let json = to_json(&Ok(report));
        assert!(json.len() <= LONGEST, "{}", json.len());
        assert!(
            json.contains(r#""loss":{"added":0,"changed":0,"removed":0,"since":""#),
            "{json}"
        );
    }
}
