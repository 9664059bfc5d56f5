//! The database roles beside the owner: the app's, which reads and writes rows only, and the backup's, which reads
//! only. Neither reads the passwords of the server, keeps a session with a password that was replaced, or makes
//! objects that the other cannot read.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::scram;
use crate::config::RolePasswords;
use crate::secret::Secret;

/// The role that the app serves with.
const APP_ROLE: &str = "hello_app";
/// The role that backups are taken with.
const BACKUP_ROLE: &str = "hello_backup";

/// How long sessions with a former password may finish what they are doing.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether they are idle.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the roles were not created or updated.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The database failed, or refused.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// No salt for a password.
    #[error("the system gives no random numbers")]
    NoRandomNumbers,
}

/// Creates or updates the roles that have a password: their rights in one transaction; then the sessions that began
/// with another password end. Running it again changes nothing. Only a program whose own schema this is decides what existing
/// roles may do: a newer one has decided otherwise, perhaps. Needs the lock of migrations: PostgreSQL fails one of
/// two sessions that change a role at the same time.
///
/// # Errors
/// When the role of this connection may not do that.
pub async fn ensure(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    passwords: &RolePasswords,
    own_schema: bool,
) -> Result<(), RolesError> {
    let given = [(APP_ROLE, &passwords.app), (BACKUP_ROLE, &passwords.backup)];
    let mut replaced = Vec::new();
    for (role, password) in given {
        if let Some(password) = password
            && !accepts(options, role, password).await
        {
            replaced.push(role);
        }
    }
    let mut transaction = connection.begin().await?;
    let mut created = Vec::new();
    for (role, password) in given {
        if let Some(password) = password
            && login_role(&mut transaction, role, password).await?
        {
            created.push(role);
        }
    }
    let decides = |role: &str| own_schema || created.contains(&role);
    if passwords.app.is_some() && decides(APP_ROLE) {
        grant_app(&mut transaction).await?;
    }
    if passwords.backup.is_some() && decides(BACKUP_ROLE) {
        grant_backup(&mut transaction).await?;
    }
    transaction.commit().await?;
    let since = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(&mut *connection)
        .await?;
    for role in replaced {
        end_sessions(connection, role, since).await?;
    }
    Ok(())
}

/// Whether the server lets `role` in with `password` already. Only the owner of the server could read what it keeps.
async fn accepts(options: &PgConnectOptions, role: &str, password: &Secret) -> bool {
    let options = options.clone().username(role).password(password.expose());
    match options.connect().await {
        Ok(session) => {
            let _ = session.close().await;
            true
        }
        Err(_) => false,
    }
}

/// Creates the role or sets its password; whether it was created.
async fn login_role(
    connection: &mut PgConnection,
    role: &str,
    password: &Secret,
) -> Result<bool, RolesError> {
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(role)
            .fetch_one(&mut *connection)
            .await?;
    let verb = if exists { "ALTER" } else { "CREATE" };
    let verifier = scram::verifier(password).map_err(|_| RolesError::NoRandomNumbers)?;
    // Role statements take no parameters. Neither part needs quoting.
    let statement = format!("{verb} ROLE {role} LOGIN PASSWORD '{verifier}'");
    run(connection, statement).await?;
    Ok(!exists)
}

/// Rights on rows, and settings by which the server ends statements whose client is gone.
async fn grant_app(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    grant_on_own(
        connection,
        APP_ROLE,
        "SELECT, INSERT, UPDATE, DELETE",
        "USAGE",
    )
    .await?;
    run(
        connection,
        "REVOKE ALL ON _sqlx_migrations FROM hello_app; \
         GRANT SELECT ON _sqlx_migrations TO hello_app; \
         ALTER ROLE hello_app SET statement_timeout = '10s'; \
         ALTER ROLE hello_app SET idle_in_transaction_session_timeout = '10s'; \
         ALTER ROLE hello_app SET client_connection_check_interval = '1s'; \
         ALTER ROLE hello_app SET tcp_keepalives_idle = '30s'; \
         ALTER ROLE hello_app SET tcp_user_timeout = '10s'"
            .into(),
    )
    .await?;
    forbid_large_objects(connection).await
}

