//! What a run of the backups reports about its end: one JSON object in the termination message of its container.
//!
//! The image is whatever the resource names, so nothing of it is taken for granted: a reason that is not known, a number
//! that is negative or a name that no set has makes it no result at all.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::object::termination_message::{self, causes};

/// Name of the container that makes the backup. Its end says whether the backup is proved.
pub const CONTAINER: &str = "backup";

/// How a run ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BackupResult {
    /// The backup was restored and compared.
    Verified(Proof),
    /// It does not count.
    Failed(Failure),
}

/// A backup that was restored and compared.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    reason: Verified,
    time: Timestamp,
    /// Its name.
    pub set: String,
    sequence: u64,
    /// Size of its files.
    pub size_bytes: i64,
    /// Number of rows.
    pub rows: i64,
    /// Version of the schema.
    pub schema_version: i64,
    /// How long the restore took.
    pub restore_seconds: f64,
    /// Number of proved backups in the destination.
    pub count: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
enum Verified {
    Verified,
}

/// A run that left no proved backup.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Failure {
    /// What kept it from that.
    pub reason: Cause,
    time: Timestamp,
    /// The same in words; empty when the words are not the operator's own program's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

causes! {
    /// What kept a run from a proved backup. The names are those of `hello-app backup run`.
    pub enum Cause {
        DumpFailed,
        RestoreFailed,
        Mismatch,
        DestinationFull,
        DestinationDenied,
        DestinationUnreachable,
        Locked,
        Privileges,
        ToolTooOld,
        ClockSkew,
        NotProved,
        Interrupted,
    }
}

impl BackupResult {
    /// Reads a termination message; `None` when it is no result.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let result: Self = termination_message::parse(text)?;
        let valid = match &result {
            Self::Verified(proof) => proof.is_valid(),
            Self::Failed(_) => true,
        };
        valid.then_some(result)
    }

    /// The same as a termination message without any words, which a program of another party chose.
    #[must_use]
    pub fn without_words(mut self) -> Option<String> {
        match &mut self {
            Self::Verified(proof) => proof.warnings.clear(),
            Self::Failed(failure) => failure.message.clear(),
        }
        serde_json::to_string(&self).ok()
    }
}

impl Proof {
    fn is_valid(&self) -> bool {
        let numbers = [self.size_bytes, self.rows, self.schema_version, self.count];
        // Below that, three digits after the point are exact.
        let seconds = (0.0..1e9).contains(&self.restore_seconds);
        is_set(&self.set) && seconds && numbers.iter().all(|number| *number >= 0)
    }

    /// How long the restore took, in milliseconds' precision.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.restore_seconds * 1000.0).round() / 1000.0
    }
}

/// Whether it is the name of a set: `hello-20260501T020000Z`.
pub(super) fn is_set(name: &str) -> bool {
    let pattern = "hello-00000000T000000Z";
    name.len() == pattern.len()
        && name
            .chars()
            .zip(pattern.chars())
            .all(|(is, wanted)| match wanted {
                '0' => is.is_ascii_digit(),
                other => is == other,
            })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::termination_message::LONGEST;

    fn proof() -> Value {
        json!({"reason": "Verified", "time": "2026-11-30T02:00:09Z", "set": "hello-20261130T020000Z", "sequence": 12,
            "sizeBytes": 123, "rows": 1000, "schemaVersion": 7, "restoreSeconds": 1.8004, "count": 7,
            "warnings": ["secret"]})
    }

    fn parse(value: &Value) -> Option<BackupResult> {
        BackupResult::parse(&value.to_string())
    }

    #[test]
    fn a_proof_is_read_and_its_words_can_be_taken_off() {
        let Some(BackupResult::Verified(read)) = parse(&proof()) else {
            panic!("it is one")
        };
        assert_eq!(read.set, "hello-20261130T020000Z");
        assert_eq!((read.rows, read.count, read.seconds()), (1000, 7, 1.8));
        let text = BackupResult::Verified(read).without_words().unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(BackupResult::parse(&text).is_some(), "{text}");
        // A later program may say more.
        let mut more = proof();
        more["checksum"] = "x".into();
        assert!(parse(&more).is_some());
        more.as_object_mut().unwrap().remove("warnings");
        assert!(parse(&more).is_some());
    }

    /// As `hello-app backup run` wrote them.
    #[test]
    fn what_the_program_writes_is_read() {
        let text = r#"{"reason":"Verified","time":"2026-11-30T02:46:43.742072436Z","set":"hello-20261130T024643Z","sequence":2,"sizeBytes":12184,"rows":4,"schemaVersion":3,"restoreSeconds":0.072,"count":1,"warnings":[]}"#;
        let Some(BackupResult::Verified(read)) = BackupResult::parse(text) else {
            panic!("it is a proof")
        };
        assert_eq!((read.size_bytes, read.seconds()), (12184, 0.072));
        let text = r#"{"reason":"Privileges","time":"2026-11-30T02:46:31.256404407Z","message":"the database cannot be reached: error returned from database: role \"hello_backup\" is not permitted to log in at line 856"}"#;
        let Some(BackupResult::Failed(read)) = BackupResult::parse(text) else {
            panic!("it is a failure")
        };
        assert_eq!(read.reason, Cause::Privileges);
    }

    #[test]
    fn every_cause_is_read_and_its_words_can_be_taken_off() {
        for cause in Cause::ALL {
            let text = json!({"reason": cause.as_str(), "time": "2026-11-30T02:00:09Z", "message": "secret"});
            let Some(BackupResult::Failed(failure)) = parse(&text) else {
                panic!("{text}")
            };
            assert_eq!((failure.reason, &*failure.message), (*cause, "secret"));
            let text = BackupResult::Failed(failure).without_words().unwrap();
            assert!(!text.contains("secret"), "{text}");
            assert!(BackupResult::parse(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_result() {
        for (field, value) in [
            ("reason", json!("Surprise")),
            ("reason", json!(null)),
            ("time", json!("yesterday")),
            ("set", json!("secret")),
            ("set", json!("hello-20261130T02000ZZ")),
            ("set", json!("../etc/passwd")),
            ("rows", json!(-1)),
            ("rows", json!(1.5)),
            ("sizeBytes", json!("123")),
            ("count", json!(9_223_372_036_854_775_808_u64)),
            ("restoreSeconds", json!(-0.1)),
            ("restoreSeconds", json!(1e9)),
            ("warnings", json!("x".repeat(5000))),
        ] {
            let mut text = proof();
            text[field] = value;
            assert_eq!(parse(&text), None, "{text}");
        }
        for text in [
            "",
            "{}",
            "null",
            "[]",
            "error: no",
            r#"{"reason":"Verified"}"#,
        ] {
            assert_eq!(BackupResult::parse(text), None, "{text}");
        }
        let long = json!({"reason": "DumpFailed", "time": "2026-11-30T02:00:09Z", "message": "x".repeat(5000)});
        assert_eq!(parse(&long), None);
    }

    #[test]
    fn a_text_that_no_container_can_leave_is_no_result() {
        for (length, read) in [(LONGEST, true), (LONGEST + 1, false)] {
            let text = format!("{:length$}", proof().to_string());
            assert_eq!(text.len(), length);
            assert_eq!(BackupResult::parse(&text).is_some(), read, "{length}");
        }
    }
}
