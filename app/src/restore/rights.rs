//! Who may do what with the tables: those that come in get the rights of those that they replace.

use sqlx::postgres::PgConnection;

use super::names::LIVE;
use super::tables::execute;

/// The statements that give the table `$2` of the schema `$3` the rights that others have on the one of the schema `$1`,
/// and no others.
const STATEMENTS: &str = "WITH tables AS ( \
         SELECT relnamespace = $1::regnamespace AS is_live, oid, relacl, relowner FROM pg_class \
         WHERE quote_ident(relname) = $2 AND relnamespace IN ($1::regnamespace, $3::regnamespace)), \
     rights AS ( \
         SELECT is_live, relowner, entry.*, '' AS columns FROM tables, aclexplode(relacl) AS entry \
         UNION ALL SELECT is_live, relowner, entry.*, format(' (%I)', attname) \
             FROM tables JOIN pg_attribute ON attrelid = oid, aclexplode(attacl) AS entry WHERE NOT attisdropped), \
     named AS ( \
         SELECT *, format('%s%s ON TABLE %I.%s', privilege_type, columns, $3, $2) AS what, \
             CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who \
         FROM rights WHERE grantee <> relowner) \
     SELECT string_agg(CASE WHEN is_live \
             THEN format('GRANT %s TO %s%s', what, who, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) \
             ELSE format('REVOKE %s FROM %s CASCADE', what, who) END, '; ' ORDER BY is_live, columns) FROM named";

/// Copies the rights of the live table `name` to the one in `schema`.
///
/// # Errors
/// When the database fails.
pub async fn copy(
    connection: &mut PgConnection,
    name: &str,
    schema: &str,
) -> Result<(), sqlx::Error> {
    let statements: Option<String> = sqlx::query_scalar(STATEMENTS)
        .bind(LIVE)
        .bind(name)
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    match statements {
        Some(statements) => execute(connection, &statements).await,
        None => Ok(()),
    }
}
