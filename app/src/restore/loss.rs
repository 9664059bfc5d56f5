//! What is lost when the live data is exchanged for other data.

use std::fmt;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::names::LIVE;
use super::tables::Table;

/// Rows in which the live data and the other differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Rows that only the live data has.
    pub added: u64,
    /// Rows that the other has differently.
    pub changed: u64,
    /// Rows that only the other has: they come back, and nothing of the live data is lost with them.
    pub removed: u64,
    /// Since when the live data went its own way.
    pub since: DateTime<Utc>,
}

impl Loss {
    /// Whether rows of the live data are lost.
    pub const fn is_none(&self) -> bool {
        self.added == 0 && self.changed == 0
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "of what was written since {}, {} rows would be lost that were added, and {} as they were changed; {} rows \
             would come back",
            self.since.trunc_subsecs(0).to_rfc3339(),
            self.added,
            self.changed,
            self.removed
        )
    }
}

/// What the live data is compared with.
pub struct Other<'a> {
    /// Its schema.
    pub schema: &'a str,
    /// Since when the live data went its own way.
    pub since: DateTime<Utc>,
    /// The transaction that wrote what the live data began with: only rows of other transactions are lost.
    pub begun_by: Option<&'a str>,
}

/// Counts the differences as the present transaction sees them.
///
/// # Errors
/// When the database fails.
pub async fn count(
    connection: &mut PgConnection,
    tables: &[Table],
    other: &Other<'_>,
) -> Result<Loss, sqlx::Error> {
    let mut loss = Loss {
        since: other.since,
        ..Loss::default()
    };
    for table in tables {
        let statement = statement(table, other);
        let found: (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
            .fetch_one(&mut *connection)
            .await?;
        let number = |count: i64| u64::try_from(count).unwrap_or_default(); // not negative
        loss.added += number(found.0);
        loss.changed += number(found.1);
        loss.removed += number(found.2);
    }
    Ok(loss)
}

fn statement(table: &Table, other: &Other<'_>) -> String {
    let of = |side: &str, columns: &[String]| {
        let columns = columns.iter().map(|column| format!("{side}.{column}"));
        columns.collect::<Vec<_>>().join(", ")
    };
    let (name, schema, key) = (&table.name, other.schema, &table.key[0]);
    let written = match other.begun_by {
        Some(transaction) => format!("live.xmin <> '{transaction}'::xid"),
        None => "true".into(),
    };
    format!(
        "SELECT count(*) FILTER (WHERE other.{key} IS NULL AND {written}), \
             count(*) FILTER (WHERE live.{key} IS NOT NULL AND other.{key} IS NOT NULL AND {written}), \
             count(*) FILTER (WHERE live.{key} IS NULL) \
         FROM ONLY {LIVE}.{name} AS live FULL JOIN ONLY {schema}.{name} AS other ON ROW({}) = ROW({}) \
         WHERE live.{key} IS NULL OR other.{key} IS NULL OR ROW({}) IS DISTINCT FROM ROW({})",
        of("live", &table.key),
        of("other", &table.key),
        of("live", &table.columns),
        of("other", &table.columns),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_back_are_no_loss() {
        let loss = |added, changed, removed| Loss {
            added,
            changed,
            removed,
            since: DateTime::UNIX_EPOCH,
        };
        assert!(loss(0, 0, 9).is_none());
        assert!(!loss(1, 0, 0).is_none());
        assert!(!loss(0, 1, 0).is_none());
        assert_eq!(
            loss(3, 2, 1).to_string(),
            "of what was written since 1970-01-01T00:00:00+00:00, 3 rows would be lost that were added, and 2 as they \
             were changed; 1 rows would come back"
        );
    }
}
