//! What is in a database, in a form that can be kept and compared: the same question is asked of the database that is
//! dumped and of the one that the dump was restored into.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use crate::store::settings;

/// What is in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// By their names with their schemas. Partitioned ones have no rows of their own and are not among them.
    pub tables: BTreeMap<String, Rows>,
    /// By their names with their schemas.
    pub sequences: BTreeMap<String, Sequence>,
    /// Large objects.
    pub large_objects: Rows,
    /// Names of the extensions. Their versions are those of the server.
    pub extensions: BTreeSet<String>,
}

/// Rows, whatever their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// How many.
    pub rows: u64,
    /// The sum of the 64-bit hashes of their texts.
    pub checksum: String,
}

/// The state of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sequence {
    /// The last number, or the first one when there was none yet.
    pub last_value: i64,
    /// Whether the last number was used.
    pub is_called: bool,
}

/// A table or sequence of the database; not those of PostgreSQL and of extensions, which come with them.
pub struct Relation {
    /// With its schema, and quoted where SQL needs it.
    pub name: String,
    /// As `pg_class` has it.
    pub kind: Kind,
    /// Whether this role may read it.
    pub readable: bool,
    /// Whether row security keeps rows from this role.
    pub filtered: bool,
}

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table with rows.
    Table,
    /// A table whose rows are in its partitions.
    Partitioned,
    /// A sequence.
    Sequence,
}

/// Pins what the text of a value depends on, and lifts the administrator's limits on long statements and transactions.
///
/// # Errors
/// When the database fails.
pub async fn pin_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const SETTINGS: [(&str, &str); 12] = [
        ("search_path", "pg_catalog"),
        ("client_encoding", "UTF8"),
        ("datestyle", "ISO, YMD"),
        ("intervalstyle", "postgres"),
        ("timezone", "UTC"),
        ("extra_float_digits", "1"),
        ("bytea_output", "hex"),
        ("lc_monetary", "C"),
        ("xmloption", "content"),
        ("statement_timeout", "0"),
        ("transaction_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ];
    settings::set(connection, &SETTINGS).await
}

/// The tables and sequences, by name; not what restores keep beside the live data.
///
/// # Errors
/// When the database fails.
pub async fn relations(connection: &mut PgConnection) -> Result<Vec<Relation>, sqlx::Error> {
    let found = sqlx::query_as::<_, (String, String, bool, bool)>(
        "SELECT format('%I.%I', nspname, relname), relkind::text, \
             has_schema_privilege(n.oid, 'USAGE') AND CASE relkind \
                 WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') \
                 ELSE has_table_privilege(c.oid, 'SELECT') END, \
             row_security_active(c.oid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'p', 'S') AND relpersistence <> 't' \
             AND nspname !~ '^(pg_|hello_restore_|hello_previous_)' AND nspname <> 'information_schema' \
             AND NOT EXISTS (SELECT FROM pg_depend \
                 WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e') \
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    let relation = |(name, kind, readable, filtered): (String, String, bool, bool)| Relation {
        name,
        kind: match kind.as_str() {
            "S" => Kind::Sequence,
            "p" => Kind::Partitioned,
            _ => Kind::Table,
        },
        readable,
        filtered,
    };
    Ok(found.into_iter().map(relation).collect())
}

/// The names among `relations` of one kind.
fn names(relations: &[Relation], kind: Kind) -> impl Iterator<Item = &String> {
    let of_kind = relations
        .iter()
        .filter(move |relation| relation.kind == kind);
    of_kind.map(|relation| &relation.name)
}

impl Contents {
    /// Reads all of it in the transaction of `connection`, whose settings are pinned.
    ///
    /// # Errors
    /// When the database fails or refuses.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let relations = relations(connection).await?;
        let mut contents = Self::without_rows(connection, &relations).await?;
        contents.read_rows(connection, &relations).await?;
        Ok(contents)
    }

    /// Reads what takes no time: sequences and extensions.
    ///
    /// # Errors
    /// When the database fails or refuses.
    pub async fn without_rows(
        connection: &mut PgConnection,
        relations: &[Relation],
    ) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sequences: sequences(connection, relations).await?,
            extensions: extensions(connection).await?,
            ..Self::default()
        })
    }

    /// Reads the rows of the tables, and the large objects.
    ///
    /// # Errors
    /// When the database fails or refuses.
    pub async fn read_rows(
        &mut self,
        connection: &mut PgConnection,
        relations: &[Relation],
    ) -> Result<(), sqlx::Error> {
        for name in names(relations, Kind::Table) {
            let rows = rows_of(connection, name).await?;
            self.tables.insert(name.clone(), rows);
        }
        let hash = "hashtextextended(oid || encode(sha256(lo_get(oid)), 'hex'), 0)";
        self.large_objects = rows(connection, hash, "pg_largeobject_metadata").await?;
        Ok(())
    }

    /// How many rows there are in all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }

    /// In what `restored` differs, in words for people; nothing when it is the same. `later` is what sequences were
    /// after the dump: they do not belong to its snapshot.
    pub fn differences(&self, later: &BTreeMap<String, Sequence>, restored: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare(
            &self.tables,
            &restored.tables,
            &mut found,
            |name, is, was| difference(&format!("table {name}"), is, was),
        );
        compare(
            &self.sequences,
            &restored.sequences,
            &mut found,
            |name, is, was| {
                let later = later.get(name).unwrap_or(is);
                let advanced = (is.min(later)..=is.max(later)).contains(&was);
                (!advanced).then(|| format!("sequence {name}: {was:?} instead of {is:?}"))
            },
        );
        found.extend(difference(
            "large objects",
            &self.large_objects,
            &restored.large_objects,
        ));
        for name in self.extensions.symmetric_difference(&restored.extensions) {
            found.push(format!("extension {name}: on one side only"));
        }
        found
    }
}