/// The right to read what this role owns, in all schemas. `pg_read_all_data` would be less to write, but it reads the
/// passwords of all roles too.
async fn grant_backup(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let inherits = "SELECT pg_has_role('hello_backup', 'pg_read_all_data', 'MEMBER')";
    if sqlx::query_scalar(inherits)
        .fetch_one(&mut *connection)
        .await?
    {
        run(
            connection,
            "REVOKE pg_read_all_data FROM hello_backup".into(),
        )
        .await?;
        if sqlx::query_scalar(inherits)
            .fetch_one(&mut *connection)
            .await?
        {
            tracing::warn!(
                "hello_backup can read the passwords of all roles: a superuser granted it pg_read_all_data \
                 and has to revoke that"
            );
        }
    }
    grant_on_own(connection, BACKUP_ROLE, "SELECT", "SELECT").await?;
    run(
        connection,
        "DO $$ DECLARE object oid; BEGIN \
             FOR object IN SELECT oid FROM pg_largeobject_metadata \
                 WHERE pg_has_role(current_user, lomowner, 'USAGE') \
             LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO hello_backup', object); END LOOP; \
         END $$"
            .into(),
    )
    .await
}

/// Grants rights on the tables and on the sequences that this role owns, and on their schemas; not on what restores keep
/// beside the live data. What others have put there is theirs to grant.
async fn grant_on_own(
    connection: &mut PgConnection,
    role: &str,
    on_tables: &str,
    on_sequences: &str,
) -> Result<(), sqlx::Error> {
    let statements: Option<String> = sqlx::query_scalar(
        "WITH own AS (SELECT oid::regclass AS name, relnamespace, relkind = 'S' AS is_sequence \
             FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't' \
             AND pg_has_role(current_user, relowner, 'USAGE') \
             AND relnamespace NOT IN (SELECT oid FROM pg_namespace \
                 WHERE nspname ~ '^(pg_|hello_restore_|hello_previous_)' OR nspname = 'information_schema')), \
         statements AS ( \
             SELECT format('GRANT USAGE ON SCHEMA %s TO %I', relnamespace::regnamespace, $1) AS statement \
             FROM own GROUP BY relnamespace \
             UNION ALL SELECT CASE WHEN is_sequence \
                 THEN format('GRANT %s ON SEQUENCE %s TO %I', $3, name, $1) \
                 ELSE format('GRANT %s ON %s TO %I', $2, name, $1) END FROM own) \
         SELECT string_agg(statement, '; ') FROM statements",
    )
    .bind(role)
    .bind(on_tables)
    .bind(on_sequences)
    .fetch_one(&mut *connection)
    .await?;
    run(connection, statements.unwrap_or_default()).await
}

/// Takes the right to make large objects from everybody but the owner: no role can be given the right to read those of
/// another one, and each backup would fail. Only who owns the functions can do that: a superuser.
async fn forbid_large_objects(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const FUNCTIONS: &str = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)";
    let (allowed, may_revoke): (bool, bool) = sqlx::query_as(
        "SELECT has_function_privilege('hello_app', oid, 'EXECUTE'), \
         pg_has_role(current_user, proowner, 'USAGE') FROM pg_proc WHERE oid = 'lo_create(oid)'::regprocedure",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !allowed {
        return Ok(());
    }
    let statement = format!("REVOKE EXECUTE ON FUNCTION {FUNCTIONS} FROM PUBLIC");
    if may_revoke {
        run(connection, statement).await
    } else {
        tracing::warn!(
            statement,
            "hello_app can make large objects, which backups cannot read: a superuser has to forbid it"
        );
        Ok(())
    }
}

/// Ends the sessions of `role` that began before `since`: as soon as each is idle, or after [`GRACE`].
async fn end_sessions(
    connection: &mut PgConnection,
    role: &str,
    since: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    // Only a member of a role may end its sessions, or see whether they are idle.
    let is_member: bool = sqlx::query_scalar("SELECT pg_has_role(current_user, $1, 'USAGE')")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    if !is_member {
        run(connection, format!("GRANT {role} TO CURRENT_USER")).await?;
    }
    let end = tokio::time::Instant::now() + GRACE;
    loop {
        let late = tokio::time::Instant::now() >= end;
        let (ended, left): (i64, i64) = sqlx::query_as(
            "WITH old AS MATERIALIZED (SELECT pid, $3 OR state = 'idle' AS ends FROM pg_stat_activity \
                 WHERE usename = $1 AND backend_start < $2) \
             SELECT count(*) FILTER (WHERE ends AND pg_terminate_backend(pid)), \
                 count(*) FILTER (WHERE NOT ends) FROM old",
        )
        .bind(role)
        .bind(since)
        .bind(late)
        .fetch_one(&mut *connection)
        .await?;
        if ended > 0 {
            tracing::info!(
                role,
                ended,
                "ended sessions that began with a former password"
            );
        }
        // Once more after those that were ended: one may have been at its login.
        if ended + left == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn run(connection: &mut PgConnection, statements: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await
        .map(drop)
}
