//! What a backup needs, looked at before anything is written: what is missing is named.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::contents::{self, Relation};
use super::error::{BackupError, Reason};
use super::locale::Locale;
use super::programs::check_version;
use crate::store::schema::{self, MigrationError};

/// How far this machine's clock and the database's may be apart: a backup with a wrong date would hide that later ones
/// are missing.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(10);
/// How often it is looked whether a migration has ended.
const PAUSE: Duration = Duration::from_millis(200);
/// How many names a message lists.
const NAMED: usize = 5;

/// What is known of the database before it is dumped.
pub struct Source {
    /// The tables and sequences.
    pub relations: Vec<Relation>,
    /// How it sorts and compares texts.
    pub locale: Locale,
    /// The roles of its server, without PostgreSQL's own.
    pub roles: Vec<String>,
    /// The version of its server, in its own words.
    pub server_version: String,
}

/// Looks at the database through a session whose settings are pinned, and waits for a migration that runs.
///
/// # Errors
/// What is missing, or in the way.
pub async fn check(
    connection: &mut PgConnection,
    tool_version: u32,
    timeout: Duration,
) -> Result<Source, BackupError> {
    let (number, server_version, time): (i32, String, DateTime<Utc>) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), clock_timestamp()",
    )
    .fetch_one(&mut *connection)
    .await?;
    let version = u32::try_from(number / 10_000).unwrap_or_default();
    check_version(tool_version, version)?;
    check_clocks(Utc::now(), time)?;
    let locale = Locale::read(connection).await?;
    if locale.encoding != schema::ENCODING {
        let unfit = MigrationError::Encoding(locale.encoding);
        return Err(BackupError::found(Reason::DumpFailed, unfit.to_string()));
    }
    wait_for_migration(connection, timeout).await?;
    let relations = contents::relations(connection).await?;
    check_rights(&relations)?;
    check_large_objects(connection, version).await?;
    let roles =
        sqlx::query_scalar("SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1");
    Ok(Source {
        relations,
        locale,
        roles: roles.fetch_all(connection).await?,
        server_version,
    })
}

/// Compares the clocks.
fn check_clocks(own: DateTime<Utc>, database: DateTime<Utc>) -> Result<(), BackupError> {
    if (own - database).abs() <= MAX_SKEW {
        return Ok(());
    }
    let text = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S");
    let message = format!(
        "this machine's clock shows {} UTC and the database's {}: set the one that is wrong",
        text(own),
        text(database)
    );
    Err(BackupError::found(Reason::ClockSkew, message))
}

/// Waits until no migration runs. Migrations hold a lock on their table that conflicts only with itself, and that this
/// role, which only reads, could not take: it is looked for. An autovacuum of the table holds the same lock, shortly.
async fn wait_for_migration(
    connection: &mut PgConnection,
    timeout: Duration,
) -> Result<(), BackupError> {
    let end = Instant::now() + timeout;
    loop {
        let runs: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation \
             WHERE relname = '_sqlx_migrations' AND mode = 'ShareUpdateExclusiveLock' AND granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .fetch_one(&mut *connection)
        .await?;
        if !runs {
            return Ok(());
        }
        if Instant::now() >= end {
            let message = format!("a migration of the database has not ended within {timeout:?}");
            return Err(BackupError::found(Reason::Locked, message));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Refuses a database that this role sees only a part of.
fn check_rights(relations: &[Relation]) -> Result<(), BackupError> {
    let of = |which: fn(&Relation) -> bool| {
        let found = relations.iter().filter(|relation| which(relation));
        found
            .map(|relation| relation.name.as_str())
            .collect::<Vec<_>>()
    };
    let unreadable = of(|relation| !relation.readable);
    if !unreadable.is_empty() {
        let message = format!(
            "this role may not read {}: grant it SELECT on them, and USAGE on their schemas",
            list(&unreadable)
        );
        return Err(BackupError::found(Reason::Privileges, message));
    }
    let filtered = of(|relation| relation.filtered);
    if !filtered.is_empty() {
        let message = format!(
            "row security may keep rows of {} from this role: give it BYPASSRLS",
            list(&filtered)
        );
        return Err(BackupError::found(Reason::Privileges, message));
    }
    Ok(())
}

/// Refuses large objects that this role may not read: pg_dump would stop at the first.
async fn check_large_objects(
    connection: &mut PgConnection,
    server_version: u32,
) -> Result<(), BackupError> {
    /// The first version that answers it itself.
    const ANSWERS: u32 = 18;
    let readable = if server_version >= ANSWERS {
        "has_largeobject_privilege(oid, 'SELECT')"
    } else {
        "pg_has_role(lomowner, 'USAGE') OR EXISTS (SELECT FROM aclexplode(lomacl) \
         WHERE privilege_type = 'SELECT' AND (grantee = 0 OR pg_has_role(grantee, 'USAGE')))"
    };
    let sql = format!(
        "SELECT oid::text FROM pg_largeobject_metadata WHERE NOT ({readable}) ORDER BY oid LIMIT 100"
    );
    let unreadable: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await?;
    if unreadable.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = unreadable.iter().map(String::as_str).collect();
    let message = format!(
        "this role may not read the large objects {}: have their owners grant it SELECT, or delete them",
        list(&names)
    );
    Err(BackupError::found(Reason::Privileges, message))
}

/// The first few names.
fn list(names: &[&str]) -> String {
    let listed = names.len().min(NAMED);
    let mut text = names[..listed].join(", ");
    if names.len() > listed {
        text.push_str(&format!(" and {} more", names.len() - listed));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let now = Utc::now();
        for (minutes, fits) in [
            (-11, false),
            (-10, true),
            (0, true),
            (10, true),
            (11, false),
        ] {
            let result = check_clocks(now, now + TimeDelta::minutes(minutes));
            assert_eq!(result.is_ok(), fits, "{minutes}");
        }
    }

    #[test]
    fn a_list_of_names_is_short() {
        assert_eq!(list(&["a", "b"]), "a, b");
        assert_eq!(
            list(&["a", "b", "c", "d", "e", "f", "g"]),
            "a, b, c, d, e and 2 more"
        );
    }
}