/// Compares what has the same name, and reports what is on one side only.
fn compare<T>(
    expected: &BTreeMap<String, T>,
    restored: &BTreeMap<String, T>,
    found: &mut Vec<String>,
    difference: impl Fn(&str, &T, &T) -> Option<String>,
) {
    for (name, expected) in expected {
        match restored.get(name) {
            Some(restored) => found.extend(difference(name, expected, restored)),
            None => found.push(format!("{name}: missing")),
        }
    }
    for name in restored.keys().filter(|name| !expected.contains_key(*name)) {
        found.push(format!("{name}: was not there"));
    }
}

fn difference(what: &str, expected: &Rows, restored: &Rows) -> Option<String> {
    let (is, was) = (restored.rows, expected.rows);
    if restored == expected {
        None
    } else if is == was {
        Some(format!("{what}: other contents in {is} rows"))
    } else {
        Some(format!("{what}: {is} rows instead of {was}"))
    }
}

/// The rows of the table `name`, whose settings are pinned; those of its partitions are theirs.
///
/// # Errors
/// When the database fails or refuses.
pub async fn rows_of(connection: &mut PgConnection, name: &str) -> Result<Rows, sqlx::Error> {
    // A whole row, which no column can be taken for.
    let hash = "hashtextextended((hello_row.*)::text COLLATE \"C\", 0)";
    rows(connection, hash, &format!("ONLY {name} AS hello_row")).await
}

async fn rows(connection: &mut PgConnection, hash: &str, from: &str) -> Result<Rows, sqlx::Error> {
    let sql = format!("SELECT count(*), coalesce(sum({hash}), 0)::text FROM {from}");
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await?;
    let rows: i64 = row.try_get(0)?;
    Ok(Rows {
        rows: u64::try_from(rows).unwrap_or_default(), // a count is not negative
        checksum: row.try_get(1)?,
    })
}

/// The present states of the sequences among `relations`.
///
/// # Errors
/// When the database fails.
pub async fn sequences(
    connection: &mut PgConnection,
    relations: &[Relation],
) -> Result<BTreeMap<String, Sequence>, sqlx::Error> {
    let mut found = BTreeMap::new();
    for name in names(relations, Kind::Sequence) {
        let sql = format!("SELECT last_value, is_called FROM {name}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut *connection)
            .await?;
        let sequence = Sequence {
            last_value: row.try_get(0)?,
            is_called: row.try_get(1)?,
        };
        found.insert(name.clone(), sequence);
    }
    Ok(found)
}

async fn extensions(connection: &mut PgConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let names = sqlx::query_scalar("SELECT extname::text FROM pg_extension");
    Ok(names.fetch_all(connection).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let rows = |rows, checksum: &str| Rows {
            rows,
            checksum: checksum.into(),
        };
        let called = |last_value| Sequence {
            last_value,
            is_called: true,
        };
        Contents {
            tables: [
                ("public.a".into(), rows(2, "7")),
                ("public.b".into(), rows(0, "0")),
            ]
            .into(),
            sequences: [("public.s".into(), called(4))].into(),
            large_objects: rows(0, "0"),
            extensions: ["plpgsql".into()].into(),
        }
    }

    #[test]
    fn the_same_is_the_same() {
        let same = contents();
        assert_eq!(same.rows(), 2);
        assert!(same.differences(&same.sequences, &contents()).is_empty());
    }

    #[test]
    fn each_difference_is_named() {
        type Edit = fn(&mut Contents);
        let edits: [(Edit, &str); 8] = [
            (
                |c| c.tables.get_mut("public.a").unwrap().rows = 1,
                "table public.a: 1 rows instead of 2",
            ),
            (
                |c| c.tables.get_mut("public.a").unwrap().checksum = "8".into(),
                "table public.a: other contents in 2 rows",
            ),
            (|c| drop(c.tables.remove("public.b")), "public.b: missing"),
            (
                |c| drop(c.tables.insert("public.c".into(), Rows::default())),
                "public.c: was not there",
            ),
            (
                |c| c.sequences.get_mut("public.s").unwrap().last_value = 3,
                "sequence public.s: ",
            ),
            (
                |c| c.sequences.get_mut("public.s").unwrap().is_called = false,
                "sequence public.s: ",
            ),
            (
                |c| c.large_objects.rows = 1,
                "large objects: 1 rows instead of 0",
            ),
            (
                |c| c.extensions.clear(),
                "extension plpgsql: on one side only",
            ),
        ];
        for (edit, expected) in edits {
            let (source, mut restored) = (contents(), contents());
            edit(&mut restored);
            let found = source.differences(&source.sequences, &restored);
            assert!(
                found.len() == 1 && found[0].starts_with(expected),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_sequence_may_be_anywhere_between_before_and_after() {
        let source = contents();
        let mut after = source.sequences.clone();
        after.get_mut("public.s").unwrap().last_value = 9;
        for (value, differs) in [(3, true), (4, false), (7, false), (9, false), (10, true)] {
            let mut restored = contents();
            restored.sequences.get_mut("public.s").unwrap().last_value = value;
            let found = source.differences(&after, &restored);
            assert_eq!(!found.is_empty(), differs, "{value}");
        }
    }
}
