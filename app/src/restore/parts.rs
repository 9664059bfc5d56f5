//! What belongs to the tables of the service, or depends on them: it has to be what migrations make, because what others
//! have made beside them would stay with the former data.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;

use super::error::RestoreError;
use super::tables::Table;

/// How many parts a message names.
const NAMED: usize = 5;
/// What the words for a column begin with.
const COLUMN: &str = "column ";

/// Everything that depends on the tables `$2` of the schema `$1`, and their columns; the names of the tables' schema,
/// which `$3` is with its dot, are left out. Triggers of foreign keys come with those, and the types of rows and the
/// tables of long values with their tables.
const PARTS: &str = "WITH RECURSIVE own AS ( \
         SELECT * FROM pg_class WHERE relnamespace = to_regnamespace($1) AND quote_ident(relname) = ANY($2)), \
     part (classid, objid) AS ( \
         SELECT 'pg_class'::regclass::oid, oid FROM own \
         UNION SELECT d.classid, d.objid FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid) \
     SELECT o.type || ' ' || replace(o.identity, $3, '') FROM part, pg_identify_object(classid, objid, 0) o \
         WHERE o.identity IS NOT NULL AND classid <> 'pg_type'::regclass \
             AND NOT EXISTS (SELECT FROM pg_trigger t WHERE classid = 'pg_trigger'::regclass AND t.oid = objid AND tgisinternal) \
             AND NOT EXISTS (SELECT FROM pg_class c WHERE classid = 'pg_class'::regclass AND c.oid = objid \
                 AND relnamespace = 'pg_toast'::regnamespace) \
     UNION SELECT format('column %I.%I %s%s', relname, attname, format_type(atttypid, atttypmod), \
             CASE WHEN attnotnull THEN ' NOT NULL' END) \
         FROM own JOIN pg_attribute ON attrelid = own.oid WHERE attnum > 0 AND NOT attisdropped \
     UNION SELECT 'row security of ' || relname FROM own WHERE relrowsecurity";

/// The parts of `tables` in `schema`, in words.
///
/// # Errors
/// When the database fails.
pub async fn read(
    connection: &mut PgConnection,
    schema: &str,
    tables: &[Table],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let found: Vec<String> = sqlx::query_scalar(PARTS)
        .bind(schema)
        .bind(names)
        .bind(format!("{schema}."))
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().collect())
}

/// Refuses live tables that have more than `own`, which is what migrations make, or other columns.
///
/// # Errors
/// What there is beside them.
pub fn check_live(live: &BTreeSet<String>, own: &BTreeSet<String>) -> Result<(), RestoreError> {
    let more: Vec<_> = live.difference(own).collect();
    if !more.is_empty() {
        return Err(RestoreError::refused(format!(
            "somebody has made {} beside or on the tables of the service, which a restore would leave with the former \
             data: remove it, and make it again afterwards",
            list(&more)
        )));
    }
    check_columns("the live tables", live, own)
}

/// Refuses a backup whose tables have other columns than `own`.
///
/// # Errors
/// Which columns.
pub fn check_backup(backup: &BTreeSet<String>, own: &BTreeSet<String>) -> Result<(), RestoreError> {
    check_columns("the tables of the backup", backup, own)
}

fn check_columns(
    whose: &str,
    found: &BTreeSet<String>,
    own: &BTreeSet<String>,
) -> Result<(), RestoreError> {
    let differing = found.symmetric_difference(own);
    let columns: Vec<_> = differing.filter(|part| part.starts_with(COLUMN)).collect();
    if columns.is_empty() {
        return Ok(());
    }
    Err(RestoreError::refused(format!(
        "{whose} are not what this program's migrations make: {}",
        list(&columns)
    )))
}

fn list(parts: &[&String]) -> String {
    let listed = parts.len().min(NAMED);
    let names: Vec<_> = parts[..listed].iter().map(|part| part.as_str()).collect();
    let mut text = names.join(", ");
    if parts.len() > listed {
        text.push_str(&format!(" and {} more", parts.len() - listed));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(parts: &[&str]) -> BTreeSet<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    #[test]
    fn what_others_have_made_is_named() {
        let own = set(&["table users", "column users.a text", "index i"]);
        assert!(check_live(&own, &own).is_ok());
        let fewer = set(&["table users", "column users.a text"]);
        assert!(
            check_live(&fewer, &own).is_ok(),
            "an index that is missing comes back"
        );
        let mut more = own.clone();
        more.insert("rule \"_RETURN\" on seen".into());
        let error = check_live(&more, &own).unwrap_err().to_string();
        assert!(error.contains("_RETURN"), "{error}");
        for part in ["a", "b", "c", "d", "e", "f"] {
            more.insert(part.into());
        }
        let error = check_live(&more, &own).unwrap_err().to_string();
        assert!(error.contains("e and 2 more"), "{error}");
        for backup in [
            set(&["table users"]),
            set(&["table users", "column users.a int"]),
        ] {
            assert!(check_live(&backup, &own).is_err());
            assert!(check_backup(&backup, &own).is_err());
        }
        assert!(
            check_backup(&more, &own).is_ok(),
            "what is beside the tables is not restored"
        );
    }
}
