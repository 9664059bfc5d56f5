//! The tables of the service in a schema, and the schemas themselves.

use sqlx::AssertSqlSafe;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::names::{MIGRATIONS, TABLES};
use crate::store::schema;

/// A table. All names are quoted where SQL needs it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The columns of its primary key.
    pub key: Vec<String>,
}

/// The tables of the service in a schema. The one of the migrations is not among them.
///
/// # Errors
/// When the database fails.
pub async fn read(connection: &mut PgConnection, schema: &str) -> Result<Vec<Table>, sqlx::Error> {
    sqlx::query_as(
        "SELECT quote_ident(relname) AS name, \
             ARRAY(SELECT quote_ident(attname) FROM pg_attribute \
                 WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' \
                 ORDER BY attnum) AS columns, \
             ARRAY(SELECT quote_ident(attname) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS part (number, place) \
                 JOIN pg_attribute ON attnum = number \
                 WHERE i.indrelid = c.oid AND i.indisprimary AND attrelid = c.oid ORDER BY place) AS key \
         FROM pg_class c WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND relname = ANY($2) \
         ORDER BY array_position($2, relname::text)",
    )
    .bind(schema)
    .bind(TABLES.as_slice())
    .fetch_all(connection)
    .await
}

/// The version of a schema; `None` when it was never migrated.
///
/// # Errors
/// When the database fails.
pub async fn version(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Option<i64>, sqlx::Error> {
    let table = format!("{schema}.{MIGRATIONS}");
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(&table)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(None);
    }
    let version = format!("SELECT max(version) FROM {table} WHERE success");
    sqlx::query_scalar(AssertSqlSafe(version))
        .fetch_one(connection)
        .await
}

/// Migrates a schema that nobody uses to this program's version.
///
/// # Errors
/// When it has had other migrations, or one of them fails.
pub async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), MigrateError> {
    execute(connection, &format!("SET search_path = {schema}")).await?;
    let migrator = Migrator {
        migrations: schema::POSTGRES.migrations.clone(),
        // The caller has the lock of migrations, or the server for itself.
        locking: false,
        ..Migrator::DEFAULT
    };
    migrator.run_direct(None, connection, false).await?;
    execute(connection, "SET search_path = pg_catalog").await?;
    Ok(())
}

/// Removes a schema with the tables in it; nothing that others have made of them.
///
/// # Errors
/// When others depend on it, or it stays locked.
pub async fn drop_schema(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let tables: Option<String> = sqlx::query_scalar(
        "SELECT string_agg(format('%I.%I', $1, relname), ', ') FROM pg_class \
         WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'",
    )
    .bind(schema)
    .fetch_one(&mut *connection)
    .await?;
    let drop_tables = tables.map_or(String::new(), |tables| format!("DROP TABLE {tables}; "));
    // One transaction.
    let statements = format!("{drop_tables}DROP SCHEMA IF EXISTS {schema}");
    execute(connection, &statements).await
}

/// Runs statements that take no parameters.
///
/// # Errors
/// When the database fails.
pub async fn execute(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements));
    statements.execute(connection).await.map(drop)
}
