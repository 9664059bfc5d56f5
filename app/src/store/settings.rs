//! Settings of a session of the database.

use sqlx::postgres::PgConnection;

/// Sets them until the session ends; those that this server does not know are left out.
///
/// # Errors
/// When the connection is lost, or a value is refused.
pub async fn set(
    connection: &mut PgConnection,
    settings: &[(&str, &str)],
) -> Result<(), sqlx::Error> {
    let (names, values): (Vec<_>, Vec<_>) = settings.iter().copied().unzip();
    sqlx::query(
        "SELECT set_config(wanted.name, wanted.value, false) \
         FROM unnest($1::text[], $2::text[]) AS wanted (name, value) \
         WHERE EXISTS (SELECT FROM pg_settings WHERE lower(pg_settings.name) = wanted.name)",
    )
    .bind(names)
    .bind(values)
    .execute(connection)
    .await
    .map(drop)
}
