//! Who holds up a migration: asked on a connection of its own, since that of the migration waits.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::Instant;

/// The first look, and the pause between two later ones. A migration that is done by then needs no second connection.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// A migration that waits for longer than this is worth a line of the log.
const WORTH_REPORTING: Duration = Duration::from_secs(1);

/// Sessions for which the session `$1` waits. Other roles' programs and times are shown to those who may see them.
const BLOCKERS: &str = "SELECT string_agg(coalesce(format('%s in process %s', usename, pid) \
         || coalesce(' (' || nullif(application_name, '') || ')', '') \
         || coalesce(to_char(xact_start AT TIME ZONE 'UTC', '\" since \"YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), ''), \
         'a prepared transaction'), ', ' ORDER BY xact_start) \
     FROM unnest(pg_blocking_pids($1)) AS blocker LEFT JOIN pg_stat_activity ON pid = blocker";

/// Runs `work` on `connection`, and remembers in `seen` who held it up last.
pub async fn watched<T>(
    pid: i32,
    options: &PgConnectOptions,
    seen: &mut Option<String>,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        output = work => output,
        never = watch(pid, options, seen) => match never {},
    }
}

async fn watch(
    pid: i32,
    options: &PgConnectOptions,
    seen: &mut Option<String>,
) -> std::convert::Infallible {
    tokio::time::sleep(FIRST).await;
    let Err(error) = look(pid, options, seen).await;
    tracing::info!(%error, "it cannot be seen who holds up the migration");
    std::future::pending().await
}

/// Looks until the connection fails.
async fn look(
    pid: i32,
    options: &PgConnectOptions,
    seen: &mut Option<String>,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut connection = options.connect().await?;
    let (mut pause, mut reported) = (FIRST, None);
    let mut since = Instant::now();
    loop {
        match blockers(&mut connection, pid).await? {
            None => since = Instant::now(),
            Some(held_by) => {
                if since.elapsed() >= WORTH_REPORTING && reported.as_ref() != Some(&held_by) {
                    tracing::warn!(held_by, "a migration waits");
                    reported = Some(held_by.clone());
                }
                *seen = Some(held_by);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn blockers(connection: &mut PgConnection, pid: i32) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(BLOCKERS)
        .bind(pid)
        .fetch_one(connection)
        .await
}

/// The process of the server behind a connection.
///
/// # Errors
/// When the connection is lost.
pub async fn process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await
}
