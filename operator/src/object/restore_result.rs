//! What a step of a restore reports about its end: one JSON object in the termination message of its container.
//!
//! As with [backups](crate::object::backup_result), the image is whatever the resource names: what is not known is no result.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::object::{
    backup_result::is_set,
    termination_message::{self, causes},
};

/// Name of the container that takes a step of a restore.
pub const CONTAINER: &str = "restore";

/// How a step ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RestoreResult {
    /// It did what it was for.
    Done(Done),
    /// It did not.
    Failed(Failure),
}

/// What a step did.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Deed {
    /// The backup is beside the live data, proved and compared.
    Staged,
    /// The restored data serves.
    Swapped,
    /// The former data serves again.
    Undone,
    /// The data that does not serve is gone.
    Dropped,
    /// The staged data is gone.
    Discarded,
}

/// A step that did what it was for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// What it did.
    pub reason: Deed,
    /// When.
    pub time: Timestamp,
    /// Name of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// What is lost by the swap, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// Schema with the data that does not serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// Rows of the live data compared with those that take their place.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Loss {
    /// Rows that only the live data has.
    pub added: i64,
    /// Rows that the live data has with another content.
    pub changed: i64,
    /// Rows that the live data lacks.
    pub removed: i64,
    /// When the backup was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A step that did not do what it was for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Failure {
    /// What kept it from that.
    pub reason: Cause,
    time: Timestamp,
    /// The same in words; empty when the words are not the operator's own program's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What would be lost, where it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
}

causes! {
    /// What keeps a step of a restore from its end. The names are those of `hello-app restore`.
    pub enum Cause {
        LossNotAccepted,
        Refused,
        NotProved,
        RestoreFailed,
        Mismatch,
        DestinationFull,
        Locked,
        Privileges,
        Interrupted,
        Failed,
    }
}

impl RestoreResult {
    /// Reads a termination message; `None` when it is no result.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let result: Self = termination_message::parse(text)?;
        let loss = match &result {
            Self::Done(done) => done.is_valid().then_some(done.loss.as_ref())?,
            Self::Failed(failure) => failure.loss.as_ref(),
        };
        loss.is_none_or(Loss::is_valid).then_some(result)
    }

    /// The same as a termination message without any words, which a program of another party chose.
    #[must_use]
    pub fn without_words(mut self) -> Option<String> {
        if let Self::Failed(failure) = &mut self {
            failure.message.clear();
        }
        serde_json::to_string(&self).ok()
    }
}

impl Done {
    fn is_valid(&self) -> bool {
        self.set.as_deref().is_none_or(is_set)
            && self.rows.is_none_or(|rows| rows >= 0)
            && self.previous.as_deref().is_none_or(is_schema)
    }
}

impl Loss {
    const fn is_valid(&self) -> bool {
        self.added >= 0 && self.changed >= 0 && self.removed >= 0
    }

    /// Whether something that was written would be gone. Rows that come back are no loss.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.added == 0 && self.changed == 0
    }
}

/// Whether it is the name of a schema that a restore makes.
fn is_schema(name: &str) -> bool {
    let starts = ["hello_previous_", "hello_restore_"];
    let mut ends = starts.iter().filter_map(|start| name.strip_prefix(start));
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.len() <= 63 && ends.any(|end| !end.is_empty() && end.chars().all(is_id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn staged() -> Value {
        json!({"reason": "Staged", "time": "2026-11-30T02:00:09Z", "set": "hello-20261130T020000Z", "rows": 5,
            "schemaVersion": 7, "loss": {"added": 3, "changed": 2, "removed": 0, "since": "2026-11-30T02:00:00Z"},
            "previous": "hello_previous_0b9c", "seconds": 1.5})
    }

    fn parse(value: &Value) -> Option<RestoreResult> {
        RestoreResult::parse(&value.to_string())
    }

    #[test]
    fn what_was_done_is_read() {
        for deed in ["Staged", "Swapped", "Undone", "Dropped", "Discarded"] {
            let mut text = staged();
            text["reason"] = deed.into();
            let Some(RestoreResult::Done(done)) = parse(&text) else {
                panic!("{text}")
            };
            assert_eq!(format!("{:?}", done.reason), deed);
            let loss = done.loss.unwrap();
            assert_eq!((loss.added, loss.changed, loss.is_none()), (3, 2, false));
        }
        let least = json!({"reason": "Dropped", "time": "2026-11-30T02:00:09Z"});
        assert!(parse(&least).is_some());
    }

    /// As `hello-app restore` wrote them.
    #[test]
    fn what_the_program_writes_is_read() {
        for text in [
            r#"{"reason":"Staged","time":"2026-11-30T06:36:54.174569621Z","set":"hello-20261130T063646Z","loss":{"added":1,"changed":0,"removed":1,"since":"2026-11-30T06:36:46.524564576Z"},"rows":2,"schemaVersion":3,"seconds":3.779}"#,
            r#"{"reason":"Swapped","time":"2026-11-30T06:36:54.333941265Z","set":"hello-20261130T063646Z","loss":{"added":1,"changed":0,"removed":1,"since":"2026-11-30T06:36:46.524564576Z"},"rows":2,"schemaVersion":3,"previous":"hello_previous_4c2e1f6a_0000_4000_8000_000000000000","seconds":0.07}"#,
            r#"{"reason":"Dropped","time":"2026-11-30T06:36:54.663464020Z","seconds":0.064}"#,
        ] {
            assert!(
                matches!(RestoreResult::parse(text), Some(RestoreResult::Done(_))),
                "{text}"
            );
        }
        let text = r#"{"reason":"LossNotAccepted","time":"2026-11-30T06:36:54.233401883Z","message":"words","loss":{"added":1,"changed":0,"removed":1,"since":"2026-11-30T06:36:46.524564576Z"}}"#;
        let Some(RestoreResult::Failed(failure)) = RestoreResult::parse(text) else {
            panic!("it is a failure")
        };
        assert_eq!(failure.loss.unwrap().added, 1);
    }

    #[test]
    fn every_cause_is_read_and_its_words_can_be_taken_off() {
        for cause in Cause::ALL {
            let text = json!({"reason": format!("{cause:?}"), "time": "2026-11-30T02:00:09Z", "message": "secret",
                "loss": {"added": 1, "changed": 0, "removed": 0}});
            let Some(RestoreResult::Failed(failure)) = parse(&text) else {
                panic!("{text}")
            };
            assert_eq!((failure.reason, &*failure.message), (*cause, "secret"));
            let text = RestoreResult::Failed(failure).without_words().unwrap();
            assert!(!text.contains("secret"), "{text}");
            assert!(RestoreResult::parse(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_result() {
        for (field, value) in [
            ("reason", json!("Surprise")),
            ("time", json!("yesterday")),
            ("set", json!("secret")),
            ("rows", json!(-1)),
            ("loss", json!({"added": -1, "changed": 0, "removed": 0})),
            ("loss", json!({"added": 1})),
            ("previous", json!("secret")),
            ("previous", json!("hello_previous_")),
            ("previous", json!("hello_previous_my secret")),
            (
                "previous",
                json!(format!("hello_previous_{}", "x".repeat(60))),
            ),
            ("padding", json!("x".repeat(5000))),
        ] {
            let mut text = staged();
            text[field] = value;
            assert_eq!(parse(&text), None, "{text}");
        }
        for text in [
            "",
            "{}",
            "null",
            "[]",
            "error: no",
            r#"{"reason":"Staged"}"#,
        ] {
            assert_eq!(RestoreResult::parse(text), None, "{text}");
        }
    }
}
