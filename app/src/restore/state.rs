//! What the database says of a restore: notes on its schemas, which are written in the transactions that they tell of.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

use super::error::RestoreError;
use super::loss::Loss;
use super::names;
use super::tables::execute;
use crate::config::RestoreId;

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The schema is being filled, or whoever filled it was killed.
    Staging,
    /// The schema has what the backup has.
    Staged,
    /// The schema has what was live before.
    Previous,
    /// The schema has what was live between the swap and its undoing.
    Undone,
}

/// The note on a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// How far the restore has come.
    pub state: State,
    /// The name of the backup.
    pub set: String,
    /// The time of the backup.
    pub backup_time: DateTime<Utc>,
    /// How many rows the backup has in the tables of the service.
    pub rows: u64,
    /// The transaction that has written them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_by: Option<String>,
    /// What belongs to the tables that the swap has brought in: nobody else has made it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<String>,
    /// The swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
}

/// What is remembered of a swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    /// When it was.
    pub time: DateTime<Utc>,
    /// What was lost by it, or by its undoing.
    pub loss: Loss,
    /// The table of migrations that it brought in, as the server numbers it: so it is known whether that is still live.
    pub brought: i64,
}

/// The note on `schema`; `None` when there is no such schema.
///
/// # Errors
/// When it is a foreign schema.
pub async fn read(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Option<Note>, RestoreError> {
    let found: Option<Option<String>> = sqlx::query_scalar(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1",
    )
    .bind(schema)
    .fetch_optional(connection)
    .await?;
    let Some(text) = found else {
        return Ok(None);
    };
    let note = text.and_then(|text| serde_json::from_str(&text).ok());
    note.map(Some).ok_or_else(|| {
        RestoreError::refused(format!(
            "the schema {schema} is not of a restore: rename it"
        ))
    })
}

/// Writes the note on `schema`, as part of the present transaction.
///
/// # Errors
/// When the database fails.
pub async fn write(
    connection: &mut PgConnection,
    schema: &str,
    note: &Note,
) -> Result<(), sqlx::Error> {
    let text = serde_json::to_string(note).unwrap_or_default(); // it has no maps
    let text = text.replace('\'', "''");
    execute(
        connection,
        &format!("COMMENT ON SCHEMA {schema} IS '{text}'"),
    )
    .await
}

/// What the database says of one restore.
#[derive(Debug, Default)]
pub struct Found {
    /// The note on what is restored and not live.
    pub staged: Option<Note>,
    /// The note on what was live before.
    pub previous: Option<Note>,
}

impl Found {
    /// Reads the notes on both schemas.
    ///
    /// # Errors
    /// When one of them is a foreign schema.
    pub async fn read(connection: &mut PgConnection, id: &RestoreId) -> Result<Self, RestoreError> {
        Ok(Self {
            staged: read(connection, &names::staged(id)).await?,
            previous: read(connection, &names::previous(id)).await?,
        })
    }

    /// What is staged already; `None` when it is to be done.
    ///
    /// # Errors
    /// When the restore has gone further.
    pub fn into_staged(self) -> Result<Option<Note>, RestoreError> {
        match (self.staged, self.previous) {
            (_, Some(_)) => Err(RestoreError::refused("this restore was swapped already")),
            (Some(note), None) if note.state == State::Undone => Err(was_undone()),
            (staged, None) => Ok(staged.filter(|note| note.state == State::Staged)),
        }
    }

    /// What can be swapped in.
    ///
    /// # Errors
    /// When nothing can.
    pub fn to_swap(&self) -> Result<&Note, RestoreError> {
        match &self.staged {
            Some(note) if note.state == State::Staged => Ok(note),
            Some(note) if note.state == State::Undone => Err(was_undone()),
            Some(_) => Err(RestoreError::refused(
                "staging was interrupted: stage it again",
            )),
            None => Err(RestoreError::refused("nothing is staged")),
        }
    }

    /// The swap that can be undone.
    ///
    /// # Errors
    /// When there is none.
    pub fn to_undo(&self) -> Result<(&Note, &Swap), RestoreError> {
        let previous = self.previous.as_ref();
        let swapped = previous.and_then(|note| Some((note, note.swap.as_ref()?)));
        swapped.ok_or_else(|| {
            RestoreError::refused(
                "there is no former data: nothing was swapped, or it was dropped since",
            )
        })
    }

    /// The note of a swap that is done.
    pub fn swapped(&self) -> Option<&Note> {
        self.previous.as_ref()
    }

    /// The note of an undoing that is done.
    pub fn undone(&self) -> Option<&Note> {
        let staged = self.staged.as_ref();
        staged.filter(|note| note.state == State::Undone)
    }
}

fn was_undone() -> RestoreError {
    RestoreError::refused("this restore was undone: discard it, and begin a new one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(staged: Option<State>, previous: bool) -> Found {
        let note = |state| Note {
            state,
            set: "hello-20260101T000000Z".into(),
            backup_time: DateTime::UNIX_EPOCH,
            rows: 1,
            written_by: None,
            parts: BTreeSet::new(),
            swap: Some(Swap {
                time: DateTime::UNIX_EPOCH,
                loss: Loss::default(),
                brought: 1,
            }),
        };
        Found {
            staged: staged.map(note),
            previous: previous.then(|| note(State::Previous)),
        }
    }

    /// Each command in each state: it is to be done, was done, or is refused.
    #[test]
    fn a_late_command_never_goes_a_step_back() {
        let states = [
            (None, false),
            (Some(State::Staging), false),
            (Some(State::Staged), false),
            (None, true),
            (Some(State::Undone), false),
        ];
        let stage = states.map(|(staged, previous)| {
            let done = found(staged, previous).into_staged();
            done.map(|note| note.is_some()).ok()
        });
        assert_eq!(stage, [Some(false), Some(false), Some(true), None, None]);
        let swap = states.map(|(staged, previous)| {
            let found = found(staged, previous);
            (found.swapped().is_some(), found.to_swap().is_ok())
        });
        assert_eq!(
            swap,
            [
                (false, false),
                (false, false),
                (false, true),
                (true, false),
                (false, false)
            ]
        );
        let undo = states.map(|(staged, previous)| {
            let found = found(staged, previous);
            (found.undone().is_some(), found.to_undo().is_ok())
        });
        assert_eq!(
            undo,
            [
                (false, false),
                (false, false),
                (false, false),
                (false, true),
                (true, false)
            ]
        );
    }
}
