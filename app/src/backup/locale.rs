//! How a database treats texts: what its backup is restored into has to do the same.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

/// How a database encodes, sorts and compares texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Locale {
    /// Such as `UTF8`.
    pub encoding: String,
    /// The C library's locale of sorting.
    pub lc_collate: String,
    /// The C library's locale of classes of letters.
    pub lc_ctype: String,
    /// `libc`, `icu` or `builtin`; none before PostgreSQL 15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale_provider: Option<String>,
    /// The locale of another provider than `libc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Rules on top of an ICU locale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
}

impl Locale {
    /// That of the connected database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        // The columns differ by version.
        let (encoding, row): (String, String) = sqlx::query_as(
            "SELECT pg_encoding_to_char(encoding)::text, (to_jsonb(d) - 'datacl')::text \
             FROM pg_database d WHERE datname = current_database()",
        )
        .fetch_one(connection)
        .await?;
        let row: serde_json::Value = serde_json::from_str(&row).unwrap_or_default();
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let provider = text("datlocprovider").map(|letter| match letter.as_str() {
            "i" => "icu".to_owned(),
            "b" => "builtin".to_owned(),
            _ => "libc".to_owned(),
        });
        Ok(Self {
            encoding,
            lc_collate: text("datcollate").unwrap_or_default(),
            lc_ctype: text("datctype").unwrap_or_default(),
            locale_provider: provider,
            locale: text("datlocale").or_else(|| text("daticulocale")),
            icu_rules: text("daticurules"),
        })
    }
}
