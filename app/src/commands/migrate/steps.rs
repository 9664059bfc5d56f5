//! The migrations that a database lacks, one by one, while others read, write and dump it.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, SqlStr};
use tokio::time::Instant;

use super::blockers;
use crate::store::migration::session;
use crate::store::schema::{self, Migrated, MigrationError};
use crate::store::server_error::{self, DEADLOCK, LOCK_NOT_AVAILABLE};

/// The longest time that a migration waits for the lock of a table. Whoever uses the table meanwhile waits behind it,
/// so this is well below the deadline of callers.
const MAX_BLOCKED: Duration = Duration::from_millis(400);
/// Pauses before another try, in which those who waited go on: the first one, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];
/// How long a migration waits and is tried again.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What is run in place of a released migration that holds back readers or writers for as long as it takes: one statement
/// that does not, outside of a transaction. The released texts stay, since databases have their checksums.
/// A new migration of this kind needs no second text, it begins with `-- no-transaction`.
const ONLINE: [(i64, &str); 1] = [(
    2,
    include_str!("../../../migrations/postgres-online/0002_users_by_birthday.sql"),
)];

/// Migrates a PostgreSQL database to this program's schema. One that is newer is left alone. The
/// caller sees to it that no other one does.
///
/// # Errors
/// See [`MigrationError`]. Migrations that succeeded before the one that failed stay applied.
pub async fn migrate(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<Migrated, MigrationError> {
    let found = schema::postgres_state(connection).await?.version;
    let known = schema::postgres_version();
    if found > known {
        return Ok(Migrated::IsNewer { found, known });
    }
    let end = Instant::now() + TIMEOUT;
    let migrator = migrator();
    for migration in migrator.iter() {
        step(&migrator, migration, connection, options, end).await?;
    }
    session::prepare(connection, Duration::ZERO).await?;
    Ok(Migrated::ToOwn { version: known })
}

fn migrator() -> Migrator {
    let online = |migration: &Migration| {
        let replaced = ONLINE
            .iter()
            .find(|(version, _)| *version == migration.version);
        let mut migration = migration.clone();
        if let Some((_, sql)) = replaced {
            migration.sql = SqlStr::from_static(sql);
            migration.no_tx = true;
        }
        migration
    };
    Migrator {
        migrations: Cow::Owned(schema::POSTGRES.iter().map(online).collect()),
        // The caller has a lock that the app's role cannot take.
        locking: false,
        ..Migrator::DEFAULT
    }
}

/// One migration: checked when the database has it, applied otherwise, again and again while others hold it up.
async fn step(
    migrator: &Migrator,
    migration: &Migration,
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    end: Instant,
) -> Result<(), MigrationError> {
    let pid = blockers::process(connection).await?;
    let [mut pause, longest] = PAUSES;
    loop {
        // What needs no transaction waits for others, too, but nobody waits behind it.
        let lock_timeout = if migration.no_tx {
            end.saturating_duration_since(Instant::now())
                .max(MAX_BLOCKED)
        } else {
            MAX_BLOCKED
        };
        session::prepare(connection, lock_timeout).await?;
        let mut held_by = None;
        let attempt = attempt(migrator, migration, connection);
        let Err(error) = blockers::watched(pid, options, &mut held_by, attempt).await else {
            return Ok(());
        };
        if !is_held_up(&error) {
            return Err(error.into());
        }
        let held_by = held_by.unwrap_or_else(|| "somebody who is gone".into());
        if Instant::now() + pause >= end {
            return Err(MigrationError::Locked { held_by });
        }
        let migration = migration.version;
        tracing::warn!(migration, held_by, "a table is locked: trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn attempt(
    migrator: &Migrator,
    migration: &Migration,
    connection: &mut PgConnection,
) -> Result<(), MigrateError> {
    if let Some(index) = concurrent_index(migration) {
        drop_invalid(connection, index).await?;
    }
    migrator
        .run_direct(Some(migration.version), connection, false)
        .await
}

/// The index that a migration builds beside readers and writers.
fn concurrent_index(migration: &Migration) -> Option<&str> {
    const BEFORE: &str = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ";
    let (_, after) = migration.sql.as_str().split_once(BEFORE)?;
    after.split_whitespace().next()
}

/// Removes what a build left that was interrupted: an index that costs time with every write, and is of no use.
async fn drop_invalid(connection: &mut PgConnection, index: &str) -> Result<(), sqlx::Error> {
    let invalid: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass($1))",
    )
    .bind(index)
    .fetch_one(&mut *connection)
    .await?;
    if invalid {
        tracing::info!(
            index,
            "the build of an index was interrupted: it begins again"
        );
        let drop_index = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
        sqlx::raw_sql(AssertSqlSafe(drop_index))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Whether others hold locks for too long, or waited for a lock of this session: another try may succeed.
fn is_held_up(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = server_error::code(error);
    matches!(code.as_deref(), Some(LOCK_NOT_AVAILABLE | DEADLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More statements would be one transaction again, and an index without a known name would stay broken.
    #[test]
    fn what_runs_outside_of_a_transaction_is_one_statement_that_can_be_repeated() {
        let migrator = migrator();
        let mut online = 0;
        for migration in migrator.iter().filter(|migration| migration.no_tx) {
            online += 1;
            let sql = migration.sql.as_str();
            let statements = sql.lines().filter(|line| !line.starts_with("--"));
            let statements = statements.collect::<Vec<_>>().join("\n");
            assert_eq!(
                statements.trim_end().find(';'),
                Some(statements.trim_end().len() - 1),
                "{sql}"
            );
            assert!(concurrent_index(migration).is_some(), "{sql}");
        }
        assert!(online >= ONLINE.len());
    }

    #[test]
    fn the_released_texts_keep_their_checksums() {
        for (ours, released) in migrator().iter().zip(schema::POSTGRES.iter()) {
            assert_eq!(ours.version, released.version);
            assert_eq!(ours.checksum, released.checksum);
        }
    }

    /// The online text builds what the released one does.
    #[test]
    fn an_index_is_the_one_of_the_released_migration() {
        for (version, online) in ONLINE {
            let released = schema::POSTGRES
                .iter()
                .find(|other| other.version == version);
            let statement = |sql: &str| {
                let lines = sql.lines().filter(|line| !line.starts_with("--"));
                let words = lines.flat_map(str::split_whitespace).map(str::to_owned);
                words.collect::<Vec<_>>().join(" ")
            };
            assert_eq!(
                statement(online).replace("CONCURRENTLY IF NOT EXISTS ", ""),
                statement(released.unwrap().sql.as_str())
            );
        }
    }
}
